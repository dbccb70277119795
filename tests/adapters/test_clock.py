"""The owner's zone as data says the same as the zone database, also on the two days of the year that have no 24 hours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from desktop_app.adapters import clock
from desktop_app.adapters.clock import Clock, zone_at
from desktop_app.core.schedule import Cell, Schedule, Zone, cell_at, local, next_change, paint

BERLIN = ZoneInfo("Europe/Berlin")


def test_now_is_aware_and_in_utc() -> None:
    now = Clock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("name", "instant"),
    [
        ("Europe/Berlin", datetime(2026, 3, 26, 11, 7, 3, tzinfo=UTC)),  # the clock goes forward on the 29th
        ("Europe/Berlin", datetime(2026, 10, 22, 11, 7, 3, tzinfo=UTC)),  # and back on the 25th
        ("Europe/Berlin", datetime(2026, 7, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 1, tzinfo=UTC)),  # half an hour of daylight saving
        ("Asia/Kathmandu", datetime(2026, 1, 1, tzinfo=UTC)),  # 5:45
        ("Africa/Casablanca", datetime(2026, 2, 12, tzinfo=UTC)),  # Ramadan
        ("UTC", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_wall_clock_agrees_with_the_zone_database_for_eight_days(name: str, instant: datetime) -> None:
    place = ZoneInfo(name)
    zone = zone_at(place, instant)
    for minutes in range(0, 8 * 24 * 60, 5):
        later = instant + timedelta(minutes=minutes)
        assert local(later, zone) == later.astimezone(place).replace(tzinfo=None), later


def test_a_change_is_known_to_the_second() -> None:
    spring = zone_at(BERLIN, datetime(2026, 3, 26, 11, 7, 3, tzinfo=UTC))
    assert spring == Zone("Europe/Berlin", 3600, ((int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()), 7200),))
    autumn = zone_at(BERLIN, datetime(2026, 10, 24, 23, 0, 0, tzinfo=UTC))
    assert autumn == Zone("Europe/Berlin", 7200, ((int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()), 3600),))


def test_a_window_over_the_changed_night_opens_and_closes_by_the_wall_clock() -> None:
    """Sunday 01:00 to 05:00: three hours long in spring, five in autumn."""
    window = paint(Schedule("-" * 336), frozenset(range(6 * 48 + 2, 6 * 48 + 10)), Cell.ALWAYS)
    for opens, hours in ((datetime(2026, 3, 29, tzinfo=UTC), 3), (datetime(2026, 10, 24, 23, tzinfo=UTC), 5)):
        zone = zone_at(BERLIN, opens - timedelta(hours=5))
        assert next_change(window, opens - timedelta(hours=5), zone) == opens
        assert cell_at(window, opens, zone) is Cell.ALWAYS
        assert next_change(window, opens, zone) == opens + timedelta(hours=hours)


def test_the_machines_own_zone_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    one = Clock()
    assert one.zone().offset_s == 0
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert one.zone().offset_s == 0, "the system is asked at most every ten minutes"
    monkeypatch.setattr(clock, "LOOK_AGAIN_S", 0)
    assert one.zone() == Zone("Asia/Tokyo", 9 * 3600, ())


def test_a_machine_that_does_not_tell_lives_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "No/Such_Place")
    assert Clock().zone() == Zone("UTC", 0, ())
