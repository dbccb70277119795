"""When a worker has had its chance: the rules by which one that hangs is told from one that works. Pure, its clock is given.

Used by the session. Times in seconds.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may take."""

    start_s: float = 180.0  # torch, data, model
    silence_s: float = 30.0  # a beat comes every second
    stall_s: float = 30.0  # without a step, or ten median steps if that is longer
    result_s: float = 120.0  # after the last step


class Watch:
    """One worker's signs of life."""

    def __init__(self, patience: Patience, wall_s: float, now: float) -> None:
        self._patience, self._wall_s, self._begun = patience, wall_s, now
        self._ready: float | None = None
        self._heard = now
        self._moved = now
        self._step = 0
        self._all_done = False
        self._paces: deque[float] = deque(maxlen=32)

    def ready(self, first_step: int, now: float) -> None:
        """The task is loaded."""
        self._ready = self._moved = now
        self._step = first_step

    def heard(self, now: float) -> None:
        """Any message came."""
        self._heard = now

    def reached(self, step: int, of: int, now: float) -> None:
        """The worker says it is at `step`."""
        if step > self._step:
            self._paces.append((now - self._moved) / (step - self._step))
            self._step, self._moved = step, now
            self._all_done = step >= of

    def complaint(self, now: float) -> str | None:
        """Why the worker must be stopped, or None."""
        if now - self._begun > self._wall_s:
            return f"it took longer than the {self._wall_s:.0f} s it may take"
        if self._ready is None:
            return f"it was not ready after {self._patience.start_s:.0f} s" if now - self._begun > self._patience.start_s else None
        if now - self._heard > self._patience.silence_s:
            return f"it gave no sign of life for {self._patience.silence_s:.0f} s"
        allowed = self._patience.result_s if self._all_done else max(self._patience.stall_s, 10 * self._pace())
        return f"it made no step for {allowed:.0f} s" if now - self._moved > allowed else None

    def _pace(self) -> float:
        return median(self._paces) if self._paces else 0.0
