"""Money as whole micro-dollars, and the arithmetic the escrow contract does too.

One micro-dollar is one base unit of USDC (six decimals). Work is counted in units, each one reference millisecond on the
job's tier; a rate is micro-dollars per GPU-hour. The same rounding is written in Solidity (`TaskEscrow.sol`), and both are
held to one file of test vectors. Called by the policy, the pool, the renter and every screen that shows an amount.
"""

from typing import NewType

MicroUsd = NewType("MicroUsd", int)
"""Whole micro-dollars: 1_000_000 is one dollar."""

Rate = NewType("Rate", int)
"""Micro-dollars per GPU-hour."""

Units = NewType("Units", int)
"""Reference milliseconds on a tier."""

UNITS_PER_HOUR = 3_600_000
BASIS_POINTS = 10_000
DOLLAR = 1_000_000


def gross(units: int, rate: int) -> MicroUsd:
    """What `units` cumulative units are worth at `rate`, rounded down."""
    _check(units, rate)
    return MicroUsd(units * rate // UNITS_PER_HOUR)


def escrow(units: int, rate: int) -> MicroUsd:
    """What a renter must put in escrow for `units`, rounded up, so that it always covers `gross`."""
    _check(units, rate)
    return MicroUsd(-(-units * rate // UNITS_PER_HOUR))


def fee(cumulative_gross: int, bps: int) -> MicroUsd:
    """The market's fee on a cumulative gross amount, rounded down."""
    _check(cumulative_gross, bps)
    return MicroUsd(cumulative_gross * bps // BASIS_POINTS)


def net(units: int, rate: int, bps: int) -> MicroUsd:
    """What reaches the GPU's owners for `units` cumulative units."""
    whole = gross(units, rate)
    return MicroUsd(whole - fee(whole, bps))


def split(amount: int, shares: tuple[int, ...]) -> tuple[MicroUsd, ...]:
    """Divide `amount` by `shares` (basis points of the co-owners); the first part, the owner's, takes residual and dust."""
    _check(amount, *shares)
    if sum(shares) > BASIS_POINTS:
        raise ValueError("the co-owners' shares add up to more than the whole")
    parts = tuple(MicroUsd(amount * share // BASIS_POINTS) for share in shares)
    return (MicroUsd(amount - sum(parts)), *parts)


def _check(*amounts: int) -> None:
    if any(amount < 0 for amount in amounts):
        raise ValueError("money, units and shares are never negative")
