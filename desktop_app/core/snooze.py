"""The pauses an owner may choose, and the instant "until tomorrow" means.

Called by the tray's menu, the home page and the command line, so that all three offer the same.
"""

from datetime import datetime, timedelta

from desktop_app.core.schedule import Zone, local, local_date

SNOOZES: tuple[timedelta, ...] = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 180, 360, 720))
MORNING_HOUR = 6
_QUARTER = timedelta(minutes=15)


def tomorrow_morning(now: datetime, zone: Zone) -> datetime:
    """The instant (aware UTC) of six o'clock on the owner's next calendar day; found by scanning, so DST needs no case."""
    today = local_date(now, zone)
    quarter = int(_QUARTER.total_seconds())
    probe = datetime.fromtimestamp(int(now.timestamp()) // quarter * quarter, now.tzinfo)
    while local_date(probe, zone) <= today or local(probe, zone).hour < MORNING_HOUR:
        probe += _QUARTER
    return probe
