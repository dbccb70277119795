"""Runs the Solidity side of the contract tests with forge, offline, on the compiler of the contracts' lock file.

`python -m tests.contracts.forge` is for people (a short game, or `--calls 1000000` for a long one); `tests/contracts/test_forge.py`
calls `play`. Forge does not say what its calls came to, so the crowd writes a line of counts after each run, and a sizeable game
in which some act never succeeded has failed too: its invariants held over nothing.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.contracts.conftest import NODE, installed_modules
from tests.contracts.ground import foundry

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DEPTH = 250
"""Actions in a row before the crowd winds up and begins anew."""
CHECK_EVERY = 25
"""Actions between two looks at all invariants. What is wrong stays wrong, so nothing is missed, and a look costs ten actions."""
SIZEABLE = 20_000
"""Calls after which every act must have succeeded."""


@dataclass(frozen=True)
class Played:
    """What forge said, and how often each act was done over all runs."""

    passed: bool
    output: str
    counts: Counter[str]

    @property
    def never(self) -> list[str]:
        """Acts that never succeeded."""
        return [act for act, times in self.counts.items() if times == 0]

    def table(self) -> str:
        width = max(map(len, self.counts), default=0)
        return "\n".join(f"{act:<{width}} {times:>12,}" for act, times in self.counts.items())


def play(modules: Path, calls: int, seed: str = "", root: Path = ROOT, limit_s: float | None = None) -> Played:
    """The vectors and a game of at least `calls` actions. `root`: the project, or a tree with its sources in the same places."""
    home = root / "build" / "forge"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        tally = Path(scratch) / "tally"
        environment = {
            **os.environ,
            "SUBLET_NODE_MODULES": str(modules),
            "SUBLET_FORGE_TALLY": str(tally),
            "FOUNDRY_CONFIG": str(root / "tests/contracts/forge/foundry.toml"),
            "FOUNDRY_SOLC": str(_compiler(Path(scratch))),
            "FOUNDRY_INVARIANT_RUNS": str(-(-calls // DEPTH)),
            "FOUNDRY_INVARIANT_DEPTH": str(DEPTH),
            "FOUNDRY_INVARIANT_CHECK_INTERVAL": str(CHECK_EVERY),
            "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(Path(scratch) / "failures"),
        }
        command = [str(foundry(modules, "forge")), "test", "--root", str(root), *(["--fuzz-seed", seed] if seed else [])]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s)
        lines = tally.read_text().splitlines() if tally.exists() else []
    counts: Counter[str] = Counter()
    for line in dict.fromkeys(lines):  # forge ends the last run twice
        counts.update({act: int(times) for act, times in (one.split("=") for one in line.split(";"))})
    return Played(done.returncode == 0, done.stdout, counts)


def _compiler(folder: Path) -> Path:
    """A program that forge can start as a compiler."""
    shim = HERE / "solc-shim.js"
    if os.name == "nt":
        program = folder / "solc.cmd"
        program.write_text(f'@"{NODE}" "{shim}" %*\r\n')
    else:
        program = folder / "solc"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(NODE))} {shlex.quote(str(shim))} "$@"\n')
        program.chmod(0o755)
    return program


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.contracts.forge")
    words.add_argument("--calls", type=int, default=SIZEABLE, help=f"actions to play ({SIZEABLE}; a night's worth: 1000000)")
    words.add_argument("--seed", default="", help="hex; the same seed plays the same game")
    asked = words.parse_args()
    played = play(installed_modules(), asked.calls, asked.seed)
    print(played.output, played.table(), sep="\n")
    vacuous = asked.calls >= SIZEABLE and bool(played.never)
    if vacuous:
        print("never done:", ", ".join(played.never))
    return 0 if played.passed and not vacuous else 1


if __name__ == "__main__":
    sys.exit(main())
