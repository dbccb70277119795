"""The supervisor on Linux: starts workers, takes the device back, and says what became of the tasks.

The agent's root makes one and calls it from its event loop; every method returns at once, and what happens is posted from
the supervisor's own threads. Every `start` is answered by WorkerFinished, WorkerFailed or GpuGivenBack, and every
`give_back` by exactly one GpuGivenBack per run, also when the task had already ended.
"""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from desktop_app.adapters.supervisor import limits, selftest
from desktop_app.adapters.supervisor.blobs import Blobs
from desktop_app.adapters.supervisor.hosted import HostedWorker, Order
from desktop_app.adapters.supervisor.keeping import Keeper
from desktop_app.adapters.supervisor.launcher import Launcher
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.adapters.supervisor.sandbox import Bounds
from desktop_app.adapters.supervisor.session import Session, Tools
from desktop_app.adapters.supervisor.shelf import Shelf, sweep_shelves
from desktop_app.adapters.supervisor.stale import Stale
from desktop_app.adapters.supervisor.vram import Vram
from desktop_app.adapters.supervisor.warm import Warmer
from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.core.gpu import Device
from desktop_app.core.messages import GpuGivenBack, Message, RuntimeFound, SandboxTested, WorkerCooled, WorkerFailed
from desktop_app.core.state import GiveBackRecord, Halt, Trigger
from desktop_app.core.task import Checkpoint, Lease, Manifest

_MB = 1 << 20
_SLOT_MB = (16, 1024)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What may be set: seconds between checkpoints, processor threads of a worker, the rules for hangs, the worker's program."""

    checkpoint_s: float = 30.0
    threads: int = max(1, (os.cpu_count() or 2) // 2)
    patience: Patience = field(default_factory=Patience)
    script: Path | None = None  # None: the worker


class Supervisor:
    """`post` is called from several threads.

    `vram_free` says how many bytes of the device's memory are free and `vram_users` which processes hold some; None if it
    cannot be told.
    """

    def __init__(
        self,
        post: Callable[[Message], None],
        blobs: Path,
        tasks: Path,
        logs: Path,
        device: Device,
        vram_free: Callable[[], int | None] | None = None,
        tuning: Tuning | None = None,
        vram_users: Callable[[], frozenset[int] | None] | None = None,
    ) -> None:
        self._post, self._logs, self._device = post, logs, device
        self._vram_free, self._vram_users = vram_free, vram_users
        self._tuning = tuning or Tuning()
        self._blobs, self._place = Blobs(blobs, tasks), blobs
        self._stale = Stale(tasks)
        self._stale.sweep()
        limits.sweep_groups()
        sweep_shelves(blobs)
        self._launcher = Launcher()
        blank = Order("", {}, {}, 0, bounds=Bounds(threads=self._tuning.threads), device=device, script=self._tuning.script)
        self._warmer = Warmer(blank, self._start_ahead, self._stale, lambda why: post(WorkerCooled(why)))
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="sublet-store")
        self._sessions: dict[str, Session] = {}
        self._unknown: set[str] = set()
        self._tests: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, lease: Lease, checkpoint: Checkpoint | None) -> None:
        """Run the task from `checkpoint`, else from its beginning. A task that is running already goes on."""
        task_id = lease.manifest.task_id
        with self._lock:
            running = [one for one in self._sessions.values() if not one.over]
            mine = self._sessions.get(task_id)
            if mine and not mine.over:
                return
            self._unknown.discard(task_id)
            if not running:
                session = self._sessions[task_id] = Session(lease.manifest, checkpoint, self._tools(lease.manifest, checkpoint))
                session.thread.start()
                return
        self._post(WorkerFailed(task_id, "another task still has the device", blameless=True))

    def warm(self) -> None:
        """Keep a worker started for the next task. WorkerCooled is posted when it ends by itself."""
        self._warmer.keep()

    def cool(self) -> None:
        """Keep none."""
        self._warmer.drop()

    def give_back(self, task_id: str, trigger: Trigger, deadline_ms: int, late_ms: float = 0.0) -> None:
        """Close the gate now; the worker is gone `deadline_ms` later at the latest. The signal arose `late_ms` before now, at most."""
        session = self._sessions.get(task_id)
        if session is not None:
            session.give_back(trigger, deadline_ms, late_ms)
        elif task_id not in self._unknown:  # its worker died with an earlier agent
            self._unknown.add(task_id)
            record = GiveBackRecord(task_id, trigger, time.time(), 0.0, None, 0, committed=False, detected_ms=late_ms, halt=Halt.OVER)
            self._post(GpuGivenBack(record, None))
        self._warmer.drop()  # a start that this overtook leaves it waiting

    def forget(self, task_id: str) -> None:
        """Remove what the task made on this machine, once its worker is gone."""
        with self._lock:
            session = self._sessions.pop(task_id, None)
        self._unknown.discard(task_id)
        if session is None or session.over:
            self._storing.submit(self._delete, self._blobs.forget(task_id))  # the names go now: the task may come back at once
        else:
            self._storing.submit(self._forget_later, task_id, session)

    def self_test(self) -> None:
        """Try the sandbox from the inside, and whether torch is there; posts SandboxTested and RuntimeFound."""
        thread = threading.Thread(target=self._test, name="sublet-self-test", daemon=True)
        self._tests = [*(one for one in self._tests if one.is_alive()), thread]
        thread.start()

    def close(self) -> None:
        """Kill the worker, and end every thread."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            if not session.over:
                session.give_back(Trigger.QUIT, 0)
        for session in sessions:
            session.thread.join()
        for thread in self._tests:
            thread.join()
        self._warmer.close()
        self._storing.shutdown()
        self._launcher.close()

    def _tools(self, manifest: Manifest, checkpoint: Checkpoint | None) -> Tools:
        log = WorkerLog(self._logs / "worker.log")
        return Tools(
            post=self._post,
            launch=partial(self._launch, manifest, checkpoint, log),
            keeper=Keeper(manifest.task_id, manifest.steps, checkpoint, self._blobs, self._post),
            stale=self._stale,
            log=log,
            storing=self._storing,
            uuid=self._device.uuid,
            vram=Vram(self._vram_free, self._vram_users),
            patience=self._tuning.patience,
            checkpoint_s=self._tuning.checkpoint_s,
            ram_bytes=manifest.limits.ram_mb * _MB,
        )

    def _launch(self, manifest: Manifest, checkpoint: Checkpoint | None, log: WorkerLog) -> HostedWorker:
        """Start the worker of a lease; called on the session's thread."""
        used = [blob.sha256 for blob in manifest.inputs] + ([checkpoint.sha256] if checkpoint else [])
        with suppress(OSError):  # the note only keeps them from being tidied away
            self._blobs.note_used(manifest.task_id, used)
        bounds = manifest.limits
        order = Order(
            kind=manifest.kind,
            inputs={blob.role: self._blobs.path(blob.sha256) for blob in manifest.inputs},
            params=dict(manifest.params),
            seed=manifest.seed,
            steps=manifest.steps,
            first_step=checkpoint.step if checkpoint else 0,
            checkpoint=self._blobs.path(checkpoint.sha256) if checkpoint else None,
            checkpoint_every=manifest.checkpoint_steps,
            bounds=Bounds(ram_mb=bounds.ram_mb, tmp_mb=min(bounds.disk_mb, 256), threads=self._tuning.threads),
            device=self._device,
            slot_bytes=min(max(bounds.ram_mb // 4, _SLOT_MB[0]), _SLOT_MB[1]) * _MB,
            output_bytes=bounds.output_mb * _MB,
            script=self._tuning.script,
        )
        return self._warmer.hand_over(order, log) or self._launcher.call(lambda: HostedWorker(order, log))

    def _start_ahead(self, order: Order) -> HostedWorker:
        """Start the worker that waits; called on its own thread."""
        log = WorkerLog(self._logs / "worker.log")
        return self._launcher.call(lambda: HostedWorker(order, log, Shelf(self._place)))

    def _forget_later(self, task_id: str, session: Session) -> None:
        session.thread.join()
        self._delete(self._blobs.forget(task_id))

    def _delete(self, places: list[Path]) -> None:
        self._blobs.delete(places)
        self._blobs.trim()

    def _test(self) -> None:
        tested = selftest.run(self._launcher.call, self._device)
        self._post(SandboxTested(tested.level, tested.checks, tested.fix))
        self._post(RuntimeFound(selftest.runtime_present(self._launcher.call), engine_here()))


def engine_here() -> str:
    """The engine that workers compute with, and its version: the sandbox sees the same packages as we do."""
    with suppress(PackageNotFoundError):
        return f"torch {version('torch')}"
    return ""
