"""What every operation of the contracts costs in gas, on both chains: `python -m tests.benchmarks.gas`.

For each chain a line `FIGURE VALUE gas` for every operation, with its goal if it has one. Everything that goes into calldata
is fixed, so that a figure changes only when the contracts do. Ends with status 1 if one rose by more than 2 % over the
committed `gas.json`; `--write` writes that file anew. The operations themselves are in `gas_operations`; `test_gas` runs the
quick ones.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.benchmarks.gas_operations import ALL, Operations
from tests.contracts.conftest import installed_modules
from tests.contracts.ground import AnvilGround, Ground, InProcess, foundry
from tests.contracts.market import Market

SNAPSHOT: Final = Path(__file__).with_name("gas.json")
TOLERANCE: Final = 2
"""Per cent."""
GOALS: Final = {
    "redeem": 85_000,
    "redeem_first": 110_000,
    "batch100_same_owner": 15_000,
    "batch100_distinct": 33_000,
    "open_gasless": 150_000,
    "register": 250_000,
    "register_again": 190_000,
    "cash_out_with_fee": 125_000,
}
"""At most this; batches per row."""

Figures = dict[str, int]


def measure(ground: Ground, operations: Iterable[Operations]) -> Figures:
    """Every group of operations on the same fresh market."""
    market = Market(ground)
    found: Figures = {}
    for group in operations:
        before = market.snapshot()
        found.update(group(market))
        market.revert(before)
    return found


def committed() -> dict[str, Figures]:
    """The snapshot, by chain; none yet is empty."""
    if not SNAPSHOT.is_file():
        return {}
    kept: dict[str, Figures] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return kept


def changes(found: Figures, kept: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """What speaks against the figures found, and what is better than the snapshot says."""
    worse = [f"{name} has no figure in {SNAPSHOT.name}" for name in found if name not in kept]
    better = []
    for name in found.keys() & kept.keys():
        rise = 100 * (found[name] - kept[name])
        line = f"{name} {kept[name]} -> {found[name]} gas ({rise / kept[name]:+.1f} %)"
        if rise > TOLERANCE * kept[name]:
            worse.append(line)
        elif rise < -TOLERANCE * kept[name]:
            better.append(line)
    return sorted(worse), sorted(better)


def _show(chain: str, found: Figures) -> None:
    print(f"on {chain}")
    for name, gas in found.items():
        goal = GOALS.get(name)
        verdict = "" if goal is None else f"  goal {goal}: {'met' if gas <= goal else 'missed'}"
        print(f"{name} {gas} gas{verdict}", flush=True)


def _compare(chain: str, found: Figures, kept: Mapping[str, int]) -> bool:
    worse, better = changes(found, kept)
    for line in worse:
        print(f"{chain}: rose: {line}")
    for line in better:
        print(f"{chain}: fell: {line}")
    if worse or better:
        print(f"{chain}: if that is meant, write the snapshot anew: python -m tests.benchmarks.gas --write")
    return not worse


def main() -> int:
    """0 if nothing rose."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write the snapshot anew")
    write = bool(parser.parse_args().write)
    found: dict[str, Figures] = {}
    for ground in (InProcess(), AnvilGround(foundry(installed_modules(), "anvil"))):
        with closing(ground):
            found[ground.name] = measure(ground, ALL)
        _show(ground.name, found[ground.name])
    if write:
        SNAPSHOT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    kept = committed()
    dearer = [chain for chain, figures in found.items() if not _compare(chain, figures, kept.get(chain, {}))]
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
