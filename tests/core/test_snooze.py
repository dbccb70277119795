"""Until tomorrow is six in the morning on the owner's clock, whatever the clock does in between."""

from datetime import UTC, datetime, timedelta

import pytest

from desktop_app.core.schedule import Zone, local
from desktop_app.core.snooze import SNOOZES, tomorrow_morning

BERLIN_SPRING = Zone("Europe/Berlin", 3600, ((int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()), 7200),))


@pytest.mark.parametrize(
    ("now", "zone", "then"),
    [
        (datetime(2026, 11, 25, 16, 20, tzinfo=UTC), Zone("UTC", 0), datetime(2026, 11, 26, 6, tzinfo=UTC)),
        (datetime(2026, 11, 25, 0, 5, tzinfo=UTC), Zone("UTC", 0), datetime(2026, 11, 26, 6, tzinfo=UTC)),
        (datetime(2026, 11, 25, 23, 30, tzinfo=UTC), Zone("Europe/Berlin", 3600), datetime(2026, 11, 27, 5, tzinfo=UTC)),
        (datetime(2026, 3, 28, 20, tzinfo=UTC), BERLIN_SPRING, datetime(2026, 3, 29, 4, tzinfo=UTC)),
        (datetime(2026, 11, 25, 16, tzinfo=UTC), Zone("Asia/Kathmandu", 20_700), datetime(2026, 11, 26, 0, 15, tzinfo=UTC)),
    ],
)
def test_six_in_the_morning_of_the_next_day(now: datetime, zone: Zone, then: datetime) -> None:
    assert tomorrow_morning(now, zone) == then
    assert local(then, zone).hour == 6


def test_the_pauses_offered() -> None:
    assert [span / timedelta(minutes=1) for span in SNOOZES] == [15, 60, 180, 360, 720]
