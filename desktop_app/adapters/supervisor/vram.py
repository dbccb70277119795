"""Whether the device's own memory is free again: read back, not assumed, before the owner is told. Used by the session.

The owner's own program may take memory the moment the task is gone, or have taken it before: that is why the task had to go.
So where the driver lists who uses the card, and was seen to list our processes, what counts is that they are no longer in
the list; elsewhere, that as much is free as before the task.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_PATIENCE_S = 2.0
_PAUSE_S = 0.005
_SLACK = 64 << 20  # what the driver and the desktop may have taken since the task began


@dataclass(frozen=True, slots=True)
class ReadBack:
    """`at`: the instant (monotonic) at which the memory was seen free; None where it was not, or there is nothing to read.

    `held`: it was read, and was not free when the patience was over.
    """

    at: float | None = None
    held: bool = False


class Vram:
    """One run's view of the device's memory.

    `free` says how many bytes are free, `users` which processes hold memory, by the numbers this machine knows them by; both
    None where it cannot be told.
    """

    def __init__(self, free: Callable[[], int | None] | None, users: Callable[[], frozenset[int] | None] | None) -> None:
        self._free = free or _untold
        self._users = users or _untold
        self._baseline: int | None = None
        self._ours: frozenset[int] = frozenset()

    @property
    def listed(self) -> bool:
        """Whether the driver was seen to list the run's processes, so that its list can be believed when they are not in it."""
        return bool(self._ours)

    def begin(self) -> None:
        """The run begins: what is free now is to be free again."""
        self._baseline = self._free()

    def notice(self, processes: Callable[[], Iterable[int]]) -> None:
        """While the run lasts: see whether the driver lists its processes. Cheap once it does."""
        if not self._ours and self._baseline is not None:
            users = self._users()
            self._ours = users.intersection(processes()) if users else frozenset()

    def wait_free(self) -> ReadBack:
        """After the run's end: wait until its memory is free, two seconds at most. The last look begins when they are over."""
        if self._baseline is None:
            return ReadBack()
        end = time.monotonic() + _PATIENCE_S
        while True:
            last = time.monotonic() >= end  # a machine that stood still may have looked once, and long ago
            outcome = self._is_free(self._baseline)
            if outcome is not False or last:
                return ReadBack(time.monotonic() if outcome else None, held=outcome is False)
            time.sleep(_PAUSE_S)

    def _is_free(self, baseline: int) -> bool | None:
        """None: the driver does not say any more."""
        users = self._users() if self._ours else None
        if users is not None:
            return not users & self._ours
        free = self._free()
        return None if free is None else free >= baseline - _SLACK


def _untold() -> None:
    return None
