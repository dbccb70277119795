"""Settling many vouchers on one signature: a bad row is skipped with its reason and never holds up a good one."""

from typing import Any

import pytest
from eth_utils.crypto import keccak
from web3.logs import DISCARD
from web3.types import TxReceipt

from desktop_app.core import money
from desktop_app.wire import eip712
from tests.contracts.ground import TX_GAS
from tests.contracts.market import FEE_BPS, OTHER_TIER, RATE, TIER, UNITS, Market, VoucherTuple, as_form
from tests.contracts.people import ANNE, ATTESTOR, BOB, DEPLOYER, OWNER, RENTER, STRANGER, person
from tests.contracts.refusals import Refused, error_data, refused

WORTH = money.gross(UNITS, RATE)
NO_JOB = b"\7" * 32


def said(market: Market, receipt: TxReceipt, name: str) -> list[dict[str, Any]]:
    """The escrow's events of one name."""
    return [dict(one["args"]) for one in market.escrow.events[name]().process_receipt(receipt, DISCARD)]


def transfers(market: Market, receipt: TxReceipt) -> list[tuple[str, int]]:
    found = market.usdc.events.Transfer().process_receipt(receipt, DISCARD)
    return [(one["args"]["to"], one["args"]["value"]) for one in found]


@pytest.fixture
def bad(market: Market) -> list[tuple[VoucherTuple, bytes]]:
    """A row for each reason to refuse one but the allowance, with the error it deserves."""
    pinned, roaming, done = (market.open(market.terms(salt, gpu=gpu)) for salt, gpu in ((1, market.gpu), (2, 0), (3, 0)))
    other = market.register(ANNE, "other tier", tier=OTHER_TIER)
    market.redeem(RENTER, done, UNITS)
    market.close(done)
    market.redeem(RENTER, pinned, 500)
    return [
        (market.row(b"\0" * 32, 1), error_data("JobNotOpen", b"\0" * 32)),
        (market.row(NO_JOB, 1), error_data("JobNotOpen", NO_JOB)),
        (market.row(done, UNITS), error_data("JobNotOpen", done)),
        (market.row(pinned, 1_000, other), error_data("WrongGpu", market.gpu, other)),
        (market.row(pinned, 500), error_data("VoucherStale", 500, 500)),
        (market.row(pinned, 499), error_data("VoucherStale", 500, 499)),
        (market.row(pinned, UNITS + 1), error_data("JobOverrun", UNITS - 500, UNITS - 499)),
        (market.row(roaming, 2**64 - 1), error_data("JobOverrun", UNITS, 2**64 - 1)),
        (market.row(roaming, 1_000, 99), error_data("NoSuchAccount", 99)),
        (market.row(roaming, 1_000, market.gpu | 1 << 40), error_data("NoSuchAccount", market.gpu | 1 << 40)),
        (market.row(roaming, 1_000, other), error_data("WrongTier", TIER, OTHER_TIER)),
    ]


def test_by_itself_each_bad_row_reverts_with_its_reason(market: Market, bad: list[tuple[VoucherTuple, bytes]]) -> None:
    for row, reason in bad:
        signature = ATTESTOR.sign(eip712.voucher(market.domain(market.escrow), as_form(row)))
        with pytest.raises(Refused) as caught:
            market.send(STRANGER, market.escrow.functions.redeemAttested(row, ATTESTOR.address, signature))
        assert caught.value.data == reason


def test_in_a_batch_each_bad_row_is_skipped_with_that_reason(market: Market, bad: list[tuple[VoucherTuple, bytes]]) -> None:
    had, fine = market.balance(OWNER), [market.open(market.terms(salt)) for salt in (4, 5)]
    good = [market.row(fine[number % 2], 500 + number) for number in range(len(bad) + 1)]
    rows = [good[0]]
    for (row, _), one in zip(bad, good[1:], strict=True):
        rows += [row, one]
    receipt = market.batch(rows)
    assert said(market, receipt, "RowSkipped") == [{"job": row[0], "gpu": row[1], "reason": reason} for row, reason in bad]
    assert len(said(market, receipt, "VoucherRedeemed")) == len(good)
    last = {good[-2][0]: good[-2][2], good[-1][0]: good[-1][2]}
    assert {job: market.paid(job) for job in fine} == last
    assert market.balance(OWNER) - had == sum(money.net(units, RATE, FEE_BPS) for units in last.values())


def test_rows_of_one_holder_are_paid_in_one_transfer(market: Market) -> None:
    jobs = [market.open(market.terms(salt)) for salt in range(3)]
    second, annes = market.register(OWNER, "second"), market.register(ANNE, "third")
    rows = [market.row(jobs[0], 1_000), market.row(jobs[1], 1_000), market.row(jobs[1], 2_000, second)]
    rows += [market.row(jobs[2], 3_000, annes), market.row(jobs[2], 4_000)]
    worth = [money.net(one[2], RATE, FEE_BPS) for one in rows]
    moved = transfers(market, market.batch(rows))
    assert moved == [(OWNER.address, sum(worth[:3])), (ANNE.address, worth[3]), (OWNER.address, worth[4])]


def test_a_row_skipped_between_two_of_one_holder_does_not_part_them(market: Market) -> None:
    job = market.open(market.terms())
    moved = transfers(market, market.batch([market.row(job, 1_000), market.row(NO_JOB, 1), market.row(job, 2_000)]))
    assert moved == [(OWNER.address, money.net(2_000, RATE, FEE_BPS))]


def test_a_job_is_remembered_when_its_rows_are_apart(market: Market) -> None:
    first, second = market.open(market.terms(1)), market.open(market.terms(2))
    market.batch([market.row(first, 10_000), market.row(second, 20_000), market.row(first, 30_000), market.row(second, 40_000)])
    assert [(market.job(job).used, market.paid(job)) for job in (first, second)] == [(30_000, 30_000), (40_000, 40_000)]
    assert market.job(first).fees == money.fee(money.gross(30_000, RATE), FEE_BPS)
    over = market.batch([market.row(first, UNITS), market.row(second, 50_000), market.row(first, UNITS + 1)])
    assert [one["reason"] for one in said(market, over, "RowSkipped")] == [error_data("JobOverrun", 0, 1)]


def test_co_owners_are_paid_row_by_row(market: Market) -> None:
    market.grant(OWNER, ANNE, 2_500)
    market.grant(OWNER, BOB, 1)
    job = market.open(market.terms())
    market.batch([market.row(job, 1_000_003), market.row(job, 2_000_001)])
    steps = [money.net(1_000_003, RATE, FEE_BPS), money.net(2_000_001, RATE, FEE_BPS) - money.net(1_000_003, RATE, FEE_BPS)]
    parts = [money.split(one, (2_500, 1)) for one in steps]
    assert [market.balance(who) for who in (OWNER, ANNE, BOB)] == [sum(column) for column in zip(*parts, strict=True)]


def test_a_frozen_payee_is_owed_and_holds_up_no_row(market: Market) -> None:
    market.grant(OWNER, BOB, 5_000)
    annes = market.register(ANNE, "second")
    job = market.open(market.terms())
    market.freeze(OWNER)
    market.freeze(BOB)
    market.batch([market.row(job, 1_000), market.row(job, 2_000, annes), market.row(job, 3_000)])
    whole = money.net(3_000, RATE, FEE_BPS)
    assert market.owed(OWNER) + market.owed(BOB) == whole and market.owed(BOB) in (whole // 2, whole // 2 - 1)
    assert market.balance(ANNE) == money.net(2_000, RATE, FEE_BPS)


def test_an_allowance_used_up_in_mid_batch_skips_what_is_too_much(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setAllowance(WORTH + 100))
    jobs = [market.open(market.terms(salt)) for salt in range(3)]
    rows = [market.row(jobs[0], UNITS), market.row(jobs[1], 1_010), market.row(jobs[2], 1_000), market.row(jobs[2], 1_010)]
    receipt = market.batch(rows)
    assert [one["reason"] for one in said(market, receipt, "RowSkipped")] == [error_data("RateLimitExceeded")] * 2
    assert [market.paid(job) for job in jobs] == [UNITS, 0, 1_000]
    assert market.policy.functions.available(market.escrow.address, ATTESTOR.address).call() == 0
    market.redeem(RENTER, jobs[1], 1_010)
    market.batch(rows[:1])  # nothing left to draw, nothing drawn


def test_a_batch_has_one_to_four_hundred_rows(market: Market) -> None:
    with refused("RowsOutOfRange", 0):
        market.batch([])
    with refused("RowsOutOfRange", 401):
        market.batch([market.row(NO_JOB, 1)] * 401)


def test_four_hundred_rows_fit_in_a_transaction(market: Market) -> None:
    """Each row pays another holder than the row before, who already has a balance, for a (job, GPU) already begun."""
    gpus = [market.register(person(11 + number), f"gpu {number}") for number in range(8)]
    job = market.open(market.terms())
    receipt = market.batch([market.row(job, 10 * (number // 8 + 1), gpus[number % 8]) for number in range(400)])
    assert len(transfers(market, receipt)) == 400 and said(market, receipt, "RowSkipped") == []
    assert market.job(job).used == 8 * 500
    assert receipt["gasUsed"] < TX_GAS


def test_only_an_attestor_signs_a_batch(market: Market) -> None:
    rows = [market.row(market.open(market.terms()), 1_000)]
    for signer in (RENTER, OWNER, STRANGER):
        with refused("NotAttestor", signer.address):
            market.batch(rows, signer)
    packed = keccak(b"".join(rows[0][0] + n.to_bytes(32, "big") for n in rows[0][1:3]) + rows[0][3])
    signature = RENTER.sign(eip712.batch(market.domain(market.escrow), 1, "0x" + packed.hex()))
    with refused("NotAttested", ATTESTOR.address):
        market.send(STRANGER, market.escrow.functions.settleBatchSigned(rows, ATTESTOR.address, signature))


def test_a_changed_batch_pays_nothing(market: Market) -> None:
    job, other = market.open(market.terms(1)), market.open(market.terms(2))
    rows = [market.row(job, 1_000), market.row(other, 2_000)]
    packed = keccak(b"".join(one + gpu.to_bytes(32, "big") + units.to_bytes(32, "big") + root for one, gpu, units, root in rows))
    signature = ATTESTOR.sign(eip712.batch(market.domain(market.escrow), 2, "0x" + packed.hex()))
    settle = market.escrow.functions.settleBatchSigned
    changed = [
        rows[::-1],
        rows[:1],
        [*rows, rows[0]],
        [rows[0], market.row(other, 2_001)],
        [rows[0], market.row(other, 2_000, root=b"\1" * 32)],
    ]
    for one in changed:
        with refused("NotAttested", ATTESTOR.address):
            market.send(STRANGER, settle(one, ATTESTOR.address, signature))
    market.send(STRANGER, settle(rows, ATTESTOR.address, signature))
    again = market.send(STRANGER, settle(rows, ATTESTOR.address, signature))
    assert len(said(market, again, "RowSkipped")) == 2  # a second time it pays nothing
