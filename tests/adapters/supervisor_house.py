"""A supervisor with folders of its own and everything it says, for tests that run real workers in the real sandbox."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import psutil

from desktop_app.adapters.supervisor import Supervisor, Tuning
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device, DeviceKind, Tier
from desktop_app.core.money import Rate, Units
from desktop_app.core.state import Trigger
from desktop_app.core.task import Blob, Lease, Limits, Manifest
from tests.leaks import family
from tests.standstill import standstill

FAKE = Path(__file__).with_name("fake_worker.py")
DEVICE = Device(DeviceKind.PRACTICE, "cpu-0", "CPU", 4096, 65)
LIMITS = Limits(vram_mb=0, ram_mb=256, disk_mb=16, wall_s=60, step_ms=50, output_mb=4)
LATER = 60_000
"""A deadline, in milliseconds, that no test waits for: whatever is over by then is over for another reason."""

_M = TypeVar("_M")


@dataclass(slots=True)
class House:
    """Where the supervisor lives, and what it posted."""

    root: Path
    supervisor: Supervisor
    posted: "SimpleQueue[m.Message]"
    seen: list[m.Message]

    def until(self, kind: type[_M], timeout_s: float = 20) -> _M:
        """The next message of this kind; everything before it is kept in `seen`."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                message = self.posted.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                raise AssertionError(f"no {kind.__name__}; heard {self.seen}") from None
            self.seen.append(message)
            if isinstance(message, kind):
                return message

    def taken_back(self, trigger: Trigger, deadline_ms: int, task_id: str = "task-1", late_ms: float = 0.0) -> tuple[m.GpuGivenBack, float]:
        """The answer to a give-back, and how many milliseconds of the time in which this machine ran it took to stop the worker."""
        with standstill() as lost_ms:
            self.supervisor.give_back(task_id, trigger, deadline_ms, late_ms)
            back = self.until(m.GpuGivenBack)
            return back, back.record.stopped_ms - lost_ms()

    def quiet(self, seconds: float) -> list[m.Message]:
        """What is still said within a time."""
        time.sleep(seconds)
        found = []
        while not self.posted.empty():
            found.append(self.posted.get())
        self.seen += found
        return found

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.blob(sha256).write_bytes(data)
        return sha256

    def lease(self, act: str = "honest", *, task_id: str = "task-1", steps: int = 200, limits: Limits = LIMITS, **params: int) -> Lease:
        """A task for the fake worker."""
        sha256 = self.put(b"some data")
        manifest = Manifest(
            task_id=task_id, job_id="0x" + "12" * 32, renter="0x" + "ab" * 20, kind="fake/1", tier=Tier.PRACTICE,
            inputs=(Blob("data", sha256, 9, "jsonl"),), params=(("act", act), *params.items()), seed=7, steps=steps,
            units=Units(1000), limits=limits, checkpoint_steps=50, expires=2_000_000_000, sha256="00" * 32,
        )  # fmt: skip
        return Lease(manifest, 1, "token", Rate(100_000))

    def begin(self, act: str = "honest", steps: int = 200) -> int:
        """Start the fake worker on a task, wait until it is ready; its number."""
        self.supervisor.start(self.lease(act, steps=steps), None)
        return self.until(m.WorkerStarted).pid


@contextmanager
def house(
    root: Path,
    tuning: Tuning | None = None,
    vram_free: Callable[[], int | None] | None = None,
    blobs: Path | None = None,
    vram_users: Callable[[], frozenset[int] | None] | None = None,
    device: Device = DEVICE,
) -> Iterator[House]:
    """A supervisor whose workers are fake unless the tuning says otherwise; closed at the end."""
    posted: SimpleQueue[m.Message] = SimpleQueue()
    tuning = tuning or Tuning(script=FAKE, threads=1)
    supervisor = Supervisor(posted.put, blobs or root / "blobs", root / "tasks", root / "logs", device, vram_free, tuning, vram_users)
    try:
        yield House(root, supervisor, posted, [])
    finally:
        supervisor.close()


def fake(**changes: object) -> Tuning:
    """The fake worker, with some of the tuning changed."""
    return replace(Tuning(script=FAKE, threads=1), **changes)  # type: ignore[arg-type]


def whole_family(agent: psutil.Process) -> list[psutil.Process]:
    """All of the fake worker's `children`, with bwrap's two and itself: thirteen, once every fork is through."""
    end = time.monotonic() + 20
    while len(found := family(agent)) < 13 and time.monotonic() < end:
        time.sleep(0.05)
    return found
