"""Harm without gain: dust, frozen payees, starved gas, occupied claims, rows that want to spoil a batch. Each test says first
what the attacker wanted."""

import pytest
from eth_utils.crypto import keccak

from desktop_app.core import money
from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from tests.contracts.market import ALLOWANCE, DAY, FEE_BPS, OTHER_TIER, RATE, UNITS, WINDOW, Market
from tests.contracts.people import ANNE, ARBITER, ATTESTOR, BOB, DEPLOYER, OWNER, RENTER, STRANGER, TREASURY, Person, person
from tests.contracts.refusals import Refused, refused

CO_OWNERS = tuple(person(20 + number) for number in range(8))
SHARES = (1, 333, 1_250, 2_500, 7, 1_000, 900, 99)


def co_owned(market: Market) -> None:
    for who, bps in zip(CO_OWNERS, SHARES, strict=True):
        market.grant(OWNER, who, bps)


def test_frozen_co_owners_hold_up_nobody(market: Market) -> None:
    """Wanted: as one of eight co-owners on the stablecoin's blacklist, to block the other seven, the holder and the refund."""
    co_owned(market)
    frozen = CO_OWNERS[1::2]
    for who in frozen:
        market.freeze(who)
    job = market.open(market.terms())
    receipt = market.redeem(RENTER, job, UNITS - 1)
    assert receipt["gasUsed"] < 700_000
    parts = money.split(money.net(UNITS - 1, RATE, FEE_BPS), SHARES)
    assert market.balance(OWNER) == parts[0]
    for who, part in zip(CO_OWNERS, parts[1:], strict=True):
        assert (market.balance(who), market.owed(who)) == ((0, part) if who in frozen else (part, 0))
    for who, part in zip(CO_OWNERS[1::2], parts[2::2], strict=True):
        market.freeze(who, frozen=False)
        if part:
            market.withdraw(who)
        assert (market.balance(who), market.owed(who)) == (part, 0)


def test_a_frozen_escrow_loses_nothing(market: Market) -> None:
    """Wanted, by whoever can have the escrow itself frozen: that payouts vanish. They are all owed, and delivered after."""
    co_owned(market)
    first, second = market.open(market.terms(1)), market.open(market.terms(2))
    at = Person(str(market.escrow.address), b"")
    market.freeze(at)
    market.redeem(RENTER, first, UNITS)
    market.batch([market.row(second, UNITS // 2)])
    market.close(first)
    with refused("AccountBlacklisted"):
        market.withdraw(OWNER)
    with refused("AccountBlacklisted"):
        market.sweep(first, second)
    market.freeze(at, frozen=False)
    whole, half = (money.split(money.net(units, RATE, FEE_BPS), SHARES) for units in (UNITS, UNITS // 2))
    for who, *parts in zip((OWNER, *CO_OWNERS), whole, half, strict=True):
        market.withdraw(who)
        assert market.balance(who) == sum(parts)
    market.sweep(first, second)
    assert market.balance(TREASURY) == 360 + 180


def test_dust_vouchers_cost_their_bringer_and_nobody_else(market: Market) -> None:
    """Wanted: by paying unit for unit, to lose the owner the roundings, or the market its fee."""
    job = market.open(market.terms(rate=7_654_321, units=Units(5_000)))
    for units in (*range(1, 12), 999, 1_000, 1_001, 5_000):
        market.redeem(RENTER, job, units)
    whole = money.gross(5_000, 7_654_321)
    assert market.balance(OWNER) == whole - money.fee(whole, FEE_BPS)
    assert market.job(job).fees == money.fee(whole, FEE_BPS)


def test_dust_jobs_escape_less_than_a_micro_dollar_of_fees_each(market: Market) -> None:
    """Wanted: to owe no fee by cutting work into jobs so small that the fee is rounded away. It works, for less than a
    micro-dollar a job; opening one costs thousands of times as much."""
    for salt in range(4):
        terms = market.terms(salt, rate=3_600_000, units=Units(1_999))
        job = market.open(terms)
        market.redeem(RENTER, job, 1_999)
        assert market.job(job).fees == 1
        assert 1_999 * FEE_BPS - 10_000 * market.job(job).fees < 10_000
        market.close(job)


def test_dust_topping_up_never_buys_work_below_its_price(market: Market) -> None:
    """Wanted: to add units whose price is rounded down to nothing, again and again, until work costs nothing."""
    job = market.open(market.terms(rate=400_000, units=Units(1)))
    for _ in range(9):
        market.top_up(job, 1)
    held = market.job(job)
    assert (held.units, held.held) == (10, escrow(10, 400_000))
    market.redeem(RENTER, job, 10)
    market.close(job)
    assert market.balance(OWNER) == money.net(10, 400_000, FEE_BPS)


def test_closing_a_finished_job_first_only_sends_the_top_up_back(market: Market) -> None:
    """Wanted: to close a job the moment all is paid, before the renter's topping up arrives, so that this is lost."""
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    purse = market.balance(RENTER)
    price = market.top_up_price(job, 1_000)
    market.send(RENTER, market.usdc.functions.approve(market.escrow.address, price))
    market.close(job)
    with refused("JobNotOpen", job):
        market.send(RENTER, market.escrow.functions.topUp(job, 1_000))
    assert market.balance(RENTER) == purse


@pytest.mark.parametrize("way", ["redeem", "batch"])
def test_no_amount_of_gas_turns_a_payment_into_a_debt(market: Market, way: str) -> None:
    """Wanted, as the keeper that chooses the gas: to starve the token's transfer alone, so that money that could be delivered is
    kept as a debt, or is lost. With less gas than enough nothing happens at all."""
    for who, bps in zip(CO_OWNERS[:2], (2_000, 3_000), strict=True):
        market.grant(OWNER, who, bps)
    job = market.open(market.terms())

    def bring(gas: int) -> int:
        rows = [market.row(job, UNITS // 2), market.row(job, UNITS)]
        call = market.escrow.functions.redeem(*market.voucher(RENTER, job, UNITS))
        if way == "batch":
            packed = keccak(b"".join(one + gpu.to_bytes(32, "big") + units.to_bytes(32, "big") + root for one, gpu, units, root in rows))
            proof = ATTESTOR.sign(eip712.batch(market.domain(market.escrow), len(rows), "0x" + packed.hex()))
            call = market.escrow.functions.settleBatchSigned(rows, ATTESTOR.address, proof)
        return market.send(STRANGER, call, gas)["gasUsed"]

    before = market.snapshot()
    enough = bring(1_000_000)
    market.revert(before)
    parts = list(money.split(money.net(UNITS, RATE, FEE_BPS), (2_000, 3_000)))
    outcomes = set()
    step = enough // (200 if market.ground.name == "anvil" else 20)
    for gas in range(enough // 2, enough * 11 // 10, step):
        before = market.snapshot()
        try:
            bring(gas)
            done = True
        except (Refused, AssertionError):  # the rig says that with more gas it would have been done
            done = False
        payees = (OWNER, *CO_OWNERS[:2])
        paid, owed = [market.balance(who) for who in payees], sum(market.owed(who) for who in payees)
        assert sum(paid) == (sum(parts) if done else 0) and owed == 0
        outcomes.add(done)
        market.revert(before)
    assert outcomes == {True, False}


def test_no_row_spoils_a_batch(market: Market) -> None:
    """Wanted: with one voucher that cannot be paid, to keep ninety-nine others from their money."""
    poor, gone, good = market.open(market.terms(1, units=Units(10))), market.open(market.terms(2)), market.open(market.terms(3))
    pinned = market.open(market.terms(4, gpu=market.register(ANNE, "second")))
    other = market.register(BOB, "another tier", tier=OTHER_TIER)
    market.redeem(RENTER, gone, UNITS)
    market.close(gone)
    market.freeze(OWNER)
    rows = [
        (bytes(32), market.gpu, 1, bytes(32)), market.row(b"\7" * 32, 1), market.row(gone, UNITS), market.row(poor, 11),
        market.row(pinned, 5), market.row(good, 5, other), market.row(good, 5, 0), market.row(good, 5, 2**256 - 1),
        market.row(good, 5, market.gpu | 1 << 40), market.row(good, 0), market.row(good, 2**64 - 1), market.row(good, UNITS),
        market.row(good, UNITS), market.row(pinned, UNITS, market.gpu + 1),
    ]  # fmt: skip
    before = market.balance(OWNER)
    receipt = market.batch(rows)
    assert receipt["status"] == 1
    assert market.owed(OWNER) == money.net(UNITS, RATE, FEE_BPS)
    assert market.balance(ANNE) == money.net(UNITS, RATE, FEE_BPS)
    assert market.balance(OWNER) == before
    market.freeze(OWNER, frozen=False)
    market.withdraw(OWNER)


def test_an_attestors_day_is_never_worth_more_than_two_allowances(market: Market) -> None:
    """Wanted, with a stolen attestor's key: all escrows at once. A full allowance, and what refills within the day."""
    market.send(DEPLOYER, market.policy.functions.setAllowance(10 * 360_000))
    jobs = [market.open(market.terms(salt, units=Units(10 * UNITS), deadline=market.now + 9 * DAY)) for salt in range(3)]
    first = market.now
    market.batch([market.row(jobs[0], 10 * UNITS)])
    with refused("RateLimitExceeded"):
        market.redeem_attested(jobs[1], UNITS)
    market.batch([market.row(jobs[1], UNITS)])
    assert market.paid(jobs[1]) == 0
    market.travel(first + DAY // 2)
    market.redeem_attested(jobs[1], 4 * UNITS)
    market.travel(first + DAY - 1)
    with refused("RateLimitExceeded"):
        market.redeem_attested(jobs[2], 7 * UNITS)
    market.redeem_attested(jobs[2], 5 * UNITS)
    taken = sum(money.gross(market.paid(job), RATE) for job in jobs)
    assert taken == 19 * 360_000 < 2 * 10 * 360_000
    market.send(DEPLOYER, market.policy.functions.setAllowance(ALLOWANCE))


def test_a_stranger_draws_on_no_attestors_allowance(market: Market) -> None:
    """Wanted: to use up the attestor's allowance, so that honest work is not paid today."""
    job = market.open(market.terms())
    attestor = market.policy.functions.available(market.escrow.address, ATTESTOR.address).call()
    market.send(STRANGER, market.policy.functions.draw(ATTESTOR.address, ALLOWANCE))
    assert market.policy.functions.available(market.escrow.address, ATTESTOR.address).call() == attestor == ALLOWANCE
    market.redeem_attested(job, UNITS)


def test_a_former_holder_can_occupy_the_claim_of_the_present_one_but_no_voucher(market: Market) -> None:
    """Wanted, by the seller of a GPU: to keep the buyer from claiming on jobs opened after the sale, by a claim of its own on
    the old account. It works, and costs the buyer its claim; what is vouched for is paid all the same, and the liar has nothing."""
    market.sell(OWNER, ANNE)
    terms = market.claimable()
    job = market.open(terms)
    market.claim(OWNER, terms, 1, market.gpu)
    with refused("WrongStage"):
        market.claim(ANNE, terms, UNITS // 2, market.account())
    market.challenge(job)
    market.resolve(job, 0, ARBITER)
    with refused("NoClaims", job):
        market.claim(ANNE, terms, UNITS // 2, market.account())
    market.redeem_attested(job, UNITS // 2, market.account())
    assert (market.balance(OWNER), market.balance(ANNE)) == (0, money.net(UNITS // 2, RATE, FEE_BPS))


def test_a_claim_at_the_last_second_holds_the_refund_for_its_time_only(market: Market) -> None:
    """Wanted, by an owner: to hold the renter's money for ever by claiming again and again."""
    terms = market.claimable()
    job = market.open(terms)
    market.travel(terms.deadline + DAY)
    market.claim(OWNER, terms, 1)
    market.travel(market.now + WINDOW)
    market.finalize(job)
    with refused("TooLate"):
        market.claim(OWNER, terms, 2)
    purse = market.balance(RENTER)
    market.close(job)
    assert market.balance(RENTER) - purse == escrow(UNITS, RATE) - money.gross(1, RATE)


def test_a_payee_that_is_the_escrow_itself_loses_its_own_money_only(market: Market) -> None:
    """Wanted: by a share that belongs to the escrow, to get the books and the money out of step, so that somebody is short."""
    market.grant(OWNER, Person(str(market.escrow.address), b""), 5_000)
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    kept, rest = money.split(money.net(UNITS, RATE, FEE_BPS), (5_000,))
    assert market.balance(OWNER) == kept
    market.close(job)
    market.sweep(job)
    assert market.balance(str(market.escrow.address)) == rest
    market.gifts += rest
