"""Challenges: a renter's objection stops the money until the arbiter has spoken, and an absent arbiter strands none of it."""

import pytest

from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from tests.contracts.market import DAY, FEE_BPS, RATE, UNITS, WINDOW, Market
from tests.contracts.people import ANNE, ARBITER, ATTESTOR, DEPLOYER, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused

NONE, CLAIMED, CHALLENGED, BARRED = range(4)
WORK = 1_000_000
ARBITER_TIME = 14 * DAY


@pytest.fixture
def disputed(market: Market) -> tuple[eip712.Terms, bytes]:
    """A job with a claim that its renter has challenged."""
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, WORK)
    market.challenge(job)
    return terms, job


def stage(market: Market, job: bytes) -> int:
    return int(market.escrow.functions.claims(job).call()[3])


def test_a_challenged_claim_pays_nothing_until_it_is_decided(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    for moment in (market.now + WINDOW + 1, market.now + 7 * DAY):
        market.travel(moment)
        with refused("TooEarly"):
            market.finalize(job)
    assert (market.balance(OWNER), market.paid(job), market.job(job).used, stage(market, job)) == (0, 0, 0, CHALLENGED)
    market.resolve(job, WORK)
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)


def test_only_the_renter_objects_and_only_in_time(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    at = market.now
    market.claim(OWNER, terms, WORK)
    challenge = market.escrow.functions.challenge
    for who in (OWNER, STRANGER, ARBITER, ATTESTOR):
        with refused("ChallengeNotSigned"):
            market.challenge(job, who)
        with refused("ChallengeNotSigned"):
            market.send(who, challenge(job, b""))
    for wrong in ((job, market.gpu + 1, WORK), (job, market.gpu, WORK + 1), (b"\7" * 32, market.gpu, WORK)):
        form = eip712.challenge(market.domain(market.escrow), "0x" + wrong[0].hex(), wrong[1], Units(wrong[2]))
        with refused("ChallengeNotSigned"):
            market.send(STRANGER, challenge(job, RENTER.sign(form)))
    market.travel(at + WINDOW)
    before = market.snapshot()
    market.challenge(job)
    market.revert(before)
    market.travel(at + WINDOW + 1)
    with refused("TooLate", at + WINDOW):
        market.challenge(job)
    with refused("TooLate", at + WINDOW):
        market.send(RENTER, challenge(job, b""))


def test_the_renter_needs_no_signature_of_its_own(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, WORK)
    at = market.now
    market.send(RENTER, market.escrow.functions.challenge(job, b""))
    assert market.escrow.functions.claims(job).call() == [market.gpu, WORK, at + ARBITER_TIME, CHALLENGED]


def test_what_is_challenged_cannot_be_challenged_claimed_cancelled_or_closed(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    terms, job = disputed
    with refused("WrongStage", CHALLENGED):
        market.challenge(job)
    with refused("WrongStage", CHALLENGED):
        market.claim(OWNER, terms, WORK)
    with refused("JobStarted", job):
        market.cancel(job)
    market.travel(terms.deadline + DAY + 1)
    with refused("JobStarted", job):
        market.close(job)


def test_only_the_arbiter_of_now_decides(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    for who in (OWNER, RENTER, STRANGER, DEPLOYER, ATTESTOR):
        with refused("NotArbiter", who.address):
            market.resolve(job, WORK, who)
    market.send(DEPLOYER, market.policy.functions.setArbiter(ANNE.address))
    with refused("NotArbiter", ARBITER.address):
        market.resolve(job, WORK)
    market.resolve(job, WORK, ANNE)


def test_the_arbiter_awards_no_more_than_was_claimed(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    for units in (WORK + 1, 2**64 - 1):
        with refused("JobOverrun", WORK, units):
            market.resolve(job, units)


def test_an_award_of_all_of_it_leaves_the_job_as_it_was(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    terms, job = disputed
    market.resolve(job, WORK)
    assert stage(market, job) == NONE
    market.claim(OWNER, terms, 2 * WORK)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(OWNER) == money.net(2 * WORK, RATE, FEE_BPS)


@pytest.mark.parametrize("award", [0, 1, WORK - 1])
def test_an_award_of_less_bars_further_claims_and_no_vouchers(market: Market, disputed: tuple[eip712.Terms, bytes], award: int) -> None:
    terms, job = disputed
    market.resolve(job, award)
    assert (market.paid(job), stage(market, job)) == (award, BARRED)
    assert market.balance(OWNER) == money.net(award, RATE, FEE_BPS)
    with refused("NoClaims", job):
        market.claim(OWNER, terms, 2 * WORK)
    with refused("WrongStage", BARRED):
        market.finalize(job)
    market.redeem(RENTER, job, 2 * WORK)
    market.redeem_attested(job, UNITS)
    assert market.balance(OWNER) == money.net(UNITS, RATE, FEE_BPS)
    market.close(job)


def test_the_arbiter_speaks_in_its_time(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    due = market.escrow.functions.claims(job).call()[2]
    market.travel(due)
    before = market.snapshot()
    market.resolve(job, WORK)
    market.revert(before)
    with refused("TooEarly", due):
        market.finalize(job)
    with refused("TooLate", due):
        market.resolve(job, WORK)


def test_an_absent_arbiter_strands_no_money(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    """The objection stands: the claim is dropped, the rest goes back to the renter, and vouchers count all the while."""
    terms, job = disputed
    market.redeem_attested(job, WORK // 2)
    market.travel(market.escrow.functions.claims(job).call()[2] + 1)
    market.finalize(job)
    assert (market.paid(job), stage(market, job)) == (WORK // 2, BARRED)
    with refused("NoClaims", job):
        market.claim(OWNER, terms, WORK)
    before = market.balance(RENTER)
    market.close(job)
    assert market.balance(RENTER) - before == money.escrow(UNITS, RATE) - money.gross(WORK // 2, RATE)


def test_a_voucher_redeemed_while_challenged_counts_against_the_award(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    market.redeem(RENTER, job, WORK // 2)
    before = market.snapshot()
    market.resolve(job, WORK // 4)
    assert (market.paid(job), stage(market, job)) == (WORK // 2, BARRED)
    market.revert(before)
    market.resolve(job, WORK)
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)


def test_a_claim_after_a_sale_is_still_the_sellers(market: Market, disputed: tuple[eip712.Terms, bytes]) -> None:
    _, job = disputed
    market.sell(OWNER, ANNE)
    market.resolve(job, WORK)
    assert (market.balance(OWNER), market.balance(ANNE)) == (money.net(WORK, RATE, FEE_BPS), 0)
