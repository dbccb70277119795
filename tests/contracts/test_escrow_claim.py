"""Claims: how an owner is paid when nobody vouches for finished work, as long as the renter says nothing against it."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from desktop_app.core import money
from desktop_app.wire import eip712
from tests.contracts.market import DAY, FEE_BPS, OTHER_TIER, RATE, ROOT, TIER, UNITS, WINDOW, Market, as_form, as_tuple
from tests.contracts.people import ANNE, ATTESTOR, BOB, OWNER, RENTER, STRANGER, Person
from tests.contracts.refusals import refused

NONE, CLAIMED, CHALLENGED, BARRED = range(4)
WORK = 1_000_000


def claimed(market: Market, job: bytes) -> tuple[int, int, int, int]:
    """GPU account, units, due, stage."""
    gpu, units, due, stage = market.escrow.functions.claims(job).call()
    return gpu, units, due, stage


def test_an_unchallenged_claim_is_paid_after_the_window(market: Market) -> None:
    terms = market.claimable()
    job, at = market.open(terms), market.now
    (event,) = market.escrow.events.Claimed().process_receipt(market.claim(OWNER, terms, WORK))
    assert event["args"]["receiptsRoot"] == ROOT
    assert claimed(market, job) == (market.gpu, WORK, at + WINDOW, CLAIMED)
    assert market.balance(OWNER) == 0
    market.travel(at + WINDOW)
    with refused("TooEarly", at + WINDOW):
        market.finalize(job)
    market.finalize(job)
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)
    assert (market.paid(job), claimed(market, job)) == (WORK, (0, 0, 0, NONE))
    with refused("WrongStage", NONE):
        market.finalize(job)


def test_claims_are_cumulative_and_one_at_a_time(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, WORK)
    with refused("WrongStage", CLAIMED):
        market.claim(OWNER, terms, 2 * WORK)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    with refused("VoucherStale", WORK, WORK):
        market.claim(OWNER, terms, WORK)
    market.claim(OWNER, terms, 2 * WORK)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(OWNER) == money.net(2 * WORK, RATE, FEE_BPS)


def test_holder_and_operator_may_claim_and_nobody_else(market: Market) -> None:
    gpu = market.register(ANNE, "second", operator=BOB)
    market.grant(ANNE, OWNER, 5_000, gpu)
    for salt, (signer, good) in enumerate(
        ((ANNE, True), (BOB, True), (OWNER, False), (RENTER, False), (ATTESTOR, False), (STRANGER, False))
    ):
        terms = market.terms(salt, gpu=gpu, window=WINDOW)
        job = market.open(terms)
        if good:
            market.claim(signer, terms, WORK, gpu, "second")
            assert claimed(market, job)[3] == CLAIMED
        else:
            with refused("ClaimNotSigned"):
                market.claim(signer, terms, WORK, gpu, "second")


def test_the_operator_of_other_hardware_claims_nothing(market: Market) -> None:
    gpu = market.register(ANNE, "second", operator=BOB)
    terms = market.terms(gpu=gpu, window=WINDOW)
    market.open(terms)
    for hardware in ("first", "no such hardware"):
        for signer in (OWNER, BOB):
            with refused("ClaimNotSigned"):
                market.claim(signer, terms, WORK, gpu, hardware)
    market.claim(ANNE, terms, WORK, gpu, "no such hardware")  # the holder needs none


def test_after_a_sale_the_holder_of_then_claims_and_its_operator_does_not(market: Market) -> None:
    gpu = market.register(ANNE, "second", operator=BOB)
    terms = market.terms(gpu=gpu, window=WINDOW)
    job = market.open(terms)
    market.sell(ANNE, STRANGER, gpu)
    for signer in (BOB, STRANGER):
        with refused("ClaimNotSigned"):
            market.claim(signer, terms, WORK, gpu, "second")
    with refused("ClaimNotSigned"):
        market.claim(BOB, terms, WORK, market.account(gpu), "second")
    market.claim(ANNE, terms, WORK, gpu, "second")
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert (market.balance(ANNE), market.balance(STRANGER)) == (money.net(WORK, RATE, FEE_BPS), 0)


@pytest.mark.parametrize("change", ["units", "gpu", "root", "voucher"])
def test_a_changed_claim_is_not_the_owners(market: Market, change: str) -> None:
    terms = market.claimable()
    row = market.row(market.open(terms), WORK)
    build = eip712.voucher if change == "voucher" else eip712.claim
    signature = OWNER.sign(build(market.domain(market.escrow), as_form(row)))
    changes = {"units": (*row[:2], WORK + 1, row[3]), "root": (*row[:3], b"\1" * 32), "voucher": row}
    if change == "gpu":
        market.sell(OWNER, ANNE)
        market.sell(ANNE, OWNER)
        changes["gpu"] = (row[0], market.account(), *row[2:])
    with refused("ClaimNotSigned"):
        market.send(STRANGER, market.escrow.functions.claim(as_tuple(terms), changes[change], keccak(text="first"), signature))


def test_jobs_without_a_window_have_no_claims(market: Market) -> None:
    for terms in (market.terms(1), market.terms(2, gpu=market.gpu)):
        job = market.open(terms)
        with refused("NoClaims", job):
            market.claim(OWNER, terms, WORK)


def test_the_terms_must_be_the_jobs(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    row = market.row(job, WORK)
    signature = OWNER.sign(eip712.claim(market.domain(market.escrow), as_form(row)))
    for wrong in (replace(terms, window=1), replace(terms, deadline=terms.deadline + 1), replace(terms, renter=OWNER.address)):
        with refused("TermsDiffer", job):
            market.send(STRANGER, market.escrow.functions.claim(as_tuple(wrong), row, keccak(text="first"), signature))


def test_what_no_voucher_could_ask_no_claim_can(market: Market) -> None:
    terms, other = market.claimable(), market.register(ANNE, "second")
    job = market.open(terms)
    with refused("WrongGpu", market.gpu, other):
        market.claim(ANNE, terms, WORK, other, "second")
    with refused("JobOverrun", UNITS, UNITS + 1):
        market.claim(OWNER, terms, UNITS + 1)
    with refused("VoucherStale", 0, 0):
        market.claim(OWNER, terms, 0)
    with refused("NoSuchAccount", market.gpu | 1 << 40):
        market.claim(OWNER, terms, WORK, market.gpu | 1 << 40)
    market.set_tier(OTHER_TIER)
    with refused("WrongTier", TIER, OTHER_TIER):
        market.claim(OWNER, terms, WORK, market.account())
    never = market.claimable(9)
    with refused("JobNotOpen", market.job_id(never)):
        market.claim(OWNER, never, WORK)
    assert market.paid(job) == 0


def test_claims_are_made_until_the_grace_is_over(market: Market) -> None:
    first, second = market.claimable(1), market.claimable(2, deadline=market.now + DAY)
    jobs = [market.open(one) for one in (first, second)]
    due = second.deadline + DAY
    market.travel(due)
    market.claim(OWNER, second, WORK)
    with refused("TooLate", first.deadline + DAY):
        market.claim(OWNER, first, WORK)
    with refused("JobStarted", jobs[1]):
        market.close(jobs[1])
    market.travel(due + WINDOW + 1)
    market.finalize(jobs[1])
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)
    market.close(jobs[1])


@pytest.mark.parametrize("signer", [RENTER, ATTESTOR], ids=["renter", "attestor"])
def test_a_voucher_redeemed_meanwhile_is_not_paid_twice(market: Market, signer: Person) -> None:
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, WORK)
    pay = market.redeem_attested if signer is ATTESTOR else lambda of, units: market.redeem(RENTER, of, units)
    pay(job, WORK // 2)
    assert market.balance(OWNER) == money.net(WORK // 2, RATE, FEE_BPS)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)
    market.claim(OWNER, terms, 2 * WORK)
    pay(job, 3 * WORK)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(OWNER) == money.net(3 * WORK, RATE, FEE_BPS)


def test_a_claim_gets_what_the_job_has_left(market: Market) -> None:
    """Another account of the same GPU was paid meanwhile."""
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, UNITS)
    market.sell(OWNER, ANNE)
    market.redeem(RENTER, job, UNITS - WORK, market.account())
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert (market.paid(job), market.job(job).used) == (WORK, UNITS)
    assert market.balance(OWNER) == money.net(WORK, RATE, FEE_BPS)


def test_a_claim_on_a_job_run_dry_ends_without_money(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, UNITS)
    market.sell(OWNER, ANNE)
    market.redeem(RENTER, job, UNITS, market.account())
    with refused("JobStarted", job):
        market.close(job)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    assert market.balance(OWNER) == 0
    market.close(job)


def test_before_a_claim_there_is_nothing_to_object_to_or_to_decide(market: Market) -> None:
    terms = market.claimable()
    job = market.open(terms)
    with refused("WrongStage", NONE):
        market.challenge(job)
    with refused("WrongStage", NONE):
        market.resolve(job, 0)
    with refused("WrongStage", NONE):
        market.finalize(job)
    market.claim(OWNER, terms, WORK)
    with refused("WrongStage", CLAIMED):
        market.resolve(job, 0)
