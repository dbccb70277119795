"""Cashing out on one signature: receiver, amount and fee are what was signed, or nothing moves."""

import pytest

from tests.contracts.market import Market
from tests.contracts.people import ANNE, BOB, OWNER, STRANGER
from tests.contracts.refusals import refused

SALT = b"\x05" * 32


@pytest.fixture
def funded(market: Market) -> Market:
    market.mint(OWNER.address, 5_000_000)
    return market


def signed(market: Market, amount: int, fee: int, to: str = ANNE.address) -> tuple[object, ...]:
    """The arguments of a cash-out that OWNER signed."""
    before = market.now + 3600
    nonce = bytes(market.cash_out.functions.nonceOf(to, amount, fee, SALT).call())
    signature = market.authorize(OWNER, str(market.cash_out.address), amount, nonce, before)
    return (OWNER.address, to, amount, fee, SALT, 0, before, signature)


def test_amount_and_fee_arrive_together(funded: Market) -> None:
    funded.send(STRANGER, funded.cash_out.functions.cashOut(*signed(funded, 3_000_000, 12_345)))
    assert funded.balance(ANNE.address) == 3_000_000 - 12_345
    assert funded.balance(STRANGER.address) == 12_345
    assert funded.balance(OWNER.address) == 2_000_000
    assert funded.balance(str(funded.cash_out.address)) == 0
    event = funded.cash_out.events.CashedOut().get_logs(from_block=0)[0]["args"]
    expected = {"from": OWNER.address, "to": ANNE.address, "amount": 3_000_000, "fee": 12_345, "relayer": STRANGER.address}
    assert dict(event) == expected


def test_without_a_fee_the_whole_amount_arrives(funded: Market) -> None:
    funded.send(STRANGER, funded.cash_out.functions.cashOut(*signed(funded, 1, 0)))
    assert funded.balance(ANNE.address) == 1


@pytest.mark.parametrize("fee", [1_000, 1_001])
def test_a_fee_that_eats_the_amount_is_refused(funded: Market, fee: int) -> None:
    with refused("FeeNotBelowAmount"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*signed(funded, 1_000, fee)))


@pytest.mark.parametrize(
    ("place", "value"), [(1, STRANGER.address), (2, 3_000_001), (3, 20_000), (4, b"\x06" * 32)], ids=["to", "amount", "fee", "salt"]
)
def test_whoever_brings_it_changes_nothing(funded: Market, place: int, value: object) -> None:
    arguments = list(signed(funded, 3_000_000, 10_000))
    arguments[place] = value
    with refused("ERC3009InvalidSignature"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))


def test_nobody_takes_the_money_without_the_receiver_getting_it(funded: Market) -> None:
    """The authorisation names CashOut, so the token takes it from CashOut only."""
    owner, _, amount, _, _, after, before, signature = signed(funded, 3_000_000, 10_000)
    nonce = bytes(funded.cash_out.functions.nonceOf(ANNE.address, amount, 10_000, SALT).call())
    for name, error in (("receive", "ERC20InvalidReceiver"), ("transfer", "ERC3009InvalidSignature")):
        take = funded.usdc.get_function_by_signature(f"{name}WithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
        with refused(error):
            funded.send(STRANGER, take(owner, funded.cash_out.address, amount, after, before, nonce, signature))


def test_a_signature_pays_once(funded: Market) -> None:
    arguments = signed(funded, 1_000_000, 10)
    funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))
    with refused("ERC3009UsedAuthorization"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))
    assert funded.balance(ANNE.address) == 999_990


def test_a_signature_has_its_time(funded: Market) -> None:
    arguments = signed(funded, 1_000_000, 10)
    funded.travel(funded.now + 3601)
    with refused("ERC3009InvalidAuthorizationTime"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))


def test_money_is_not_sent_where_it_would_be_lost(funded: Market) -> None:
    for to in (str(funded.cash_out.address), str(funded.usdc.address)):
        with refused("WrongReceiver"):
            funded.send(STRANGER, funded.cash_out.functions.cashOut(*signed(funded, 1_000, 1, to)))


def test_more_than_there_is_moves_nothing(funded: Market) -> None:
    with refused("ERC20InsufficientBalance"):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*signed(funded, 5_000_001, 1)))


def test_a_frozen_receiver_gets_nothing_and_nobody_takes_the_fee(funded: Market) -> None:
    arguments = signed(funded, 1_000_000, 10)
    funded.freeze(ANNE)
    with refused("AccountBlacklisted", ANNE.address):
        funded.send(STRANGER, funded.cash_out.functions.cashOut(*arguments))
    assert (funded.balance(OWNER), funded.balance(STRANGER)) == (5_000_000, 0)


def test_whoever_brings_it_first_has_the_fee(funded: Market) -> None:
    funded.send(BOB, funded.cash_out.functions.cashOut(*signed(funded, 1_000_000, 10)))
    assert (funded.balance(BOB), funded.balance(STRANGER)) == (10, 0)
