"""When a voucher is redeemed: the rule of every keeper, the pool's and the owner's own.

A redemption costs gas whatever it pays, so vouchers wait: for an amount, for a day, or for the day of grace after their job's
deadline, after which the renter may take back what was not redeemed. Called by `update`, the pool's keeper and the agent.
"""

from dataclasses import dataclass
from typing import Final

from desktop_app.core.money import DOLLAR, MicroUsd, fee, gross

LEAST: Final = MicroUsd(2 * DOLLAR)
LONGEST_S: Final = 24 * 3_600
GRACE_S: Final = 24 * 3_600
"""Seconds after a job's deadline in which its vouchers still count (`EscrowJobs.GRACE`)."""

OWN_MARGIN_S: Final = 12 * 3_600
"""So long before the end the owner's app no longer waits for the pool's keeper."""

ASK_AGAIN_S: Final = 600


@dataclass(frozen=True, slots=True)
class Keeping:
    """What an owner's app remembers to have one job's voucher redeemed in time. Times are unix seconds, 0 while unknown."""

    gpu: int = 0  # the account the voucher pays; 0: the one this machine is registered under
    until: int = 0  # the last second at which it counts for certain
    asked: int = 0  # when its redemption was last asked for


def ripe(unpaid: MicroUsd, since: int, until: int, now: int, *, every_task: bool = False) -> bool:
    """Whether `unpaid` micro-dollars, first owed at `since`, are to be redeemed now; all times are unix seconds."""
    if unpaid <= 0:
        return False
    return every_task or unpaid >= LEAST or now >= since + LONGEST_S or now >= until - GRACE_S


def fee_of(units: int, paid: int, rate: int, bps: int) -> MicroUsd:
    """The market's fee on what `units` add to the `paid` ones: what a keeper's gas is paid from."""
    return MicroUsd(fee(gross(units, rate), bps) - fee(gross(paid, rate), bps))


def running_out(keeping: Keeping, now: int) -> bool:
    """Whether a voucher must be redeemed by its owner now, for it will soon be worth nothing. An unknown end is none."""
    return 0 < keeping.until <= now + OWN_MARGIN_S and not keeping.asked <= now < keeping.asked + ASK_AGAIN_S
