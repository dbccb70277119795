"""The week is read through the owner's clock: overnight, across daylight saving both ways, and after a clock that jumped."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.schedule import CELLS_PER_DAY, CELLS_PER_WEEK, Cell, Schedule, Zone, cell_at, local, local_date, next_change, paint
from desktop_app.core.snooze import MORNING_HOUR, SNOOZES, tomorrow_morning

HOUR = 3_600


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def unix(text: str) -> int:
    return int(moment(text).timestamp())


SPRING = Zone("Europe/Berlin", HOUR, ((unix("2026-03-29T01:00"), 2 * HOUR),))  # 02:00 becomes 03:00
AUTUMN = Zone("Europe/Berlin", 2 * HOUR, ((unix("2026-10-25T01:00"), HOUR),))  # 03:00 becomes 02:00
NEPAL = Zone("Asia/Kathmandu", 5 * HOUR + 45 * 60)
WEST = Zone("America/Los_Angeles", -8 * HOUR)


def week(**cells: str) -> Schedule:
    """A week of OFF, with spans of a day set: `mon="22-24 s"`."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    letters = [Cell.OFF.value] * CELLS_PER_WEEK
    for day, text in cells.items():
        span, letter = text.split()
        first, last = (round(float(hour) * 2) for hour in span.split("-"))
        at = days.index(day) * CELLS_PER_DAY
        letters[at + first : at + last] = letter * (last - first)
    return Schedule("".join(letters))


@pytest.mark.parametrize("cells", ["", "s" * 335, "s" * 337, "x" * 336, "S" * 336])
def test_a_string_that_is_no_week_is_refused(cells: str) -> None:
    with pytest.raises(ValueError, match="336 letters"):
        Schedule(cells)


def test_the_default_week_shares_always_and_never_changes() -> None:
    assert cell_at(Schedule(), moment("2026-06-03T12:00"), Zone()) is Cell.ALWAYS
    assert next_change(Schedule(), moment("2026-06-03T12:00"), Zone()) is None


def test_a_cell_is_found_by_the_owners_wall_clock() -> None:
    schedule = week(mon="0-0.5 s", sun="23.5-24 a")
    assert cell_at(schedule, moment("2026-06-01T00:00"), Zone()) is Cell.ALWAYS
    assert cell_at(schedule, moment("2026-06-01T00:30"), Zone()) is Cell.OFF
    assert cell_at(schedule, moment("2026-05-31T23:59:59.999999"), Zone()) is Cell.AWAY
    assert cell_at(schedule, moment("2026-06-01T08:00"), WEST) is Cell.ALWAYS
    assert cell_at(schedule, moment("2026-05-31T18:15"), NEPAL) is Cell.ALWAYS
    assert cell_at(schedule, moment("2026-05-31T18:14"), NEPAL) is Cell.AWAY


def test_a_window_over_midnight_is_one_window() -> None:
    schedule = week(fri="22-24 s", sat="0-6 s")
    assert next_change(schedule, moment("2026-06-05T21:00"), Zone()) == moment("2026-06-05T22:00")
    assert next_change(schedule, moment("2026-06-05T22:00"), Zone()) == moment("2026-06-06T06:00")
    assert next_change(schedule, moment("2026-06-06T05:59:59"), Zone()) == moment("2026-06-06T06:00")
    assert next_change(schedule, moment("2026-06-06T06:00"), Zone()) == moment("2026-06-12T22:00")


def test_the_week_goes_round_from_sunday_to_monday() -> None:
    schedule = week(sun="23-24 s", mon="0-1 s")
    assert next_change(schedule, moment("2026-06-07T23:10"), Zone()) == moment("2026-06-08T01:00")


def test_in_spring_a_window_in_the_hour_that_is_skipped_never_opens() -> None:
    schedule = week(sun="2-3 s")
    assert local(moment("2026-03-29T00:59"), SPRING) == datetime(2026, 3, 29, 1, 59)
    assert local(moment("2026-03-29T01:00"), SPRING) == datetime(2026, 3, 29, 3, 0)
    assert next_change(schedule, moment("2026-03-28T12:00"), SPRING) == moment("2026-04-05T00:00")


def test_in_spring_a_night_is_an_hour_shorter() -> None:
    schedule = week(sat="22-24 s", sun="0-6 s")
    end = next_change(schedule, moment("2026-03-28T21:00"), SPRING)
    assert end == moment("2026-03-29T04:00")
    assert end - moment("2026-03-28T21:00") == timedelta(hours=7)


def test_in_autumn_the_hour_that_comes_twice_counts_twice() -> None:
    schedule = week(sun="2-3 s")
    assert next_change(schedule, moment("2026-10-24T12:00"), AUTUMN) == moment("2026-10-25T00:00")
    assert cell_at(schedule, moment("2026-10-25T00:30"), AUTUMN) is Cell.ALWAYS
    assert cell_at(schedule, moment("2026-10-25T01:30"), AUTUMN) is Cell.ALWAYS
    assert next_change(schedule, moment("2026-10-25T00:00"), AUTUMN) == moment("2026-10-25T02:00")


def test_a_change_of_offset_that_lies_behind_counts() -> None:
    assert local(moment("2026-10-26T12:00"), AUTUMN) == datetime(2026, 10, 26, 13, 0)
    assert local(moment("2026-10-24T12:00"), AUTUMN) == datetime(2026, 10, 24, 14, 0)


def test_the_day_is_the_owners_day() -> None:
    assert local_date(moment("2026-06-01T07:30"), WEST) == date(2026, 5, 31)
    assert local_date(moment("2026-06-01T07:30"), NEPAL) == date(2026, 6, 1)


def test_painting_changes_only_the_places_named() -> None:
    painted = paint(Schedule(), frozenset({0, 335, 336, -1}), Cell.OFF)
    assert painted.cells == "-" + "s" * 334 + "-"


quarters = st.integers(0, 700).map(lambda quarter: unix("2026-06-01T00:00") + quarter * 900)
changes = st.tuples(st.tuples(quarters, st.sampled_from([-HOUR, 2 * HOUR])))
zones = st.builds(Zone, st.just("somewhere"), st.integers(-48, 56).map(lambda quarter: quarter * 900), st.one_of(st.just(()), changes))
schedules = st.lists(st.sampled_from("-as"), min_size=14, max_size=14).map(lambda halves: Schedule("".join(one * 24 for one in halves)))
instants = st.integers(0, 8 * 86_400).map(lambda seconds: moment("2026-06-01T00:00") + timedelta(seconds=seconds))


@settings(deadline=None)
@given(schedules, instants, zones)
def test_until_the_next_change_nothing_changes_and_then_it_does(schedule: Schedule, instant: datetime, zone: Zone) -> None:
    """Whatever the zone does and wherever the clock has just jumped to."""
    here = cell_at(schedule, instant, zone)
    change = next_change(schedule, instant, zone)
    end = instant + timedelta(days=7) if change is None else change
    quarter = datetime.fromtimestamp(int(instant.timestamp()) // 900 * 900, UTC) + timedelta(minutes=15)
    while quarter < end:
        assert cell_at(schedule, quarter, zone) is here
        quarter += timedelta(minutes=15)
    if change is not None:
        assert instant < change
        assert cell_at(schedule, change, zone) is not here


def test_the_pauses_go_from_a_quarter_of_an_hour_to_half_a_day() -> None:
    assert [pause.total_seconds() / 60 for pause in SNOOZES] == [15, 60, 180, 360, 720]


@pytest.mark.parametrize(
    ("now", "zone", "morning"),
    [
        ("2026-06-03T12:00", Zone(), "2026-06-04T06:00"),
        ("2026-06-03T00:00", Zone(), "2026-06-04T06:00"),
        ("2026-06-03T23:59:59", Zone(), "2026-06-04T06:00"),
        ("2026-06-03T12:00", NEPAL, "2026-06-04T00:15"),
        ("2026-06-03T20:00", WEST, "2026-06-04T14:00"),
        ("2026-03-28T20:00", SPRING, "2026-03-29T04:00"),
        ("2026-10-24T20:00", AUTUMN, "2026-10-25T05:00"),
    ],
)
def test_until_tomorrow_is_six_in_the_morning_of_the_owners_next_day(now: str, zone: Zone, morning: str) -> None:
    assert tomorrow_morning(moment(now), zone) == moment(morning)
    assert local(moment(morning), zone).hour == MORNING_HOUR
