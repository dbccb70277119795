"""Money that could not be delivered waits for its owner, and fees go to the treasury and nowhere else."""

from desktop_app.core import money
from tests.contracts.market import FEE_BPS, RATE, UNITS, Market
from tests.contracts.people import ANNE, BOB, DEPLOYER, OWNER, RENTER, TREASURY
from tests.contracts.refusals import refused

NET = money.net(UNITS, RATE, FEE_BPS)
FEE = money.fee(money.gross(UNITS, RATE), FEE_BPS)


def test_a_payee_that_cannot_be_paid_is_owed_and_holds_up_nobody(market: Market) -> None:
    market.grant(OWNER, ANNE, 2_000)
    market.grant(OWNER, BOB, 3_000)
    job = market.open(market.terms())
    market.freeze(ANNE)
    market.redeem(RENTER, job, UNITS)
    parts = money.split(NET, (2_000, 3_000))
    assert (market.balance(OWNER), market.balance(ANNE), market.balance(BOB)) == (parts[0], 0, parts[2])
    assert market.owed(ANNE) == parts[1]
    with refused("AccountBlacklisted", ANNE.address):
        market.withdraw(ANNE)
    market.freeze(ANNE, False)
    market.withdraw(ANNE)
    assert (market.balance(ANNE), market.owed(ANNE)) == (parts[1], 0)
    with refused("NothingOwed", ANNE.address):
        market.withdraw(ANNE)


def test_debts_add_up(market: Market) -> None:
    market.freeze(OWNER)
    for salt in range(3):
        market.redeem(RENTER, market.open(market.terms(salt)), UNITS)
    assert market.owed(OWNER) == 3 * NET
    market.freeze(OWNER, False)
    market.withdraw(OWNER)
    assert market.balance(OWNER) == 3 * NET


def test_a_paused_token_makes_everything_owed(market: Market) -> None:
    job = market.open(market.terms())
    market.send(DEPLOYER, market.usdc.functions.pause())
    market.redeem_attested(job, UNITS)
    market.close(job)
    with refused("EnforcedPause"):
        market.withdraw(OWNER)
    with refused("EnforcedPause"):
        market.sweep()
    market.send(DEPLOYER, market.usdc.functions.unpause())
    assert market.owed(OWNER) == NET
    market.withdraw(OWNER)


def test_fees_are_swept_from_open_and_closed_jobs_once(market: Market) -> None:
    open_, closed = market.open(market.terms(1)), market.open(market.terms(2))
    market.redeem(RENTER, closed, UNITS)
    market.close(closed)
    assert market.escrow.functions.feesAccrued().call() == FEE
    market.redeem(RENTER, open_, UNITS // 2)
    half = money.fee(money.gross(UNITS // 2, RATE), FEE_BPS)
    market.sweep(open_, open_, closed, b"\7" * 32)
    assert market.balance(TREASURY) == FEE + half
    assert (market.job(open_).fees, market.escrow.functions.feesAccrued().call()) == (0, 0)
    market.redeem(RENTER, open_, UNITS)
    market.close(open_)
    market.sweep()
    assert market.balance(TREASURY) == 2 * FEE


def test_fees_go_where_the_policy_says_now(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    market.send(DEPLOYER, market.policy.functions.setTreasury(ANNE.address))
    market.sweep(job)
    assert (market.balance(TREASURY), market.balance(ANNE)) == (0, FEE)


def test_sweeping_nothing_moves_nothing(market: Market) -> None:
    job = market.open(market.terms())
    market.sweep(job)
    market.sweep()
    assert (market.balance(TREASURY), market.job(job).held) == (0, money.escrow(UNITS, RATE))


def test_a_gift_to_the_escrow_is_nobodys(market: Market) -> None:
    job = market.open(market.terms())
    market.gifts = 12_345
    market.send(RENTER, market.usdc.functions.transfer(market.escrow.address, market.gifts))
    market.redeem(RENTER, job, UNITS)
    market.close(job)
    market.sweep()
    assert market.balance(str(market.escrow.address)) == 12_345
