"""What a session notes about its run: that the device is wanted back, how far the worker is, why it ended. Used by `session`."""

from concurrent.futures import Future
from dataclasses import dataclass

from desktop_app.adapters.supervisor.vram import ReadBack
from desktop_app.core.state import GiveBackRecord, Halt, Trigger
from desktop_app.core.task import Checkpoint
from desktop_app.wire import ipc


@dataclass(frozen=True, slots=True)
class Request:
    """A give-back: what triggered it, and when; `late_ms` before that, at most, its signal arose."""

    trigger: Trigger
    deadline: float  # monotonic
    asked: float  # monotonic
    at: float  # unix
    late_ms: float


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the run is over. `trusted`: the state in the arena may be kept."""

    finished: ipc.Finished | None = None
    failure: str = ""
    blameless: bool = False
    trusted: bool = True


@dataclass(slots=True)
class Course:
    """How far the run is."""

    met: bool = False  # it said Hello: the sandbox stands
    ready: bool = False
    hurried: bool = False
    committed: bool = False
    ended: bool = False  # by itself, or for breaking a rule
    finished: bool = False
    step: int = 0
    said: float = 0.0
    weighed: float = 0.0
    stored: float = 0.0
    storing: "Future[None] | None" = None


def record(task_id: str, request: Request, course: Course, kept: Checkpoint | None, gone: float, memory: ReadBack) -> GiveBackRecord:
    """How a give-back went. `gone`: the instant (monotonic) at which all of the worker was gone; `kept`: the newest checkpoint."""
    halt = _halt(request, course, gone)
    intact = course.finished or halt is Halt.OVER  # whatever was lost before the device was asked back, this did not lose
    return GiveBackRecord(
        task_id=task_id,
        trigger=request.trigger,
        at=request.at,
        stopped_ms=max(0.0, 1000 * (gone - request.asked)),
        vram_free_ms=None if memory.at is None else max(0.0, 1000 * (memory.at - request.asked)),
        steps_lost=0 if intact else max(0, course.step - (kept.step if kept else 0)),
        committed=course.committed,
        detected_ms=request.late_ms,
        halt=halt,
        held=memory.held,
    )


def _halt(request: Request, course: Course, gone: float) -> Halt:
    if gone <= request.asked:
        return Halt.OVER
    if course.committed:
        return Halt.YIELDED
    if course.ended:
        return Halt.ENDED
    return Halt.KILLED if course.ready else Halt.LOADING
