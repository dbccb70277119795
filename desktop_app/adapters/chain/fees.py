"""What gas may cost: offers under EIP-1559, and how far one is raised when a transaction waits too long.

Prices in wei per gas. Nothing is asked here. Called by `sending.py` and `relaying.py`.
"""

from dataclasses import dataclass
from typing import Final

STEP: Final = 8
"""A replacement offers an eighth (12.5 %) more of both prices: nodes want 10 % of each, and leave dust aside."""
MOST_TIMES: Final = 10
"""A transaction is never raised above ten times what it offered first; from there on it waits."""
_BLOCKS_AHEAD: Final = 2  # twice the base fee outlasts six full blocks


@dataclass(frozen=True, slots=True)
class Offer:
    """What a transaction offers for its gas: at most `most`, of which `tip` is the block's maker's."""

    most: int
    tip: int


def offer(base_fee: int, tip: int) -> Offer:
    """What a new transaction offers now."""
    return Offer(_BLOCKS_AHEAD * base_fee + tip, tip)


def raised(before: Offer, now: Offer, first: Offer) -> Offer | None:
    """A replacement's offer: an eighth above `before`, or what a new one offers `now`, if that is more.

    None when that is more than MOST_TIMES the `first`.
    """
    ceiling = MOST_TIMES * first.most
    least = Offer(_step(before.most), _step(before.tip))
    if least.most > ceiling:
        return None
    most = min(max(least.most, now.most), ceiling)
    return Offer(most, min(max(least.tip, now.tip), most))


def _step(price: int) -> int:
    return price + -(-price // STEP) + (price == 0)
