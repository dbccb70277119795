"""What time it is, and what the owner's wall clock makes of it.

The core knows no clock and no zone file; it gets instants in UTC and a `Zone` as data. Made by the composition root,
which posts `ClockTicked`.
"""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfoNotFoundError

import tzlocal

from desktop_app.core.schedule import Zone

LOOK_AGAIN_S = 600  # a machine that travels learns its new zone within this time
_AHEAD = timedelta(days=8)  # a week and a day: `next_change` looks no further
_STEP = timedelta(hours=6)  # no zone changes twice within it


class Clock:
    """The machine's clock. Asking for the zone is cheap: the system is asked at most every ten minutes."""

    def __init__(self) -> None:
        self._zone = Zone()
        self._looked = -float(LOOK_AGAIN_S)

    def now(self) -> datetime:
        """This instant, aware, in UTC."""
        return datetime.now(UTC)

    def zone(self) -> Zone:
        """The machine's zone; a machine that does not tell is taken to live in UTC."""
        if time.monotonic() - self._looked >= LOOK_AGAIN_S:
            self._looked = time.monotonic()
            self._zone = zone_at(_local_zone(), self.now())
        return self._zone


def zone_at(place: tzinfo, instant: datetime) -> Zone:
    """A time zone as data: its offset at `instant` (aware UTC) and its changes in the eight days that follow."""
    offset = here = _offset(place, instant)
    changes = []
    left = instant
    while left < instant + _AHEAD:
        right = left + _STEP
        after = _offset(place, right)
        if after != here:
            changes.append((_moment(place, left, right), after))
            here = after
        left = right
    return Zone(str(place), offset, tuple(changes))


def _local_zone() -> tzinfo:
    try:
        return tzlocal.reload_localzone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _offset(place: tzinfo, instant: datetime) -> int:
    offset = instant.astimezone(place).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _moment(place: tzinfo, left: datetime, right: datetime) -> int:
    """The first unix second in (left, right] with the offset of `right`."""
    low, high = int(left.timestamp()), int(right.timestamp())
    after = _offset(place, right)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(place, datetime.fromtimestamp(middle, UTC)) == after:
            high = middle
        else:
            low = middle
    return high
