"""How long a look for the owner takes. For the tests of presence."""

import statistics
import time

from desktop_app.adapters.presence import PresenceSensor


def pace(sensor: PresenceSensor, looks: int = 9) -> float:
    """The median length of a look in seconds, so that one that was robbed of its processor does not count."""
    times = []
    for _ in range(looks):
        started = time.perf_counter()
        sensor.sense()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
