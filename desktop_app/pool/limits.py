"""How often one owner or renter may have the pool's ether spent, and how often all of them together.

Token buckets, one per kind and asker, in memory: a pool that starts again begins generously, and what is forgotten is only how
much somebody had asked. Who is refused hears when to come again. Called by the pool's desk.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from desktop_app.wire.market import Refusal

MOST_ASKERS: Final = 10_000
"""So many are remembered; beyond them whoever was silent longest is forgotten."""

_HOUR_S: Final = 3_600
_EVERYBODY: Final = ""


class Kind(StrEnum):
    """What is limited, in the plural in which the refusal names it."""

    REGISTRATION = "registrations"
    QUOTE = "quotes"
    CASH_OUT = "cash-outs"
    OPENING = "job openings"
    REDEMPTION = "redemptions"


@dataclass(frozen=True, slots=True)
class Allowance:
    """`burst` at once, then `hourly` in each hour; `together` in each hour for all askers of one pool."""

    burst: int
    hourly: int
    together: int


ALLOWANCES: Final = {
    Kind.REGISTRATION: Allowance(burst=12, hourly=12, together=3_600),
    Kind.QUOTE: Allowance(burst=60, hourly=120, together=36_000),
    Kind.CASH_OUT: Allowance(burst=12, hourly=6, together=3_600),
    Kind.OPENING: Allowance(burst=60, hourly=600, together=3_600),
    Kind.REDEMPTION: Allowance(burst=60, hourly=60, together=3_600),
}


@dataclass(slots=True)
class _Bucket:
    tokens: float
    seen: float


class Limits:
    """The buckets of one pool. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[Kind, str], _Bucket] = OrderedDict()

    def take(self, kind: Kind, asker: str) -> Refusal | None:
        """Count one more, or say when there will be room for it. `asker` is an address or a GPU's account."""
        allowance = ALLOWANCES[kind]
        own = self._bucket(kind, asker.lower(), allowance.burst, allowance.hourly)
        everybody = self._bucket(kind, _EVERYBODY, allowance.together, allowance.together)
        wait = max(_wait(own, allowance.hourly), _wait(everybody, allowance.together))
        if wait > 0:
            whose = "you have asked for" if own.tokens < 1 else "this market is asked for"
            return Refusal(f"{whose} too many {kind.value} within the hour; ask again in {_span(wait)}", own=True)
        own.tokens -= 1
        everybody.tokens -= 1
        return None

    def give_back(self, kind: Kind, asker: str) -> None:
        """What was taken cost nothing after all."""
        allowance = ALLOWANCES[kind]
        for who, most in ((asker.lower(), allowance.burst), (_EVERYBODY, allowance.together)):
            bucket = self._buckets.get((kind, who))
            if bucket is not None:
                bucket.tokens = min(bucket.tokens + 1, most)

    def __len__(self) -> int:
        return len(self._buckets)

    def _bucket(self, kind: Kind, asker: str, burst: int, hourly: int) -> _Bucket:
        now, key = self._clock(), (kind, asker)
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.seen) * hourly / _HOUR_S)
        bucket.seen = now
        self._buckets.move_to_end(key)
        while len(self._buckets) > MOST_ASKERS:
            self._buckets.popitem(last=False)
        return bucket


def _wait(bucket: _Bucket, hourly: int) -> float:
    """Seconds until there is a token."""
    return max(0.0, (1 - bucket.tokens) * _HOUR_S / hourly)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
