"""From the owner's trigger to the worker gone: `python -m tests.benchmarks.giveback [trials]`, 100 trials by default.

Each trial starts the real training task in the real sandbox, lets it train for a random while, and takes the device back as
a click does. The time is from the call of `give_back` to the end of the worker's process as the kernel reports it, or to the
supervisor's own figure (every process of the sandbox gone and reaped) where that is later. `giveback_lost` counts
micro-steps lost in all trials, `giveback_torn` checkpoints that are not whole.
"""

import os
import random
import select
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import psutil

from desktop_app.core import messages as m
from desktop_app.core.state import OWNER_DEADLINE_MS, Trigger
from desktop_app.wire import arena, tensors
from tests.benchmarks import work

_M = TypeVar("_M")

def main(trials: int) -> None:
    gone: list[float] = []
    lost = torn = uncommitted = 0
    chance = random.Random(7)
    with tempfile.TemporaryDirectory(prefix="sublet-giveback-") as folder:
        root, posted = Path(folder), SimpleQueue[m.Message]()
        supervisor = work.supervisor(root, posted)
        for number in range(trials):
            lease = work.lease(root / "blobs", f"trial-{number}")
            supervisor.start(lease, None)
            pid = _until(posted, m.WorkerStarted).pid
            time.sleep(chance.uniform(0.3, 1.0))
            ended = _until_gone(pid, partial(supervisor.give_back, lease.manifest.task_id, Trigger.CLICK, OWNER_DEADLINE_MS))
            back = _until(posted, m.GpuGivenBack)
            gone.append(max(ended, back.record.stopped_ms))
            lost += back.record.steps_lost
            uncommitted += not back.record.committed
            torn += back.checkpoint is None or not _whole(root / "blobs" / back.checkpoint.sha256)
            supervisor.forget(lease.manifest.task_id)
        supervisor.close()
    gone.sort()
    print(f"{trials} trials, load {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores, {uncommitted} killed at the deadline")
    work.figure("giveback_lost", lost, "steps")
    work.figure("giveback_torn", torn, "checkpoints")
    work.figure("giveback_p50", _percentile(gone, 0.50), "ms")
    work.figure("giveback_p99", _percentile(gone, 0.99), "ms")
    work.figure("giveback_max", gone[-1], "ms")


def _until_gone(pid: int, trigger: Callable[[], None]) -> float:
    """Milliseconds from the call until the worker's process has ended, as the kernel says and not the supervisor."""
    handle = os.pidfd_open(pid)
    begun = time.perf_counter()
    trigger()
    select.select([handle], [], [])
    taken = 1000 * (time.perf_counter() - begun)
    os.close(handle)
    return taken


def _until(posted: "SimpleQueue[m.Message]", kind: type[_M]) -> _M:
    while True:
        message = posted.get(timeout=120)
        if isinstance(message, m.WorkerFailed):
            raise SystemExit(message.detail)
        if isinstance(message, kind):
            return message


def _whole(place: Path) -> bool:
    with place.open("rb") as file:
        return arena.STEP_TENSOR in tensors.read_header(file, place.stat().st_size)


def _percentile(ordered: list[float], share: float) -> float:
    """Nearest rank: the smallest value that at least this share of the trials does not exceed."""
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
