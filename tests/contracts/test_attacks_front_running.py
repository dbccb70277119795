"""Signed messages in the hands of whoever sees them first, too early, too late, or beside the contract they are for. Each test
says first what the attacker wanted."""

from dataclasses import replace

import pytest
from eth_account import Account

from desktop_app.core.money import escrow
from desktop_app.wire import eip712
from tests.contracts.market import ROOT, Market, as_tuple
from tests.contracts.people import ANNE, BOB, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER, Person
from tests.contracts.refusals import refused

MONEY = 3_000_000
FEE = 10_000
WITH_BYTES = "(address,address,uint256,uint256,uint256,bytes32,bytes)"


def cash_out(market: Market, to: Person = ANNE, amount: int = MONEY, fee: int = FEE, after: int = 0) -> list[object]:
    """The arguments of a cash-out that OWNER signed, good for an hour."""
    before = market.now + 3600
    nonce = bytes(market.cash_out.functions.nonceOf(to.address, amount, fee, ROOT).call())
    form = eip712.Authorization(OWNER.address, str(market.cash_out.address), amount, after, before, "0x" + nonce.hex())
    signature = OWNER.sign(eip712.receive_with_authorization(market.domain(market.usdc), form))
    return [OWNER.address, to.address, amount, fee, ROOT, after, before, signature]


@pytest.fixture
def funded(market: Market) -> Market:
    market.mint(OWNER.address, 2 * MONEY)
    return market


def test_a_relayer_takes_no_more_than_the_fee_that_was_signed(funded: Market) -> None:
    """Wanted: to bring somebody's cash-out with a larger fee, another receiver, another amount or other times."""
    good = cash_out(funded)
    changes = {1: BOB.address, 2: MONEY + 1, 3: FEE + 1, 4: b"\1" * 32, 5: 1, 6: int(str(good[6])) + 1, 0: RENTER.address}
    for place, value in changes.items():
        with refused("ERC3009InvalidSignature"):
            funded.send(STRANGER, funded.cash_out.functions.cashOut(*[*good[:place], value, *good[place + 1 :]]))
    assert funded.balance(OWNER) == 2 * MONEY


@pytest.mark.parametrize("fee", [MONEY, MONEY + 1, 2**256 - 1])
def test_a_fee_that_leaves_nothing_is_refused_even_when_signed(funded: Market, fee: int) -> None:
    """Wanted: an owner who signs without reading, so that the whole amount is the fee, or more than the whole."""
    with refused("FeeNotBelowAmount", fee, MONEY):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*cash_out(funded, fee=fee)))


def test_a_relayer_that_is_overtaken_loses_the_fee_and_the_owner_nothing(funded: Market) -> None:
    """Wanted: to take another relayer's cash-out from the queue and bring it first. It gets the fee for the work, once."""
    arguments = cash_out(funded)
    funded.send(BOB, funded.cash_out.functions.cashOut(*arguments))
    with refused("ERC3009UsedAuthorization"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))
    assert [funded.balance(who) for who in (OWNER, ANNE, BOB, STRANGER)] == [MONEY, MONEY - FEE, FEE, 0]


def test_a_cash_out_is_worth_nothing_beside_its_contract(funded: Market) -> None:
    """Wanted: to send the authorisation straight to the token, to a second CashOut, or to the escrow, and keep the money."""
    sender, to, amount, fee, salt, after, before, signature = cash_out(funded)
    nonce = bytes(funded.cash_out.functions.nonceOf(to, amount, fee, salt).call())
    here = str(funded.cash_out.address)
    for name, error in (("receive", "ERC20InvalidReceiver"), ("transfer", "ERC3009InvalidSignature")):
        take = funded.usdc.get_function_by_signature(f"{name}WithAuthorization{WITH_BYTES}")
        with refused(error):
            funded.send(STRANGER, take(sender, here, amount, after, before, nonce, signature))
    take = funded.usdc.get_function_by_signature(f"receiveWithAuthorization{WITH_BYTES}")
    with refused("ERC3009InvalidSignature"):
        funded.send(STRANGER, take(sender, STRANGER.address, amount, after, before, nonce, signature))
    twin = funded.deploy("CashOut", funded.usdc.address)
    with refused("ERC3009InvalidSignature"):
        funded.send(STRANGER, twin.functions.cashOut(sender, to, amount, fee, salt, after, before, signature))


def test_an_opening_brought_by_another_is_the_same_opening(market: Market) -> None:
    """Wanted: to overtake the renter's own relayer and have the money without the job, the job twice, or the money held."""
    terms = market.terms()
    job, before, price = market.job_id(terms), market.now + 60, escrow(terms.units, terms.rate)
    purse = market.balance(RENTER)
    signature = market.authorize(RENTER, str(market.escrow.address), price, job, before)
    call = market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature)
    market.send(BOB, call)
    with refused("JobExists", job):
        market.send(STRANGER, call)
    assert (market.job(job).held, purse - market.balance(RENTER)) == (price, price)


def test_an_opening_is_worth_nothing_beside_the_escrow(market: Market) -> None:
    """Wanted: to use up the renter's authorisation on the token itself, so that the money is in the escrow and in no job."""
    terms = market.terms()
    job, before, price = market.job_id(terms), market.now + 60, escrow(terms.units, terms.rate)
    at = str(market.escrow.address)
    signature = market.authorize(RENTER, at, price, job, before)
    for name, error in (("receive", "ERC20InvalidReceiver"), ("transfer", "ERC3009InvalidSignature")):
        take = market.usdc.get_function_by_signature(f"{name}WithAuthorization{WITH_BYTES}")
        with refused(error):
            market.send(STRANGER, take(RENTER.address, at, price, 0, before, job, signature))
    cancel = market.usdc.get_function_by_signature("cancelAuthorization(address,bytes32,bytes)")
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, cancel(RENTER.address, job, signature))
    market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature))
    assert market.job(job).held == price


def test_an_opening_with_other_terms_is_not_signed(market: Market) -> None:
    """Wanted: the renter's money on terms that the renter never saw: another GPU, tier, rate, length, window or work."""
    terms = market.claimable()
    job, before = market.job_id(terms), market.now + 60
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(terms.units, terms.rate), job, before)
    other = "0x" + "99" * 32
    changes: list[dict[str, object]] = [
        {"gpu": market.gpu + 1}, {"tier": 4}, {"rate": terms.rate + 1}, {"units": terms.units - 1}, {"deadline": terms.deadline + 1},
        {"window": 1}, {"spec_hash": other}, {"salt": other}, {"renter": BOB.address},
    ]  # fmt: skip
    for change in changes:
        changed = replace(terms, **change)  # type: ignore[arg-type]
        with refused("ERC3009InvalidSignature"):
            market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(changed), 0, before, signature))


def test_a_topping_up_tops_up_once_and_nothing_else(market: Market) -> None:
    """Wanted: to top up twice, another job, by other units, or to open a job with the money meant for topping up."""
    job, other = market.open(market.terms(1)), market.open(market.terms(2))
    before, salt, units = market.now + 60, b"\1" * 32, 3_600
    nonce = bytes(market.escrow.functions.topUpNonce(job, units, salt).call())
    signature = market.authorize(RENTER, str(market.escrow.address), market.top_up_price(job, units), nonce, before)
    bring = market.escrow.functions.topUpWithAuthorization
    for changed in ((other, units, salt), (job, units + 1, salt), (job, units, b"\2" * 32)):
        with refused("ERC3009InvalidSignature"):
            market.send(STRANGER, bring(*changed, 0, before, signature))
    market.send(STRANGER, bring(job, units, salt, 0, before, signature))
    with refused("ERC3009UsedAuthorization"):
        market.send(STRANGER, bring(job, units, salt, 0, before, signature))
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, market.escrow.functions.openWithAuthorization(as_tuple(market.terms(3)), 0, before, signature))


def test_a_permit_brought_by_another_spoils_nothing(market: Market) -> None:
    """Wanted: to use up the renter's permit first, so that opening fails, or to open or top up from the allowance it made."""
    terms, at = market.terms(), str(market.escrow.address)
    price, before = escrow(terms.units, terms.rate), market.now + 60
    form = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}, {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"}, {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "domain": {"name": "USD Coin", "version": "2", "chainId": market.chain_id, "verifyingContract": str(market.usdc.address)},
        "message": {"owner": RENTER.address, "spender": at, "value": 2 * price, "nonce": 0, "deadline": before},
    }  # fmt: skip
    signature = bytes(Account.sign_typed_data(RENTER.key, full_message=form).signature)
    permit = market.usdc.get_function_by_signature("permit(address,address,uint256,uint256,bytes)")
    market.send(BOB, permit(RENTER.address, at, 2 * price, before, signature))
    for thief in (BOB, STRANGER):
        with refused("NotRenter", thief.address):
            market.send(thief, market.escrow.functions.open(as_tuple(terms)))
    market.send(RENTER, market.escrow.functions.open(as_tuple(terms)))
    with refused("NotRenter", BOB.address):
        market.send(BOB, market.escrow.functions.topUp(market.job_id(terms), 3_600))
    assert market.job(market.job_id(terms)).held == price


def test_an_authorisation_counts_within_its_time_only(market: Market) -> None:
    """Wanted: to bring an opening before or after the renter wanted it. The first and the last second are not within."""
    terms, at, begin = market.terms(), str(market.escrow.address), market.now + 100
    job, end, price = market.job_id(terms), begin + 100, escrow(terms.units, terms.rate)
    form = eip712.Authorization(RENTER.address, at, price, begin, end, "0x" + job.hex())
    signature = RENTER.sign(eip712.receive_with_authorization(market.domain(market.usdc), form))
    call = market.escrow.functions.openWithAuthorization(as_tuple(terms), begin, end, signature)
    for moment, good in ((begin - 1, False), (begin, False), (begin + 1, True), (end - 1, True), (end, False), (end + 1, False)):
        before = market.snapshot()
        market.travel(moment)
        if good:
            market.send(STRANGER, call)
        else:
            with refused("ERC3009InvalidAuthorizationTime"):
                market.send(STRANGER, call)
        market.revert(before)


def test_the_market_may_close_and_fees_may_rise_under_a_signed_opening(market: Market) -> None:
    """Wanted: to keep a signed opening until it hurts. The renter's price is signed; a rise of the fee is the owner's to see, and
    a market that is closed stays closed."""
    terms = market.terms()
    job, before, price = market.job_id(terms), market.now + 600, escrow(terms.units, terms.rate)
    signature = market.authorize(RENTER, str(market.escrow.address), price, job, before)
    call = market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature)
    market.send(GUARDIAN, market.policy.functions.setPaused(True))
    with refused("MarketPaused"):
        market.send(STRANGER, call)
    market.send(GUARDIAN, market.policy.functions.setPaused(False))
    market.send(DEPLOYER, market.policy.functions.setFee(100))
    market.send(STRANGER, call)
    assert (market.job(job).held, market.job(job).fee_bps) == (price, 100)
