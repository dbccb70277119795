"""The weekly schedule: 7 × 48 half-hour cells of local time, and the questions asked of it.

Everything is a level, never an edge: the cell is found from the instant through the zone, and the next change by scanning
instants, so that overnight windows, daylight saving and a clock that jumps need no case of their own. The zone comes in as
data (`Zone`), built by the clock adapter, so that a story can be replayed anywhere. Called by the policy and the
schedule page.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

CELLS_PER_DAY = 48
CELLS_PER_WEEK = 7 * CELLS_PER_DAY
_SCAN = timedelta(minutes=15)  # every zone in use is offset by whole quarters of an hour


class Cell(StrEnum):
    """What one half hour allows; the value is its letter in the stored string."""

    OFF = "-"
    AWAY = "a"  # share when the owner is away
    ALWAYS = "s"


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as data: its name, the offset now, and the changes to come as (unix seconds, new offset), soonest first."""

    name: str = "UTC"
    offset_s: int = 0
    changes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """336 letters, Monday 00:00 first."""

    cells: str = Cell.ALWAYS.value * CELLS_PER_WEEK

    def __post_init__(self) -> None:
        """Refuse a string that is no week."""
        if len(self.cells) != CELLS_PER_WEEK or set(self.cells) - {cell.value for cell in Cell}:
            raise ValueError(f"a schedule is {CELLS_PER_WEEK} letters of '-', 'a' and 's'")


def local(instant: datetime, zone: Zone) -> datetime:
    """The wall clock at `instant` (aware UTC), as a naive datetime."""
    offset = zone.offset_s
    for moment, after in zone.changes:
        if instant.timestamp() < moment:
            break
        offset = after
    return instant.replace(tzinfo=None) + timedelta(seconds=offset)


def local_date(instant: datetime, zone: Zone) -> date:
    """The calendar day the owner sees at `instant`."""
    return local(instant, zone).date()


def cell_at(schedule: Schedule, instant: datetime, zone: Zone) -> Cell:
    """What the schedule allows at `instant`."""
    wall = local(instant, zone)
    half_hour = wall.hour * 2 + wall.minute // 30
    return Cell(schedule.cells[wall.weekday() * CELLS_PER_DAY + half_hour])


def next_change(schedule: Schedule, instant: datetime, zone: Zone) -> datetime | None:
    """The first instant after `instant` at which the cell differs; None when all the coming week is alike."""
    quarter = int(instant.timestamp()) // int(_SCAN.total_seconds()) * int(_SCAN.total_seconds())
    return _change_after(schedule, datetime.fromtimestamp(quarter, instant.tzinfo), zone)


@lru_cache(maxsize=16)
def _change_after(schedule: Schedule, probe: datetime, zone: Zone) -> datetime | None:
    """The scan, from a whole quarter of an hour; remembered, since the policy asks after every message."""
    here = cell_at(schedule, probe, zone)
    last = probe + timedelta(days=8)
    while probe < last:
        probe += _SCAN
        if cell_at(schedule, probe, zone) is not here:
            return probe
    return None


def paint(schedule: Schedule, places: frozenset[int], cell: Cell) -> Schedule:
    """The schedule with every place (0…335) in `places` set to `cell`; places outside the week are ignored."""
    return Schedule("".join(cell.value if place in places else letter for place, letter in enumerate(schedule.cells)))
