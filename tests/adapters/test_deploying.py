"""A market is founded once, at addresses known beforehand, whatever cuts the run short; and its founder keeps nothing."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from desktop_app.adapters.chain import deploying
from desktop_app.adapters.chain.abi import Deed
from desktop_app.adapters.chain.bindings.market_policy import MarketPolicy
from desktop_app.adapters.chain.deploying import artefacts, deploy, places, plan
from desktop_app.adapters.chain.deploying.market import ADMIN, Market, Phase, Step
from desktop_app.adapters.chain.deploying.node import No, Node
from desktop_app.core.errors import AppError
from desktop_app.wire.deployment import Deployment
from desktop_app.wire.networks import Places
from tests.adapters.chain_weather import relay
from tests.adapters.two_chains import ARBITER, ATTESTOR, CHAINS, DEPLOYER, GUARDIAN, OWNER, SECOND, TREASURY, Ground, anvil, signer
from tests.founding import terms

STEPS = 19
"""Of a whole founding with two attestors: the factory's two, seven contracts, five tiers, an attestor, two roles, two to hand over."""


@pytest.fixture
def bare() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as folder, anvil(Path(folder)) as ground:
        yield ground


def asked(ground: Ground, fee_bps: int = 10) -> Deployment:
    names = (TREASURY, ARBITER, GUARDIAN, ATTESTOR, SECOND)
    return terms(ground.url, *(one.address for one in names), fee_bps=fee_bps)


def found(ground: Ground, sign: Callable[[dict[str, int | str]], bytes] | None = None, **changes: int) -> deploying.Deployed:
    return deploy(asked(ground, **changes), DEPLOYER.address, sign or signer(DEPLOYER), wait_s=30)


def stopping(after: int) -> Callable[[dict[str, int | str]], bytes]:
    """A signer that is gone after so many signatures."""
    given: list[object] = []

    def sign(fields: dict[str, int | str]) -> bytes:
        if len(given) >= after:
            raise KeyboardInterrupt
        given.append(fields)
        return bytes(DEPLOYER.sign_transaction(fields).raw_transaction)

    return sign


def refused(ground: Ground, deed: Deed[None], sender: str) -> bool:
    """Whether the chain would not take this from that sender."""
    node = Node((ground.url,), 31337)
    try:
        node.estimate(Step("", Phase.SETTLE, deed.address, deed.data), sender)
    except No:
        return True
    else:
        return False
    finally:
        node.close()


def tell(ground: Ground, deed: Deed[None]) -> None:
    """The deployer does this by hand."""
    node = Node((ground.url,), 31337)
    try:
        node.send([Step("do it", Phase.SETTLE, deed.address, deed.data)], DEPLOYER.address, signer(DEPLOYER))
    finally:
        node.close()


def test_the_factory_is_the_one_that_everybody_uses() -> None:
    maker = Account.recover_transaction(artefacts.FACTORY_TRANSACTION)
    assert maker == artefacts.FACTORY_SIGNER
    created = keccak(b"\xd6\x94" + bytes.fromhex(maker[2:]) + b"\x80")[12:]
    assert to_checksum_address(created) == artefacts.FACTORY == "0x4e59b44847b379578588920cA78FbF26c0B4956C"


@pytest.mark.parametrize("name", CHAINS)
def test_it_is_founded_once_where_it_was_said_to_be(name: str, tmp_path: Path) -> None:
    with CHAINS[name](tmp_path / "chain") as ground:
        wanted, there = asked(ground), places(asked(ground), DEPLOYER.address)
        planned = plan(wanted, DEPLOYER.address)
        assert (len(planned.steps), planned.places, ground.count(DEPLOYER.address)) == (STEPS, there, 0)
        first = found(ground)
        assert (first.sent, first.voted) == (STEPS, ())
        assert first.gas <= planned.gas <= first.gas * 5 // 4
        assert msgspec.structs.replace(first.places, first_block=0) == there
        assert ground.count(DEPLOYER.address) == STEPS - 1  # the factory's own is nobody's
        again = found(ground)
        assert (again.sent, again.places) == (0, first.places)
        assert ground.count(DEPLOYER.address) == STEPS - 1
        assert plan(wanted, DEPLOYER.address).steps == ()
        _nothing_is_left_to_the_deployer(ground, first.places)


@pytest.mark.parametrize("name", CHAINS)
def test_on_a_chain_of_ones_own_it_is_the_same_market(name: str, tmp_path: Path) -> None:
    with CHAINS[name](tmp_path / "chain") as ground:
        wanted = asked(ground)
        first = deploy(wanted, DEPLOYER.address, signer(DEPLOYER), first_block=0, own=True, wait_s=30)
        assert first.places == places(wanted, DEPLOYER.address)
        assert (first.sent, first.voted) == (STEPS, ())
        assert deploy(wanted, DEPLOYER.address, signer(DEPLOYER), first_block=0, own=True, wait_s=30).sent == 0
        assert found(ground).sent == 0  # which reads everything back
        _nothing_is_left_to_the_deployer(ground, first.places)


def test_on_a_chain_of_ones_own_nearly_all_of_it_is_one_block(bare: Ground) -> None:
    """Here a block is made whenever the run waits for one, and at no other time."""

    def weather(method: str, _body: bytes) -> str:
        if method == "eth_getTransactionReceipt":
            bare.ask("evm_mine")
        return "pass"

    bare.ask("evm_setAutomine", False)
    with relay(bare.url, weather) as url:
        asked_there = msgspec.structs.replace(asked(bare), rpc_urls=(url,))
        deploy(asked_there, DEPLOYER.address, signer(DEPLOYER), first_block=0, own=True, wait_s=30)
    blocks = [bare.ask("eth_getBlockByNumber", hex(number), False) for number in range(int(str(bare.ask("eth_blockNumber")), 16) + 1)]
    sizes = [len(block["transactions"]) for block in blocks if isinstance(block, dict)]
    assert [size for size in sizes if size] == [1, STEPS - 3, 2]  # the factory's money, nearly everything, handing over


def _nothing_is_left_to_the_deployer(ground: Ground, there: Places) -> None:
    policy, timelock = MarketPolicy(there.policy), Market(asked(ground), DEPLOYER.address).timelock
    deeds = [
        policy.set_fee(25), policy.set_treasury(OWNER.address), policy.set_attestor(OWNER.address, True), policy.set_paused(True),
        policy.set_bounds(0, 1, 2), policy.transfer_ownership(OWNER.address), timelock.grant_role(ADMIN, DEPLOYER.address),
        timelock.update_delay(0), timelock.schedule(policy.address, 0, policy.set_fee(25).data, ADMIN, ADMIN, 10),
    ]  # fmt: skip
    assert [deed.name for deed in deeds if not refused(ground, deed, DEPLOYER.address)] == []
    assert not refused(ground, policy.set_paused(True), GUARDIAN.address)  # the question itself can be asked


def test_a_run_cut_short_anywhere_goes_on_where_it_stopped(bare: Ground) -> None:
    fresh = str(bare.ask("evm_snapshot"))
    for after in range(STEPS - 1):
        with pytest.raises(KeyboardInterrupt):
            found(bare, stopping(after))
        again = found(bare)
        assert bare.count(DEPLOYER.address) == STEPS - 1, f"cut after {after}"
        assert found(bare).sent == 0
        assert again.voted == ()
        assert bare.ask("evm_revert", fresh)
        fresh = str(bare.ask("evm_snapshot"))


def test_what_a_run_left_on_its_way_is_waited_for(tmp_path: Path) -> None:
    """On the practice chain, where a transaction waits up to a second for its block."""
    with CHAINS["practice"](tmp_path / "chain") as ground:
        with pytest.raises(KeyboardInterrupt):
            found(ground, stopping(4))  # in the middle of a batch
        found(ground)
        assert ground.count(DEPLOYER.address) == STEPS - 1


def test_other_terms_are_another_market_that_shares_nothing_with_an_owner(bare: Ground) -> None:
    one, other = found(bare).places, found(bare, fee_bps=11).places
    assert one.usdc == other.usdc  # test money, and the deployer's in both
    assert one.cash_out == other.cash_out  # holds nothing and has no owner
    for name in ("policy", "registry", "escrow", "timelock", "governor"):
        assert getattr(one, name) != getattr(other, name)
    rules = msgspec.structs.replace(asked(bare).governance, voting_period=6)
    slower = places(msgspec.structs.replace(asked(bare), governance=rules), DEPLOYER.address)
    assert slower.policy != one.policy
    assert slower.timelock != one.timelock


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda market: market.policy.set_fee(50), "the fee in basis points is 50, not 10"),
        (lambda market: market.policy.set_treasury(OWNER.address), f"the treasury is {OWNER.address}, not {TREASURY.address}"),
        (lambda market: market.policy.set_attestor(OWNER.address, True), f"{OWNER.address} is an attestor, and the deployment"),
        (lambda market: market.policy.set_attestor(ATTESTOR.address, False), f"{ATTESTOR.address} is an attestor is False, not True"),
        (lambda market: market.policy.transfer_ownership(OWNER.address), f"the policy's owner is {OWNER.address}"),
        (lambda market: market.timelock.grant_role(ADMIN, OWNER.address), f"the deployer gave {OWNER.address} the timelock's role 0x0000"),
    ],
    ids=["fee", "treasury", "attestor", "no attestor", "owner", "admin"],
)
def test_what_was_changed_before_handing_over_is_refused_with_the_difference(
    bare: Ground, spoil: Callable[[Market], Deed[None]], words: str
) -> None:
    market = Market(asked(bare), DEPLOYER.address)
    with pytest.raises(KeyboardInterrupt):
        found(bare, stopping(STEPS - 3))
    tell(bare, spoil(market))
    with pytest.raises(AppError, match="not the deployment's") as trouble:
        found(bare)
    assert words in str(trouble.value)
    assert not refused(bare, market.timelock.grant_role(ADMIN, OWNER.address), DEPLOYER.address)  # nothing was handed over


def test_a_market_handed_over_without_a_governor_is_refused(bare: Ground) -> None:
    market = Market(asked(bare), DEPLOYER.address)
    with pytest.raises(KeyboardInterrupt):
        found(bare, stopping(STEPS - 5))  # before the governor has its roles
    tell(bare, market.policy.transfer_ownership(market.timelock.address))
    tell(bare, market.timelock.renounce_role(ADMIN, DEPLOYER.address))
    with pytest.raises(AppError, match=f"{market.governor.address} was never made the timelock's proposer"):
        found(bare)


def test_code_that_is_not_ours_is_refused(bare: Ground) -> None:
    market = Market(asked(bare), DEPLOYER.address)
    code = bytearray(market.pieces[1].artefact.runtime)
    code[100] ^= 1
    bare.ask("anvil_setCode", market.policy.address, "0x" + code.hex())
    with pytest.raises(AppError, match=f"The code at {market.policy.address} is not that of MarketPolicy"):
        plan(asked(bare), DEPLOYER.address)
    bare.ask("anvil_setCode", market.policy.address, "0x")
    bare.ask("anvil_setCode", artefacts.FACTORY, "0x00")
    with pytest.raises(AppError, match="not that of the factory"):
        found(bare)
    assert bare.count(DEPLOYER.address) == 0


def test_another_chain_another_stablecoin_and_a_founder_in_office_are_refused(bare: Ground) -> None:
    network = msgspec.structs.replace(asked(bare).network, chain_id=8453)
    elsewhere = msgspec.structs.replace(asked(bare), network=network, usdc=OWNER.address)
    with pytest.raises(AppError, match="31337"):
        plan(elsewhere, DEPLOYER.address)
    for office in ("arbiter", "guardian"):
        with pytest.raises(AppError, match="no office"):
            places(msgspec.structs.replace(asked(bare), **{office: DEPLOYER.address}), DEPLOYER.address)
    first = found(bare)
    named = msgspec.structs.replace(asked(bare).network, usdc_name="Other Coin")
    with pytest.raises(AppError, match="DOMAIN_SEPARATOR is not that of 'Other Coin'"):
        deploy(msgspec.structs.replace(asked(bare), network=named, usdc=first.places.usdc), DEPLOYER.address, signer(DEPLOYER), wait_s=30)
    nothing = msgspec.structs.replace(asked(bare), usdc=OWNER.address)
    with pytest.raises(AppError, match="no useful answer"):
        deploy(nothing, DEPLOYER.address, signer(DEPLOYER), wait_s=30)
