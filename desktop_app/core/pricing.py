"""What an hour of GPU is worth: the market's rate, moved by use, and an owner's own cost, which the rate must cover.

The rate of a tier moves once an epoch, as a base fee moves with the fullness of blocks: `rate <- rate * (1 + k (u - u*))`,
with a bounded step, a floor and a ceiling. All in whole numbers, so that every part of the market computes the same rate.
Called by the pool (the rate) and by the policy (the cost).
"""

from dataclasses import dataclass

from desktop_app.core.money import MicroUsd, Rate

WHOLE = 10_000
"""Shares, gains and utilisation are basis points: 10,000 is all of it."""


@dataclass(frozen=True, slots=True)
class Controller:
    """How one tier's rate moves. `target` is u*, `gain` is k, `step` the most one epoch may change; all in basis points."""

    floor: Rate
    ceiling: Rate
    target: int = 7_000
    gain: int = 2_500
    step: int = 1_250

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.ceiling:
            raise ValueError("a rate has a floor above zero and a ceiling not below it")
        if not (0 < self.target < WHOLE and self.gain > 0 and 0 < self.step < WHOLE):
            raise ValueError("target and step lie between nothing and all, and the gain is positive")


def utilisation(busy: int, offered: int) -> int:
    """The share of offered GPU time that was at work, in basis points; 0 when nothing was offered."""
    if not 0 <= busy <= offered:
        raise ValueError("only what is offered can be busy")
    return busy * WHOLE // offered if offered else 0


def next_rate(rate: Rate, used: int, controller: Controller) -> Rate:
    """The rate of the next epoch after one in which the share `used` (basis points) was at work.

    Off target it moves by at least one micro-dollar, so that rounding never holds it fast, and by at most the step.
    """
    if not 0 <= used <= WHOLE:
        raise ValueError("utilisation lies between nothing and all")
    rate = Rate(min(max(rate, controller.floor), controller.ceiling))
    off = used - controller.target
    if off == 0:
        return rate
    size = min(controller.gain * abs(off) // WHOLE, controller.step)
    move = max(rate * size // WHOLE, 1)
    moved = rate + move if off > 0 else rate - move
    return Rate(min(max(moved, controller.floor), controller.ceiling))


def cost_per_hour(watts: int, tariff: int) -> MicroUsd:
    """Micro-dollars of electricity for an hour at `watts`, at `tariff` micro-dollars per kWh, rounded up."""
    if watts < 0 or tariff < 0:
        raise ValueError("power and its price are never negative")
    return MicroUsd(-(-watts * tariff // 1_000))


def covers(rate: Rate, watts: int, tariff: int, floor: Rate) -> bool:
    """Whether `rate` pays for the electricity and leaves the owner's floor."""
    return rate >= cost_per_hour(watts, tariff) + floor
