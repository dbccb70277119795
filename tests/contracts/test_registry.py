"""The registry: one token per GPU, on an attestor's word, and what only its holder may do."""

import pytest
from eth_utils.crypto import keccak

from desktop_app.core.money import BASIS_POINTS
from desktop_app.wire import eip712
from tests.contracts.market import OTHER_TIER, TIER, Market
from tests.contracts.people import ANNE, ATTESTOR, BOB, DEPLOYER, OWNER, STRANGER, Person
from tests.contracts.refusals import refused

NEW = keccak(text="new")
NOBODY = "0x" + "0" * 40


def form(market: Market, signer: Person, deadline: int, hardware: str = "new") -> tuple[object, ...]:
    """The arguments of a registration signed by `signer`."""
    digest = keccak(text=hardware)
    said = eip712.Registration(ANNE.address, "0x" + digest.hex(), TIER, BOB.address, deadline)
    proof = signer.sign(eip712.register(market.domain(market.registry), said))
    return (ANNE.address, digest, TIER, BOB.address, deadline, signer.address, proof)


def test_register_gives_the_owner_a_token_an_account_and_an_operator(market: Market) -> None:
    at = market.now
    market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, at)))
    calls = market.registry.functions
    gpu, era, operator = calls.machines(NEW).call()
    assert (gpu, era, operator) == (market.gpu + 1, 0, BOB.address)
    assert gpu == calls.count().call() == calls.accountOf(gpu).call()
    assert calls.ownerOf(gpu).call() == ANNE.address
    assert tuple(calls.gpu(gpu).call()) == (ANNE.address, TIER, 0, 0, 0, False, at)
    assert calls.payees(gpu).call() == [[ANNE.address], [BASIS_POINTS]]
    assert tuple(calls.payout(gpu).call()) == (TIER, ANNE.address, 0)
    assert calls.operatorOf(gpu, NEW).call() == BOB.address


def test_only_what_an_attestor_signed_is_registered(market: Market) -> None:
    good = form(market, ATTESTOR, market.now + 60)
    register = market.registry.functions.register
    changes = ((0, BOB.address), (1, keccak(text="other")), (2, TIER + 1), (3, ANNE.address), (4, good[4] + 1))  # type: ignore[operator]
    for place, value in changes:
        with refused("NotAttested", ATTESTOR.address):
            market.send(STRANGER, register(*good[:place], value, *good[place + 1 :]))
    with refused("NotAttested", ANNE.address):
        market.send(STRANGER, register(*form(market, ANNE, market.now + 60)))
    with refused("NotAttested", ATTESTOR.address):  # an attestor's name under another's signature
        market.send(STRANGER, register(*form(market, ANNE, market.now + 60)[:5], ATTESTOR.address, form(market, ANNE, market.now + 60)[6]))
    market.send(STRANGER, register(*good))


def test_an_attestation_has_its_time(market: Market) -> None:
    late = form(market, ATTESTOR, market.now)
    market.travel(market.now + 1)
    with refused("AttestationExpired", late[4]):
        market.send(STRANGER, market.registry.functions.register(*late))


def test_who_is_attestor_no_more_registers_nothing(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setAttestor(ATTESTOR.address, False))
    with refused("NotAttested", ATTESTOR.address):
        market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, market.now + 60)))


def test_one_token_per_hardware(market: Market) -> None:
    with refused("HardwareTaken", market.gpu):
        market.send(STRANGER, market.registry.functions.register(*form(market, ATTESTOR, market.now + 60, "first")))


def test_nobody_cannot_own_a_gpu(market: Market) -> None:
    said = eip712.Registration(NOBODY, "0x" + NEW.hex(), TIER, BOB.address, market.now + 60)
    proof = ATTESTOR.sign(eip712.register(market.domain(market.registry), said))
    with refused("ERC721InvalidReceiver", NOBODY):
        register = market.registry.functions.register
        market.send(STRANGER, register(NOBODY, NEW, TIER, BOB.address, said.deadline, ATTESTOR.address, proof))
    with refused("ERC721InvalidReceiver", NOBODY):
        market.send(OWNER, market.registry.functions.transferFrom(OWNER.address, NOBODY, market.gpu))


@pytest.mark.parametrize("action", ["grantShare", "retire"])
def test_only_the_holder_decides(market: Market, action: str) -> None:
    arguments = {"grantShare": (STRANGER.address, 1), "retire": ()}[action]
    with refused("NotGpuOwner", market.gpu, STRANGER.address):
        market.send(STRANGER, market.registry.functions[action](market.gpu, *arguments))
    with refused("ERC721NonexistentToken", 99):
        market.send(OWNER, market.registry.functions[action](99, *arguments))


def test_only_the_holder_names_the_operator(market: Market) -> None:
    calls, first = market.registry.functions, keccak(text="first")
    with refused("NotGpuOwner", market.gpu, STRANGER.address):
        market.send(STRANGER, calls.setOperator(first, STRANGER.address))
    with refused("ERC721NonexistentToken", 0):
        market.send(OWNER, calls.setOperator(NEW, OWNER.address))
    market.send(OWNER, calls.setOperator(first, ANNE.address))
    assert calls.operatorOf(market.gpu, first).call() == ANNE.address
    assert calls.operatorOf(market.gpu, NEW).call() == NOBODY
    assert calls.operatorOf(market.gpu + 1, first).call() == NOBODY


def test_a_retired_gpu_is_still_paid(market: Market) -> None:
    market.send(OWNER, market.registry.functions.retire(market.gpu))
    assert market.registry.functions.gpu(market.gpu).call()[5] is True
    assert tuple(market.registry.functions.payout(market.gpu).call()) == (TIER, OWNER.address, 0)


def test_an_approved_hand_sells_the_token_but_is_not_its_holder(market: Market) -> None:
    market.send(OWNER, market.registry.functions.approve(ANNE.address, market.gpu))
    with refused("NotGpuOwner", market.gpu, ANNE.address):
        market.send(ANNE, market.registry.functions.grantShare(market.gpu, ANNE.address, 1))
    market.send(ANNE, market.registry.functions.transferFrom(OWNER.address, BOB.address, market.gpu))
    assert market.registry.functions.gpu(market.gpu).call()[0] == BOB.address


def test_a_tier_changes_on_an_attestors_word_alone_and_once(market: Market) -> None:
    account, deadline = market.account(), market.now + 60
    change = market.registry.functions.setTier

    def proof(signer: Person, of: int = account, tier: int = OTHER_TIER) -> bytes:
        return signer.sign(eip712.set_tier(market.domain(market.registry), of, tier, deadline))

    for by, signature in ((OWNER, proof(OWNER)), (ATTESTOR, proof(OWNER)), (ATTESTOR, proof(ATTESTOR, account + 1))):
        with refused("NotAttested", by.address):
            market.send(STRANGER, change(market.gpu, OTHER_TIER, deadline, by.address, signature))
    for tier, until in ((OTHER_TIER + 1, deadline), (OTHER_TIER, deadline + 1)):
        with refused("NotAttested", ATTESTOR.address):
            market.send(STRANGER, change(market.gpu, tier, until, ATTESTOR.address, proof(ATTESTOR)))
    good = change(market.gpu, OTHER_TIER, deadline, ATTESTOR.address, proof(ATTESTOR))
    market.send(STRANGER, good)
    assert market.registry.functions.gpu(market.gpu).call()[1] == OTHER_TIER
    with refused("NotAttested", ATTESTOR.address):
        market.send(STRANGER, good)
    market.travel(deadline + 1)
    with refused("AttestationExpired", deadline):
        market.send(STRANGER, good)
    with refused("ERC721NonexistentToken", 99):
        market.send(STRANGER, change(99, OTHER_TIER, deadline, ATTESTOR.address, proof(ATTESTOR)))


def test_the_registry_needs_a_policy(market: Market) -> None:
    with refused("ZeroAddress"):
        market.deploy("GpuRegistry", NOBODY)
