"""One run of one task, from the start of its sandbox to the GPU being free: a thread of its own that listens to the worker.

The thread ends every run the same way: the sandbox is killed and gone, the device's memory is read back, and only then are
state or results put on the disk and the engine told. Used by `Supervisor`.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace

from desktop_app.adapters.supervisor.advice import fix_for_walls
from desktop_app.adapters.supervisor.channel import Breach
from desktop_app.adapters.supervisor.course import Course, Ending, Request, record
from desktop_app.adapters.supervisor.hosted import Event, Exited, HostedWorker
from desktop_app.adapters.supervisor.keeping import Keeper
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.adapters.supervisor.stale import Stale
from desktop_app.adapters.supervisor.vram import ReadBack, Vram
from desktop_app.adapters.supervisor.watch import Patience, Watch
from desktop_app.core import messages as m
from desktop_app.core.errors import AppError
from desktop_app.core.faults import HELD
from desktop_app.core.state import Check, Level, NoticeKind, Trigger
from desktop_app.core.task import Checkpoint, Manifest, Progress
from desktop_app.wire import ipc

log = logging.getLogger(__name__)

_TICK_S = 0.25
_PROGRESS_S = 0.25


@dataclass(frozen=True, slots=True)
class Tools:
    """What every session needs of the supervisor."""

    post: Callable[[m.Message], None]
    launch: Callable[[], HostedWorker]  # starts the worker, on the thread that stays
    keeper: Keeper
    stale: Stale
    log: WorkerLog
    storing: Executor
    uuid: str  # the device's
    vram: Vram  # this run's own
    patience: Patience
    checkpoint_s: float
    ram_bytes: int


class Session:
    """Runs itself; `give_back` may be called by any thread, at any time, and returns at once."""

    def __init__(self, manifest: Manifest, checkpoint: Checkpoint | None, tools: Tools) -> None:
        self._manifest, self._from, self._tools = manifest, checkpoint, tools
        self._course = Course(step=checkpoint.step if checkpoint else 0)
        self._lock = threading.Lock()
        self._request: Request | None = None
        self._closed = self._answered = False
        self._worker: HostedWorker | None = None
        self.thread = threading.Thread(target=self._live, name=f"sublet-worker-{manifest.task_id[:16]}", daemon=True)

    @property
    def over(self) -> bool:
        return self._closed

    def give_back(self, trigger: Trigger, deadline_ms: int, late_ms: float = 0.0) -> None:
        """Take the device back. A second call can only bring the deadline forward; one after the end is answered at once."""
        now = time.monotonic()
        with self._lock:
            first = self._request or Request(trigger, now + deadline_ms / 1000, now, time.time(), late_ms)
            self._request = replace(first, deadline=min(first.deadline, now + deadline_ms / 1000))
            worker, closed = self._worker, self._closed
            if worker is not None:
                worker.arena.close_gate()
                worker.wake()
        if closed:
            self._answer(now, ReadBack())

    def _live(self) -> None:
        """The thread."""
        tools, task_id = self._tools, self._manifest.task_id
        try:
            worker = tools.launch()
        except (OSError, AppError) as error:
            self._close(m.WorkerFailed(task_id, f"its sandbox could not be started: {error}", blameless=True), time.monotonic())
            return
        with self._lock:
            self._worker = worker
        try:
            ending = self._listen(worker)
        except Exception as error:  # whatever it was, the device must come free and the engine must hear
            ending = Ending(failure=f"the supervisor failed: {type(error).__name__}: {error}", blameless=True)
        self._course.ended = bool(ending.finished or ending.failure)
        gone = self._end(worker)
        memory = self._read_back()
        outcome = self._settle(worker, ending)
        with self._lock:
            self._worker = None
        worker.close()
        self._close(outcome, gone, memory)

    def _listen(self, worker: HostedWorker) -> Ending:
        """Until the run is over, for whatever reason."""
        tools, manifest = self._tools, self._manifest
        tools.vram.begin()
        tools.stale.note(manifest.task_id, worker.cage.outer.pid)
        self._course.stored = time.monotonic()
        watch = Watch(tools.patience, manifest.limits.wall_s, time.monotonic())
        while True:
            now = time.monotonic()
            if self._request and (not self._course.ready or now >= self._request.deadline):
                return Ending()
            try:
                events = worker.wait(min(_TICK_S, self._request.deadline - now) if self._request else _TICK_S)
            except Breach as breach:
                return Ending(failure=str(breach), trusted=False)
            for event in events:
                ending = self._hear(worker, watch, event)
                if ending:
                    return ending
            if self._request:
                self._hurry(worker)
                continue
            complaint = watch.complaint(time.monotonic()) or self._over_memory(worker)
            if complaint:
                return Ending(failure=complaint)
            self._store_now_and_then(worker)

    def _hear(self, worker: HostedWorker, watch: Watch, event: Event) -> Ending | None:
        now, manifest = time.monotonic(), self._manifest
        watch.heard(now)
        match event:
            case ipc.Hello(proto):
                if proto != ipc.PROTOCOL:
                    return Ending(failure="it speaks another protocol", trusted=False)
                fallen = worker.fallen()
                if fallen:
                    return self._refuse(fallen)
                self._course.met = True
                worker.load()
            case ipc.Ready() if not self._course.ready:
                self._course.ready = True
                watch.ready(self._course.step, now)
                tools = self._tools
                tools.stale.note(manifest.task_id, worker.cage.outer.pid, worker.cage.inner_pid)
                worker.cage.stand_back()
                tools.post(m.WorkerStarted(manifest.task_id, worker.cage.program_pid() or worker.cage.outer.pid))
            case ipc.Progress(step, _, loss, step_ms):
                self._progress(watch, Progress(min(step, manifest.steps), manifest.steps, loss, step_ms), now)
            case ipc.Committed(_, _, step):
                return self._committed(min(step, manifest.steps))
            case ipc.Finished() if self._course.ready:
                return Ending(finished=event)
            case ipc.Failed(kind, detail):
                return Ending(failure=f"{kind}: {detail}")
            case Exited(status):
                return Ending(failure=_obituary(status, self._tools.log.tail()), blameless=not self._course.met)
            case ipc.Finished() | ipc.Ready():
                return Ending(failure="it spoke out of turn", trusted=False)
            case _:
                pass
        return None

    def _refuse(self, fallen: tuple[Check, ...]) -> Ending:
        """The sandbox that was to shut the task in does not hold: nothing was handed over, and nothing more is offered."""
        names = ", ".join(check.name for check in fallen)
        self._tools.post(m.SandboxTested(Level.NONE, fallen, fix_for_walls(fallen)))
        self._tools.post(m.TroubleArose(NoticeKind.TROUBLE, f"a sandbox did not hold ({names}); the task was not begun"))
        return Ending(failure=f"its sandbox does not hold: {names}", blameless=True, trusted=False)

    def _progress(self, watch: Watch, progress: Progress, now: float) -> None:
        watch.reached(progress.step, progress.of, now)
        self._course.step = max(self._course.step, progress.step)
        if now - self._course.said >= _PROGRESS_S or progress.step == progress.of:
            self._course.said = now
            self._tools.post(m.WorkerProgressed(self._manifest.task_id, progress))

    def _committed(self, step: int) -> Ending | None:
        """The answer to the closed gate; at any other time it means nothing."""
        if self._request is None:
            return None
        self._course.committed = True
        self._course.step = max(self._course.step, step)
        return Ending()

    def _hurry(self, worker: HostedWorker) -> None:
        """The device is wanted back: the last step, the commit and the exit need not stand behind the owner's programs."""
        if not self._course.hurried:
            self._course.hurried = True
            worker.say(ipc.Yield())
            worker.cage.favour()

    def _over_memory(self, worker: HostedWorker) -> str | None:
        """The belt to the kernel's braces: shared memory escapes resource limits."""
        now = time.monotonic()
        if now - self._course.weighed < _TICK_S:
            return None
        self._course.weighed = now
        self._tools.vram.notice(worker.cage.processes)
        held = worker.cage.memory_bytes()
        return "it took more memory than it may" if held > self._tools.ram_bytes else None

    def _store_now_and_then(self, worker: HostedWorker) -> None:
        course = self._course
        if time.monotonic() - course.stored < self._tools.checkpoint_s:
            return
        if course.storing is None or course.storing.done():
            course.stored = time.monotonic()
            course.storing = self._tools.storing.submit(self._store, worker)

    def _store(self, worker: HostedWorker) -> None:
        checkpoint = self._tools.keeper.keep_state(worker.arena)
        if checkpoint:
            self._tools.post(m.CheckpointStored(self._manifest.task_id, checkpoint))

    def _end(self, worker: HostedWorker) -> float:
        """Kill and wait; the instant at which all of it was gone."""
        if not worker.end():
            self._tools.post(m.TroubleArose(NoticeKind.TROUBLE, "a task's process does not end; the driver may hang"))
        gone = time.monotonic()
        self._course.step = max(self._course.step, min(worker.arena.steps_done(), self._manifest.steps))
        self._tools.stale.clear(self._manifest.task_id)
        return gone

    def _read_back(self) -> ReadBack:
        """Whether the device's memory is free again; when it is not, nothing more may run on it."""
        memory = self._tools.vram.wait_free()
        if memory.held:
            log.error("two seconds after task %s was gone the driver still holds its memory", self._manifest.task_id)
            self._tools.post(m.GpuFaulted(self._tools.uuid, HELD))
        return memory

    def _settle(self, worker: HostedWorker, ending: Ending) -> m.Message | None:
        """The device is free: keep what there is to keep; what to tell the engine, None for a plain give-back."""
        task_id, keeper = self._manifest.task_id, self._tools.keeper
        if self._course.storing:
            with suppress(Exception):  # it only touches the disk, and has told what was wrong
                self._course.storing.result()
        failure, blameless = ending.failure, ending.blameless
        if ending.finished:
            try:
                result = keeper.keep_results(worker.arena, ending.finished.files)
            except ValueError as error:
                result, failure = None, f"its result is not what it says: {error}"
            if result is not None:
                self._course.finished = True
                return m.WorkerFinished(task_id, result, tuple(sorted(ending.finished.metrics.items())))
            failure, blameless = failure or "its result could not be saved", not failure
        if ending.trusted:
            checkpoint = keeper.keep_state(worker.arena)
            if checkpoint and not self._request:
                self._tools.post(m.CheckpointStored(task_id, checkpoint))
        return m.WorkerFailed(task_id, failure, blameless) if failure else None

    def _close(self, outcome: m.Message | None, gone: float, memory: ReadBack | None = None) -> None:
        with self._lock:  # who hears the outcome may start the next task at once, and the answer to a give-back comes after it
            self._closed = True
            if outcome:
                self._tools.post(outcome)
            asked = self._request is not None
        if asked:
            self._answer(gone, memory or ReadBack())

    def _answer(self, gone: float, memory: ReadBack) -> None:
        """One record per run, however often it was asked for."""
        with self._lock:
            request, first = self._request, not self._answered
            self._answered = True
        if request is None or not first:
            return
        checkpoint = self._tools.keeper.newest
        given = record(self._manifest.task_id, request, self._course, checkpoint, gone, memory)
        log.info("given back: %s", given)
        self._tools.post(m.GpuGivenBack(given, checkpoint))


def _obituary(status: int, tail: str) -> str:
    """How a worker that nobody killed ended, in words."""
    how = "it was killed, most likely for its memory" if status in (-9, 137) else f"it ended by itself with status {status}"
    return f"{how}. {tail}".strip()
