"""How long a machine that does much else kept a test from running, so that what is timed meanwhile is not blamed for it.

Used by the tests that hold the give-back to a bound of time beside other tests.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NAP_S, _USUAL_S = 0.01, 0.05


@contextmanager
def standstill() -> Iterator[Callable[[], float]]:
    """What is yielded says for how many milliseconds, since then, a thread with nothing to do but to wake was not woken."""
    ended, lock = threading.Event(), threading.Lock()
    begun, lost = time.monotonic(), 0.0

    def lost_ms() -> float:
        """With what this nap has lost so far: who asks may have been woken first."""
        with lock:
            late = time.monotonic() - begun - _NAP_S
            return 1000 * (lost + (late if late > _USUAL_S else 0.0))

    def nap() -> None:
        nonlocal begun, lost
        while not ended.wait(_NAP_S):
            counted = lost_ms() / 1000
            with lock:
                begun, lost = time.monotonic(), counted

    thread = threading.Thread(target=nap, name="standstill")
    thread.start()
    try:
        yield lost_ms
    finally:
        ended.set()
        thread.join()
