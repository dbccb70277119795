"""Topping up: more units at the same rate and fee, never dearer than to have opened with them."""

import pytest

from desktop_app.core import money
from desktop_app.core.money import escrow
from tests.contracts.market import FEE_BPS, MOST_RATE, RATE, UNITS, Market
from tests.contracts.people import OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused


def test_the_renter_adds_units_from_an_allowance(market: Market) -> None:
    job, before = market.open(market.terms()), market.balance(RENTER)
    market.top_up(job, UNITS)
    assert before - market.balance(RENTER) == escrow(UNITS, RATE)
    held = market.job(job)
    assert (held.units, held.held, held.fee_bps) == (2 * UNITS, escrow(2 * UNITS, RATE), FEE_BPS)
    market.redeem(RENTER, job, 2 * UNITS)
    assert market.balance(OWNER) == money.net(2 * UNITS, RATE, FEE_BPS)


def test_only_the_renter_tops_up_from_an_allowance(market: Market) -> None:
    job = market.open(market.terms())
    market.send(RENTER, market.usdc.functions.approve(market.escrow.address, 10**9))
    with refused("NotRenter", STRANGER.address):
        market.send(STRANGER, market.escrow.functions.topUp(job, 1))


def test_anyone_tops_up_on_the_renters_signature_once(market: Market) -> None:
    job, before = market.open(market.terms()), market.balance(RENTER)
    market.top_up_gasless(job, 1_000)
    with refused("ERC3009UsedAuthorization"):
        market.top_up_gasless(job, 1_000)
    market.top_up_gasless(job, 1_000, salt=1)
    assert market.job(job).units == UNITS + 2_000
    assert before - market.balance(RENTER) == escrow(UNITS + 2_000, RATE) - escrow(UNITS, RATE)


@pytest.mark.parametrize("change", ["job", "units", "salt", "value"])
def test_a_tampered_signature_tops_up_nothing(market: Market, change: str) -> None:
    job, other, salt, before = market.open(market.terms(1)), market.open(market.terms(2)), b"\0" * 32, market.now + 3600
    nonce = bytes(market.escrow.functions.topUpNonce(job, 1_000, salt).call())
    price = market.top_up_price(job, 1_000) + (change == "value")
    signature = market.authorize(RENTER, str(market.escrow.address), price, nonce, before)
    arguments = {"job": (other, 1_000, salt), "units": (job, 1_001, salt), "salt": (job, 1_000, b"\1" * 32)}.get(change, (job, 1_000, salt))
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, market.escrow.functions.topUpWithAuthorization(*arguments, 0, before, signature))


@pytest.mark.parametrize(("rate", "parts"), [(1, [1, 1, 1]), (1, [3_600_000, 1]), (7_000_001, [1, 2, 3, 5, 8]), (3_599_999, [1] * 6)])
def test_topping_up_costs_exactly_what_opening_at_once_costs(market: Market, rate: int, parts: list[int]) -> None:
    before = market.balance(RENTER)
    job = market.open(market.terms(rate=rate, units=parts[0]))
    for part in parts[1:]:
        market.top_up(job, part)
    assert before - market.balance(RENTER) == escrow(sum(parts), rate) == market.job(job).held
    market.redeem(RENTER, job, sum(parts))
    market.close(job)
    assert before - market.balance(RENTER) == money.gross(sum(parts), rate)


def test_an_amount_that_rounds_to_nothing_costs_nothing(market: Market) -> None:
    job, before = market.open(market.terms(rate=1, units=1)), market.balance(RENTER)
    market.top_up_gasless(job, 3_599_999)
    assert (market.balance(RENTER), market.job(job).units, market.job(job).held) == (before, 3_600_000, 1)


def test_what_is_topped_up_stays_in_range(market: Market) -> None:
    job = market.open(market.terms(rate=1, units=1))
    for units in (0, 2**48 - 1, 2**64 - 1):
        with refused("TermsOutOfRange"):
            market.send(RENTER, market.escrow.functions.topUp(job, units))
    market.top_up(job, 2**48 - 2)
    assert market.job(job).units == 2**48 - 1
    market.mint(RENTER.address, 2**54)
    full = 2**54 * money.UNITS_PER_HOUR // MOST_RATE
    large = market.open(market.terms(2, rate=MOST_RATE, units=1))
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.topUp(large, full))
    market.top_up(large, full - 1)
    assert market.job(large).units == full


def test_a_job_is_topped_up_until_its_deadline(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.travel(terms.deadline - 1)
    market.top_up(job, 1)  # the allowance takes a second
    assert market.now == terms.deadline + 1
    with refused("TooLate", terms.deadline):
        market.send(RENTER, market.escrow.functions.topUp(job, 1))
    with refused("TooLate", terms.deadline):
        market.top_up_gasless(job, 1)


def test_there_is_no_such_job_to_top_up(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    market.close(job)
    for one in (job, b"\7" * 32):
        with refused("JobNotOpen", one):
            market.send(RENTER, market.escrow.functions.topUp(one, 1))


def test_a_finished_job_goes_on_when_it_is_topped_up(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    market.top_up(job, 500)
    with refused("TooEarly"):
        market.close(job)
    market.redeem_attested(job, UNITS + 500)
    market.close(job)
