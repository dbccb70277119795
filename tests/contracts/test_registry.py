"""The registry: one token per GPU, and shares that only their holders move."""

import pytest
from eth_utils.crypto import keccak

from desktop_app.core.money import BASIS_POINTS
from desktop_app.wire import eip712
from tests.contracts.market import ANNE, ATTESTOR, BOB, OWNER, STRANGER, TIER, Market, Person, person, refused


def form(market: Market, signer: Person, deadline: int, hardware: str = "new") -> tuple[object, ...]:
    """The arguments of a registration signed by `signer`."""
    digest = keccak(text=hardware)
    said = eip712.Registration(ANNE.address, "0x" + digest.hex(), TIER, BOB.address, deadline)
    return (ANNE.address, digest, TIER, BOB.address, deadline, signer.sign(eip712.register(market.domain(market.registry), said)))


def test_register_gives_the_owner_a_token(market: Market) -> None:
    market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, market.now + 60)))
    gpu = market.registry.functions.idOfHardware(keccak(text="new")).call()
    assert gpu == market.registry.functions.count().call() == market.gpu + 1
    assert market.registry.functions.ownerOf(gpu).call() == ANNE.address
    assert market.registry.functions.gpu(gpu).call() == (TIER, market.now, False, 0, 0, BOB.address)
    assert market.registry.functions.payees(gpu).call() == [[ANNE.address], [BASIS_POINTS]]


def test_only_what_the_attestor_signed_is_registered(market: Market) -> None:
    good = form(market, ATTESTOR, market.now + 60)
    with refused("NotAttested"):
        market.send(STRANGER, market.registry.functions.register(*form(market, ANNE, market.now + 60)))
    for place, value in ((0, BOB.address), (1, keccak(text="other")), (2, TIER + 1), (3, ANNE.address), (4, market.now + 61)):
        with refused("NotAttested"):
            market.send(STRANGER, market.registry.functions.register(*good[:place], value, *good[place + 1 :]))
    with refused("RegistrationExpired"):
        market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, market.now - 1)))


def test_one_token_per_hardware(market: Market) -> None:
    with refused("HardwareTaken"):
        market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, market.now + 60, "first")))


def test_shares_come_from_the_residual_only(market: Market) -> None:
    grant = market.registry.functions.grantShare
    market.send(OWNER, grant(market.gpu, ANNE.address, 6_000))
    market.send(OWNER, grant(market.gpu, BOB.address, 3_000))
    for bps in (1_001, 0):
        with refused("ShareOutOfRange"):
            market.send(OWNER, grant(market.gpu, STRANGER.address, bps))
    who, bps = market.registry.functions.payees(market.gpu).call()
    assert (who, bps) == ([OWNER.address, ANNE.address, BOB.address], [1_000, 6_000, 3_000])
    assert market.registry.functions.payout(market.gpu).call() == [TIER, who, bps]


def test_only_the_holder_of_a_share_moves_it(market: Market) -> None:
    market.send(OWNER, market.registry.functions.grantShare(market.gpu, ANNE.address, 5_000))
    for who in (OWNER, STRANGER):
        with refused("NotShareHolder"):
            market.send(who, market.registry.functions.moveShare(market.gpu, 0, who.address))
    with refused("NotShareHolder"):
        market.send(ANNE, market.registry.functions.moveShare(market.gpu, 1, BOB.address))
    market.send(ANNE, market.registry.functions.moveShare(market.gpu, 0, BOB.address))
    assert market.registry.functions.payees(market.gpu).call()[0] == [OWNER.address, BOB.address]
    with refused("NotShareHolder"):
        market.send(ANNE, market.registry.functions.moveShare(market.gpu, 0, ANNE.address))


def test_selling_the_token_leaves_the_co_owners_alone(market: Market) -> None:
    market.send(OWNER, market.registry.functions.grantShare(market.gpu, ANNE.address, 2_500))
    market.send(OWNER, market.registry.functions.transferFrom(OWNER.address, STRANGER.address, market.gpu))
    assert market.registry.functions.payees(market.gpu).call() == [[STRANGER.address, ANNE.address], [7_500, 2_500]]


def test_at_most_eight_co_owners(market: Market) -> None:
    for number in range(8):
        market.send(OWNER, market.registry.functions.grantShare(market.gpu, person(20 + number).address, 100))
    with refused("TooManyCoOwners"):
        market.send(OWNER, market.registry.functions.grantShare(market.gpu, ANNE.address, 100))


@pytest.mark.parametrize("action", ["grantShare", "setOperator", "retire"])
def test_only_the_owner_decides(market: Market, action: str) -> None:
    arguments = {"grantShare": (STRANGER.address, 1), "setOperator": (STRANGER.address,), "retire": ()}[action]
    with refused("NotGpuOwner"):
        market.send(STRANGER, market.registry.functions[action](market.gpu, *arguments))
    with refused("ERC721NonexistentToken"):
        market.send(OWNER, market.registry.functions[action](99, *arguments))


def test_the_owner_names_the_operator_and_retires(market: Market) -> None:
    market.send(OWNER, market.registry.functions.setOperator(market.gpu, ANNE.address))
    market.send(OWNER, market.registry.functions.retire(market.gpu))
    _, _, retired, _, _, operator = market.registry.functions.gpu(market.gpu).call()
    assert (retired, operator) == (True, ANNE.address)
