"""TestUSDC behaves as Circle's token does where payouts depend on it."""

import pytest
from eth_account import Account

from tests.contracts.market import Market
from tests.contracts.people import ANNE, BOB, DEPLOYER, RENTER, STRANGER
from tests.contracts.refusals import refused

PERMIT = ("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256"), ("deadline", "uint256")
CANCEL = ("authorizer", "address"), ("nonce", "bytes32")
MOVE = (
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
)


def sign(market: Market, name: str, fields: tuple[tuple[str, str], ...], *values: object) -> bytes:
    """RENTER's signature over one of the token's typed messages."""
    domain = {"name": "USD Coin", "version": "2", "chainId": market.chain_id, "verifyingContract": market.usdc.address}
    message = {field: value for (field, _), value in zip(fields, values, strict=True)}
    types = {name: [{"name": field, "type": kind} for field, kind in fields]}
    return bytes(Account.sign_typed_data(RENTER.key, domain, types, message).signature)


def test_it_says_what_usdc_says(market: Market) -> None:
    said = [market.usdc.functions[name]().call() for name in ("name", "symbol", "version", "decimals")]
    assert said == ["USD Coin", "USDC", "2", 6]


def test_only_the_owner_rules(market: Market) -> None:
    rules = (("mint", (ANNE.address, 1)), ("pause", ()), ("unpause", ()), ("blacklist", (ANNE.address,)), ("unBlacklist", (ANNE.address,)))
    for name, arguments in rules:
        with refused("OwnableUnauthorizedAccount"):
            market.send(STRANGER, market.usdc.functions[name](*arguments))


@pytest.mark.parametrize("form", ["bytes", "vrs"])
def test_permit(market: Market, form: str) -> None:
    deadline = market.now + 60
    signature = sign(market, "Permit", PERMIT, RENTER.address, ANNE.address, 70, 0, deadline)
    tail: tuple[object, ...] = (signature,) if form == "bytes" else (signature[64], signature[:32], signature[32:64])
    kinds = "bytes" if form == "bytes" else "uint8,bytes32,bytes32"
    permit = market.usdc.get_function_by_signature(f"permit(address,address,uint256,uint256,{kinds})")
    with refused("PermitNotSigned"):
        market.send(STRANGER, permit(RENTER.address, ANNE.address, 71, deadline, *tail))
    market.send(STRANGER, permit(RENTER.address, ANNE.address, 70, deadline, *tail))
    market.send(ANNE, market.usdc.functions.transferFrom(RENTER.address, BOB.address, 70))
    assert market.balance(BOB.address) == 70
    with refused("PermitNotSigned"):
        market.send(STRANGER, permit(RENTER.address, ANNE.address, 70, deadline, *tail))
    market.travel(deadline + 1)
    with refused("PermitExpired"):
        market.send(STRANGER, permit(RENTER.address, ANNE.address, 70, deadline, *tail))


@pytest.mark.parametrize("form", ["bytes", "vrs"])
def test_nonces_are_random_and_used_once(market: Market, form: str) -> None:
    kinds = "bytes" if form == "bytes" else "uint8,bytes32,bytes32"
    transfer = market.usdc.get_function_by_signature(f"transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,{kinds})")
    for nonce in (b"\xff" * 32, b"\x01" * 32):
        values = (RENTER.address, ANNE.address, 5, 0, market.now + 60, nonce)
        signature = sign(market, "TransferWithAuthorization", MOVE, *values)
        tail: tuple[object, ...] = (signature,) if form == "bytes" else (signature[64], signature[:32], signature[32:64])
        market.send(STRANGER, transfer(*values, *tail))
        with refused("ERC3009UsedAuthorization"):
            market.send(STRANGER, transfer(*values, *tail))
    assert market.balance(ANNE.address) == 10


def test_a_cancelled_authorisation_moves_nothing(market: Market) -> None:
    nonce = b"\x09" * 32
    cancel = market.usdc.get_function_by_signature("cancelAuthorization(address,bytes32,bytes)")
    transfer = market.usdc.get_function_by_signature("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
    values = (RENTER.address, ANNE.address, 5, 0, market.now + 60, nonce)
    market.send(STRANGER, cancel(RENTER.address, nonce, sign(market, "CancelAuthorization", CANCEL, RENTER.address, nonce)))
    with refused("ERC3009UsedAuthorization"):
        market.send(STRANGER, transfer(*values, sign(market, "TransferWithAuthorization", MOVE, *values)))


def test_frozen_accounts_move_nothing_receive_nothing_and_approve_nothing(market: Market) -> None:
    transfer, approve = market.usdc.functions.transfer, market.usdc.functions.approve
    market.mint(ANNE.address, 1)
    market.send(RENTER, approve(ANNE.address, 1))
    market.freeze(ANNE)
    assert market.usdc.functions.isBlacklisted(ANNE.address).call()
    attempts = [
        (RENTER, transfer(ANNE.address, 1)),
        (ANNE, transfer(BOB.address, 1)),
        (ANNE, approve(BOB.address, 1)),
        (RENTER, approve(ANNE.address, 2)),
        (DEPLOYER, market.usdc.functions.mint(ANNE.address, 1)),
    ]
    for who, call in attempts:
        with refused("AccountBlacklisted", ANNE.address):
            market.send(who, call)
    market.freeze(ANNE, False)
    market.send(ANNE, market.usdc.functions.transferFrom(RENTER.address, BOB.address, 1))


def test_a_paused_token_moves_nothing(market: Market) -> None:
    market.send(DEPLOYER, market.usdc.functions.pause())
    for call in (market.usdc.functions.transfer(ANNE.address, 1), market.usdc.functions.approve(ANNE.address, 1)):
        with refused("EnforcedPause"):
            market.send(RENTER, call)
    market.send(DEPLOYER, market.usdc.functions.unpause())
    market.send(RENTER, market.usdc.functions.transfer(ANNE.address, 1))
    assert market.balance(ANNE) == 1


def test_the_deployer_names_the_owner(market: Market) -> None:
    assert market.deploy("TestUSDC", ANNE.address).functions.owner().call() == ANNE.address
