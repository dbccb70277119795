"""A short walk on the money road of the benchmark: renters and owners without ether, everything exact to the micro-dollar."""

from eth_utils.address import to_checksum_address

from tests.benchmarks.money_road import POOR, acted, ether, road
from tests.contracts.market import Market
from tests.contracts.people import STRANGER

ACTIONS = {"py-evm": 60, "anvil": 300}


def test_a_short_road_is_exact_and_needs_no_ether(market: Market) -> None:
    life = road(market, ACTIONS[market.ground.name], seed=2)
    assert acted(life) == ACTIONS[market.ground.name]
    assert (life.check(), ether(market)) == (0, 0)
    assert sum(life.model.money[one.address] for one in POOR.owners) > 0
    assert market.web3.eth.get_transaction_count(to_checksum_address(STRANGER.address)) > 0
