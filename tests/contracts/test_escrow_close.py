"""Closing a job: the renter gets back what was not run, and nobody can end a job too early or twice."""

from desktop_app.core import money
from tests.contracts.market import DEPLOYER, OWNER, RATE, RENTER, STRANGER, UNITS, Market, refused

GRACE = 86_400


def test_nobody_closes_before_deadline_and_grace(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.redeem(RENTER, job, UNITS // 2)
    for moment in (market.now, terms.deadline + 1, terms.deadline + GRACE):
        if moment > market.now:
            market.travel(moment)
        for who in (RENTER, STRANGER):
            with refused("TooEarlyToClose"):
                market.send(who, market.escrow.functions.close(job))


def test_anyone_closes_after_the_grace_and_the_rest_goes_back(market: Market) -> None:
    before = market.balance(RENTER.address)
    terms = market.terms()
    job = market.open(terms)
    market.redeem(RENTER, job, UNITS // 3)
    market.travel(terms.deadline + GRACE + 1)
    market.send(STRANGER, market.escrow.functions.close(job))
    assert before - market.balance(RENTER.address) == money.gross(UNITS // 3, RATE)
    with refused("JobNotOpen"):
        market.send(STRANGER, market.escrow.functions.close(job))
    with refused("JobNotOpen"):
        market.redeem(RENTER, job, UNITS)


def test_a_voucher_is_good_until_the_job_is_closed(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.travel(terms.deadline + 2 * GRACE)
    market.redeem(RENTER, job, UNITS)
    assert market.balance(OWNER.address) == money.net(UNITS, RATE, 10)


def test_a_finished_job_is_closed_at_once_and_gives_back_the_dust(market: Market) -> None:
    before = market.balance(RENTER.address)
    job = market.open(market.terms(rate=1, units=3_600_001))
    market.redeem(RENTER, job, 3_600_001)
    market.send(STRANGER, market.escrow.functions.close(job))
    assert before - market.balance(RENTER.address) == 1


def test_a_refund_that_cannot_be_delivered_is_owed(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.send(DEPLOYER, market.usdc.functions.blacklist(RENTER.address))
    market.travel(terms.deadline + GRACE + 1)
    market.send(STRANGER, market.escrow.functions.close(job))
    assert market.escrow.functions.owed(RENTER.address).call() == money.escrow(UNITS, RATE)


def test_one_job_never_pays_for_another(market: Market) -> None:
    first, second = market.terms(1), market.terms(2, units=1_000)
    rich, poor = market.open(first), market.open(second)
    with refused("JobOverrun"):
        market.redeem(RENTER, poor, 1_001)
    market.redeem(RENTER, poor, 1_000)
    market.send(STRANGER, market.escrow.functions.close(poor))
    assert market.escrow.functions.jobs(rich).call()[1] == money.escrow(UNITS, RATE)
