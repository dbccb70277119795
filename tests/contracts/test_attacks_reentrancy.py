"""Being called back in the middle of a payment. USDC calls nobody; a hostile token stands in for it in an escrow of the test's
own and calls back during every transfer. Each test says first what the attacker wanted."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from web3.contract import Contract
from web3.logs import DISCARD
from web3.types import TxReceipt

from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from tests.contracts.market import DAY, FEE_BPS, RATE, ROOT, UNITS, WINDOW, Market, as_form, as_tuple
from tests.contracts.people import ANNE, ATTESTOR, OWNER, RENTER, STRANGER
from tests.contracts.refusals import explain
from tests.contracts.solidity.sources import deploy_here

WORK = UNITS // 4


@dataclass(frozen=True)
class Trap:
    """An escrow whose token calls back, with one job in it."""

    market: Market
    token: Contract
    escrow: Contract
    terms: eip712.Terms
    job: bytes

    def arm(self, *calls: tuple[str, list[object]]) -> None:
        encoded = [bytes.fromhex(self.escrow.encode_abi(name, args=arguments)[2:]) for name, arguments in calls]
        self.market.send(STRANGER, self.token.functions.arm(self.escrow.address, encoded))

    def voucher(self, units: int) -> tuple[tuple[bytes, int, int, bytes], bytes]:
        row = (self.job, self.market.gpu, units, ROOT)
        return row, RENTER.sign(eip712.voucher(self.market.domain(self.escrow), as_form(row)))

    def answers(self, receipt: TxReceipt) -> list[str]:
        """Per call made in the middle: empty if it was done, or the error."""
        seen = self.token.events.Answered().process_receipt(receipt, DISCARD)
        return ["" if one["args"]["done"] else explain(one["args"]["said"])[0] for one in seen]

    def sound(self) -> None:
        """What the escrow holds covers the job, the fees and the debts."""
        do = self.escrow.functions
        _, _, _, _, held, fees, *_ = do.jobs(self.job).call()
        owed = sum(do.owed(who.address).call() for who in (RENTER, OWNER, ANNE))
        assert self.token.functions.balanceOf(self.escrow.address).call() == held + fees + do.feesAccrued().call() + owed


@pytest.fixture
def trap(market: Market, modules: Path) -> Trap:
    token = deploy_here(market, modules, "HostileToken")
    escrow = market.deploy("TaskEscrow", token.address, market.registry.address)
    market.send(STRANGER, token.functions.mint(RENTER.address, 10**9))
    market.send(RENTER, token.functions.approve(escrow.address, 10**9))
    market.grant(OWNER, ANNE, 3_000)
    terms = market.claimable()
    market.send(RENTER, escrow.functions.open(as_tuple(terms)))
    return Trap(market, token, escrow, terms, bytes(escrow.functions.jobId(as_tuple(terms)).call()))


def test_nothing_that_moves_money_can_be_done_in_the_middle_of_a_payment(trap: Trap) -> None:
    """Wanted: as a payee that is called during its payment, to be paid again, close the job, or take fees and debts."""
    row, signature = trap.voucher(WORK)
    attested = ATTESTOR.sign(eip712.voucher(trap.market.domain(trap.escrow), as_form(row)))
    more = as_tuple(trap.market.terms(7))
    guarded: list[tuple[str, list[object]]] = [
        ("redeem", [row, signature]), ("redeemAttested", [row, ATTESTOR.address, attested]),
        ("settleBatchSigned", [[row], ATTESTOR.address, attested]), ("close", [trap.job]), ("sweepFees", [[trap.job]]),
        ("withdrawOwed", [OWNER.address]), ("finalize", [trap.job]), ("resolve", [trap.job, 1]), ("topUp", [trap.job, 1]),
        ("topUpWithAuthorization", [trap.job, 1, ROOT, 0, 2**40, b""]), ("openWithAuthorization", [more, 0, 2**40, b""]),
        ("open", [more]),
    ]  # fmt: skip
    trap.arm(*guarded)
    answers = trap.answers(trap.market.send(STRANGER, trap.escrow.functions.redeem(row, signature)))
    assert answers == ["ReentrancyGuardReentrantCall"] * len(guarded) * 2  # the holder's part and the co-owner's
    parts = money.split(money.net(WORK, RATE, FEE_BPS), (3_000,))
    assert [trap.token.functions.balanceOf(who.address).call() for who in (OWNER, ANNE)] == list(parts)
    trap.sound()


def test_what_is_not_guarded_changes_nothing_that_is_being_paid(trap: Trap) -> None:
    """Wanted: to cancel, claim or challenge in the middle of a payment, so that the books are written over with older ones."""
    row, signature = trap.voucher(WORK)
    later = (trap.job, trap.market.gpu, UNITS, ROOT)
    claimed = OWNER.sign(eip712.claim(trap.market.domain(trap.escrow), as_form(later)))
    objected = RENTER.sign(eip712.challenge(trap.market.domain(trap.escrow), "0x" + trap.job.hex(), trap.market.gpu, Units(UNITS)))
    trap.arm(
        ("cancelUnstarted", [trap.job]), ("claim", [as_tuple(trap.terms), later, ROOT, claimed]), ("challenge", [trap.job, objected])
    )  # fmt: skip
    answers = trap.answers(trap.market.send(STRANGER, trap.escrow.functions.redeem(row, signature)))
    assert answers == ["NotRenter", "", "", "NotRenter", "WrongStage", "WrongStage"]
    trap.sound()
    trap.arm()
    trap.market.travel(trap.market.now + 15 * DAY)
    trap.market.send(STRANGER, trap.escrow.functions.finalize(trap.job))
    trap.market.send(STRANGER, trap.escrow.functions.close(trap.job))
    assert trap.token.functions.balanceOf(RENTER.address).call() == 10**9 - money.gross(WORK, RATE)
    trap.sound()


def test_a_claim_made_in_the_middle_is_paid_what_is_left_and_no_more(trap: Trap) -> None:
    """Wanted: to claim the whole job while the payment of a part of it is not yet written down."""
    row, signature = trap.voucher(WORK)
    later = (trap.job, trap.market.gpu, UNITS, ROOT)
    claimed = OWNER.sign(eip712.claim(trap.market.domain(trap.escrow), as_form(later)))
    trap.arm(("claim", [as_tuple(trap.terms), later, ROOT, claimed]))
    trap.market.send(STRANGER, trap.escrow.functions.redeem(row, signature))
    trap.arm(("finalize", [trap.job]), ("close", [trap.job]))
    trap.market.travel(trap.market.now + WINDOW + 1)
    trap.market.send(STRANGER, trap.escrow.functions.finalize(trap.job))
    assert trap.escrow.functions.unitsPaid(trap.job, trap.market.gpu).call() == UNITS
    got = sum(trap.token.functions.balanceOf(who.address).call() for who in (OWNER, ANNE))
    assert got == money.net(UNITS, RATE, FEE_BPS)
    trap.sound()


def test_a_refund_cannot_be_taken_twice(trap: Trap) -> None:
    """Wanted: as a renter that is called during its refund, to close, open or top up the same job again."""
    more = as_tuple(trap.terms)
    trap.arm(("close", [trap.job]), ("openWithAuthorization", [more, 0, 2**40, b""]), ("withdrawOwed", [RENTER.address]))
    trap.market.travel(trap.terms.deadline + DAY + 1)
    answers = trap.answers(trap.market.send(STRANGER, trap.escrow.functions.close(trap.job)))
    assert answers == ["ReentrancyGuardReentrantCall"] * 3
    assert trap.token.functions.balanceOf(RENTER.address).call() == 10**9
    trap.sound()


def test_the_same_cash_out_cannot_be_brought_from_inside_itself(trap: Trap) -> None:
    """Wanted: to have the fee twice. Only this contract's own money could pay it, and it keeps none."""
    cash = trap.market.deploy("CashOut", trap.token.address)
    arguments = [RENTER.address, ANNE.address, 1_000, 10, ROOT, 0, 2**40, b""]
    inner = bytes.fromhex(cash.encode_abi("cashOut", args=[RENTER.address, ANNE.address, 10**12, 10, ROOT, 0, 2**40, b""])[2:])
    trap.market.send(STRANGER, trap.token.functions.arm(cash.address, [inner]))
    trap.market.send(STRANGER, cash.functions.cashOut(*arguments))
    assert trap.token.functions.balanceOf(cash.address).call() == 0
    assert trap.token.functions.balanceOf(ANNE.address).call() == 990
