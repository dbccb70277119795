"""Ending a job: the renter gets back what was not run, and nobody can end a job too early or twice."""

from desktop_app.core import money
from tests.contracts.market import DAY, FEE_BPS, RATE, UNITS, Market
from tests.contracts.people import ANNE, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused


def test_nobody_closes_before_deadline_and_grace(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.redeem(RENTER, job, UNITS // 2)
    for moment in (market.now, terms.deadline + 1, terms.deadline + DAY - 1):
        market.travel(moment)
        for who in (RENTER, STRANGER):
            with refused("TooEarly", terms.deadline + DAY):
                market.send(who, market.escrow.functions.close(job))
    assert market.now == terms.deadline + DAY + 1
    market.close(job)


def test_anyone_closes_after_the_grace_and_the_rest_goes_back(market: Market) -> None:
    before = market.balance(RENTER)
    terms = market.terms()
    job = market.open(terms)
    market.redeem(RENTER, job, UNITS // 3)
    market.travel(terms.deadline + DAY + 1)
    market.close(job)
    assert before - market.balance(RENTER) == money.gross(UNITS // 3, RATE)
    held = market.job(job)
    assert (held.renter, held.held, held.fees, held.deadline, held.used) == (RENTER.address, 0, 0, 0, UNITS // 3)
    for again in (market.close, market.cancel):
        with refused("JobNotOpen", job):
            again(job)
    with refused("JobNotOpen", job):
        market.redeem(RENTER, job, UNITS)


def test_a_finished_job_is_closed_at_once_and_gives_back_the_dust(market: Market) -> None:
    before = market.balance(RENTER)
    job = market.open(market.terms(rate=1, units=3_600_001))
    market.redeem(RENTER, job, 3_600_001)
    market.close(job)
    assert before - market.balance(RENTER) == 1


def test_a_refund_that_cannot_be_delivered_is_owed(market: Market) -> None:
    terms, before = market.terms(), market.balance(RENTER)
    job = market.open(terms)
    market.freeze(RENTER)
    market.travel(terms.deadline + DAY + 1)
    market.close(job)
    assert market.owed(RENTER) == money.escrow(UNITS, RATE)
    market.freeze(RENTER, False)
    market.withdraw(RENTER)
    assert market.balance(RENTER) == before


def test_one_job_never_pays_for_another(market: Market) -> None:
    rich, poor = market.open(market.terms(1)), market.open(market.terms(2, units=1_000))
    with refused("JobOverrun", 1_000, 1_001):
        market.redeem(RENTER, poor, 1_001)
    market.redeem(RENTER, poor, 1_000)
    market.close(poor)
    assert market.job(rich).held == money.escrow(UNITS, RATE)


def test_there_is_no_such_job_to_end(market: Market) -> None:
    with refused("JobNotOpen", b"\7" * 32):
        market.close(b"\7" * 32)
    with refused("JobNotOpen", b"\7" * 32):
        market.cancel(b"\7" * 32)


def test_an_unstarted_job_is_cancelled_by_its_renter_with_a_day_of_grace(market: Market) -> None:
    terms, before = market.terms(deadline=market.now + 30 * DAY), market.balance(RENTER)
    job = market.open(terms)
    for who in (STRANGER, OWNER):
        with refused("NotRenter", who.address):
            market.cancel(job, who)
    at = market.now
    market.cancel(job)
    assert market.job(job).deadline == at
    market.travel(at + DAY)
    with refused("TooEarly", at + DAY):
        market.close(job)
    market.close(job)
    assert market.balance(RENTER) == before


def test_work_done_before_the_cancelling_is_still_paid(market: Market) -> None:
    terms, before = market.claimable(deadline=market.now + 30 * DAY), market.balance(RENTER)
    job = market.open(terms)
    voucher = market.voucher(RENTER, job, UNITS // 4)
    market.cancel(job)
    with refused("TooLate"):
        market.top_up_gasless(job, 1)
    market.travel(market.now + DAY // 2)
    market.send(STRANGER, market.escrow.functions.redeem(*voucher))
    market.claim(OWNER, terms, UNITS // 2)
    market.travel(market.now + 2 * DAY)
    market.finalize(job)
    market.close(job)
    assert before - market.balance(RENTER) == money.gross(UNITS // 2, RATE)


def test_what_has_been_paid_or_is_claimed_cannot_be_cancelled(market: Market) -> None:
    terms, started = market.claimable(1), market.open(market.terms(2))
    job = market.open(terms)
    market.redeem(RENTER, started, 1)
    market.claim(OWNER, terms, 1_000)
    for one in (started, job):
        with refused("JobStarted", one):
            market.cancel(one)


def test_cancelling_never_moves_a_deadline_back_in_time(market: Market) -> None:
    """Cancelled again or after its deadline, a job keeps the deadline it has, so that the grace does not begin anew."""
    terms = market.terms()
    job = market.open(terms)
    market.travel(terms.deadline)
    market.cancel(job)
    assert market.job(job).deadline == terms.deadline
    market.travel(terms.deadline + DAY // 2)
    market.cancel(job)
    assert market.job(job).deadline == terms.deadline
    market.travel(terms.deadline + DAY + 1)
    market.close(job)


def test_each_renter_gets_its_own_back(market: Market) -> None:
    market.mint(ANNE.address, 10**6)
    mine, hers = market.terms(1), market.terms(2, renter=ANNE.address)
    jobs = market.open(mine), market.open_gasless(hers, ANNE)
    market.redeem(ANNE, jobs[1], UNITS // 2)
    with refused("VoucherNotSigned"):
        market.redeem(RENTER, jobs[1], UNITS)
    market.travel(hers.deadline + DAY + 1)
    for job in jobs:
        market.close(job)
    assert market.balance(ANNE) == 10**6 - money.gross(UNITS // 2, RATE)
    assert market.balance(OWNER) == money.net(UNITS // 2, RATE, FEE_BPS)
