"""No operation of the contracts becomes dearer unnoticed, and the benchmark notices what it should."""

from contextlib import closing

from tests.benchmarks.gas import GOALS, changes, committed, measure
from tests.benchmarks.gas_operations import QUICK
from tests.contracts.ground import InProcess


def test_nothing_costs_more_gas_than_the_snapshot_says() -> None:
    with closing(InProcess()) as ground:
        found = measure(ground, QUICK)
    worse, better = changes(found, committed()["py-evm"])
    assert (worse, better) == ([], []), "write the snapshot anew if that is meant: python -m tests.benchmarks.gas --write"
    for name in found.keys() & GOALS.keys():
        assert found[name] <= GOALS[name], name


def test_both_chains_ask_for_the_same_gas() -> None:
    """They differ by the zero bytes in signatures, which another chain id changes."""
    kept = committed()
    assert kept.keys() == {"py-evm", "anvil"}
    assert changes(kept["py-evm"], kept["anvil"]) == ([], [])
    assert kept["py-evm"].keys() == kept["anvil"].keys() >= GOALS.keys()


def test_a_rise_is_told_from_a_fall() -> None:
    kept = {"same": 100_000, "rose": 100_000, "fell": 100_000, "a little": 100_000}
    worse, better = changes({"same": 100_000, "rose": 102_001, "fell": 97_999, "a little": 102_000, "new": 1}, kept)
    assert worse == ["new has no figure in gas.json", "rose 100000 -> 102001 gas (+2.0 %)"]
    assert better == ["fell 100000 -> 97999 gas (-2.0 %)"]
