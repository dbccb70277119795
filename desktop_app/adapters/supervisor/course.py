"""What a session notes about its run: that the device is wanted back, how far the worker is, why it ended. Used by `session`."""

from concurrent.futures import Future
from dataclasses import dataclass

from desktop_app.core.state import Trigger
from desktop_app.wire import ipc


@dataclass(frozen=True, slots=True)
class Request:
    """A give-back: what triggered it, and when."""

    trigger: Trigger
    deadline: float  # monotonic
    asked: float  # monotonic
    at: float  # unix


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
    finished: bool = False
    step: int = 0
    said: float = 0.0
    weighed: float = 0.0
    stored: float = 0.0
    baseline: int | None = None
    storing: "Future[None] | None" = None
