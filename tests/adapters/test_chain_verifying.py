"""A chain that is not the one in the profile is refused before anything is believed or signed, whatever it is that differs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import pytest

from desktop_app.adapters.chain import Chain
from desktop_app.adapters.chain.deploying import deploy
from desktop_app.core.errors import AppError
from desktop_app.wire.networks import Network, network_of
from tests.adapters.market_chain import ETHER, House, open_anvil_house
from tests.adapters.two_chains import SECOND as STRANGER
from tests.adapters.two_chains import Ground, signer
from tests.founding import terms

NOBODY = "0x" + "12" * 20


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Ground, Network]]:
    """A market, and a second one on the same chain, by another deployer and with a higher fee."""
    with open_anvil_house(tmp_path_factory.mktemp("house")) as (house, ground):
        ground.ask("anvil_setBalance", STRANGER.address, hex(100 * ETHER))
        offices = (house.keys.address(role) for role in ("treasury", "arbiter", "guardian", "owner"))
        asked = msgspec.structs.replace(terms(ground.url, *offices, fee_bps=99), usdc=house.network.usdc)
        yield house, ground, network_of(asked.network, deploy(asked, STRANGER.address, signer(STRANGER)).places)


@pytest.fixture
def house(opened: tuple[House, Ground, Network]) -> House:
    return opened[0]


@pytest.fixture
def other(opened: tuple[House, Ground, Network]) -> Network:
    return opened[2]


def refusal(house: House, network: Network) -> str:
    """What is said of it, both when it is asked for anything and when it is only looked at."""
    stranger = Chain(network)
    try:
        with pytest.raises(AppError) as asked:
            stranger.balance(house.keys.address("owner"))
        with pytest.raises(AppError) as looked:
            stranger.connect()
        assert str(asked.value) == str(looked.value)
        return str(looked.value)
    finally:
        stranger.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chain_id": 1}, "chain id is 31337, not 1"),
        ({"escrow": NOBODY}, "no TaskEscrow"),
        ({"policy": NOBODY}, "no MarketPolicy"),
        ({"governor": NOBODY}, "no GpuGovernor"),
        ({"timelock": NOBODY}, "no GpuTimelock"),
        ({"usdc_version": "1"}, "DOMAIN_SEPARATOR"),
        ({"usdc_name": "USDC"}, "DOMAIN_SEPARATOR"),
        ({"attestor": NOBODY}, "is no attestor of this market"),
    ],
)
def test_a_chain_that_is_not_the_profiles_is_refused(house: House, change: dict[str, int | str], reason: str) -> None:
    assert reason in refusal(house, replace(house.network, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        (lambda other: {"escrow": other.escrow}, "the escrow's registry is"),
        (lambda other: {"registry": other.registry}, "the escrow's registry is"),
        (lambda other: {"escrow": other.escrow, "registry": other.registry}, "the escrow's policy is"),
        (lambda other: {"policy": other.policy}, "the escrow's policy is"),
        (lambda other: {"timelock": other.timelock}, "the policy's owner is"),
        (lambda other: {"governor": other.governor}, "the governor's timelock is"),
        (lambda other: {"attestor": other.attestor}, "is no attestor of this market"),
    ],
)
def test_a_contract_of_another_market_is_refused(
    house: House, other: Network, swap: Callable[[Network], dict[str, str]], reason: str
) -> None:
    assert reason in refusal(house, replace(house.network, **swap(other)))  # type: ignore[arg-type]


def test_another_token_in_the_stablecoins_place_is_refused(house: House, opened: tuple[House, Ground, Network]) -> None:
    assert refusal(house, replace(house.network, usdc=house.network.registry))
    code = opened[1].ask("eth_getCode", house.network.usdc, "latest")
    opened[1].ask("anvil_setCode", NOBODY, str(code))
    assert "the escrow's usdc is" in refusal(house, replace(house.network, usdc=NOBODY))
    opened[1].ask("anvil_setCode", NOBODY, "0x")


def test_the_right_one_is_not(house: House) -> None:
    with house.chain() as chain:
        chain.connect()
