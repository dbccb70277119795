"""The edges of every field: what is just inside is taken and paid exactly, what is just outside is refused."""

import pytest

from desktop_app.core import money
from tests.contracts.market import DAY, MOST_RATE, TIER, UNITS, WINDOW, Market, as_tuple
from tests.contracts.people import DEPLOYER, OWNER, RENTER
from tests.contracts.refusals import refused

MOST_UNITS = 2**48 - 1
MAX_ESCROW = 2**54
MAX_WINDOW = 30 * DAY
FULL = (MAX_ESCROW * money.UNITS_PER_HOUR) // MOST_RATE
"""The most units that fit at the highest rate."""


@pytest.mark.parametrize(
    "change",
    [
        {"units": 0},
        {"rate": 0},
        {"units": MOST_UNITS + 1, "rate": 1},
        {"units": 2**64 - 1, "rate": 1},
        {"rate": MOST_RATE + 1, "units": 1},
        {"rate": 2**64 - 1, "units": 1},
        {"gpu": 2**40},
        {"gpu": 2**64 - 1},
        {"deadline": 0},
        {"deadline": 2**40},
        {"deadline": 2**64 - 1},
        {"window": WINDOW},  # claims without a GPU
        {"gpu": 1, "window": MAX_WINDOW + 1},
        {"gpu": 1, "window": 2**32 - 1},
        {"units": FULL + 1, "rate": MOST_RATE},
        {"units": MOST_UNITS, "rate": MOST_RATE},
    ],
    ids=str,
)
def test_terms_out_of_range_are_refused(market: Market, change: dict[str, int]) -> None:
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.open(as_tuple(market.terms(**change))))


def test_a_deadline_lies_ahead(market: Market) -> None:
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.open(as_tuple(market.terms(deadline=market.now))))
    terms = market.terms(deadline=market.now + 2)
    market.open(terms)  # the allowance takes a second
    assert market.now == terms.deadline


@pytest.mark.parametrize(
    "change",
    [
        {"units": 1, "rate": 1},
        {"units": MOST_UNITS, "rate": 1},
        {"units": 1, "rate": MOST_RATE},
        {"units": FULL, "rate": MOST_RATE},
        {"gpu": 1, "window": MAX_WINDOW},
        {"gpu": 2**40 - 1},
        {"deadline": 2**40 - 1},
    ],
    ids=str,
)
def test_terms_at_the_edge_are_taken_and_paid(market: Market, change: dict[str, int]) -> None:
    market.mint(RENTER.address, MAX_ESCROW)
    terms = market.terms(**change)
    job = market.open(terms)
    held = market.job(job)
    assert (held.units, held.rate, held.gpu, held.deadline) == (terms.units, terms.rate, terms.gpu, terms.deadline)
    assert held.held == money.escrow(terms.units, terms.rate) <= MAX_ESCROW
    if terms.gpu in (0, market.gpu):
        market.redeem(RENTER, job, terms.units)
        assert market.balance(OWNER) == money.net(terms.units, terms.rate, 10)
        market.close(job)
        assert market.job(job).held == 0


def test_the_largest_job_with_the_highest_fee_is_paid_by_halves(market: Market) -> None:
    """No field overflows at the edge: escrow 2^54, its fee a hundredth, 48 bits of rate."""
    market.send(DEPLOYER, market.policy.functions.setFee(100))
    market.mint(RENTER.address, MAX_ESCROW)
    job = market.open(market.terms(units=FULL, rate=MOST_RATE))
    assert money.escrow(FULL, MOST_RATE) <= MAX_ESCROW < money.escrow(FULL + 1, MOST_RATE)
    for units in (FULL // 2, FULL):
        market.redeem(RENTER, job, units)
        assert market.job(job).fees == money.fee(money.gross(units, MOST_RATE), 100)
    assert market.job(job).held == money.escrow(FULL, MOST_RATE) - money.gross(FULL, MOST_RATE)


@pytest.mark.parametrize("units", [MOST_UNITS + 1, 2**64 - 1])
def test_a_voucher_beyond_every_field_pays_nothing(market: Market, units: int) -> None:
    job = market.open(market.terms())
    with refused("JobOverrun", UNITS, units):
        market.redeem(RENTER, job, units)


def test_rates_out_of_the_tiers_bounds_are_refused(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setBounds(TIER, 100, 200))
    for rate in (99, 201):
        with refused("RateOutOfBounds", rate, 100, 200):
            market.open(market.terms(rate=rate))
    kept = [market.open(market.terms(rate=rate)) for rate in (100, 200)]
    market.send(DEPLOYER, market.policy.functions.setBounds(TIER, 0, 0))
    with refused("RateOutOfBounds", 100, 0, 0):
        market.open(market.terms(1, rate=100))
    with refused("RateOutOfBounds", 100, 0, 0):
        market.open(market.terms(rate=100, tier=77))
    for job in kept:
        market.redeem(RENTER, job, UNITS)  # bounds are for jobs to come
