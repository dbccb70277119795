"""Runs every attack of this folder and prints what was tried and what happened: `python -m tests.hostile [part of a name]`."""

import importlib
import sys
import tempfile
from pathlib import Path

from tests.hostile.attack import Attack, Outcome

_FILES = ("bundles", "files", "workers", "inside")


def main(wanted: str) -> int:
    """The number of attacks that were not held."""
    found = [(file, attack) for file in _FILES for attack in _attacks(file) if wanted in attack.name]
    lost = 0
    print(f"{'where':8}  {'attack':34}  {'held':4}  tried -> happened")
    for file, attack in found:
        outcome = _outcome(attack)
        lost += not outcome.held
        print(f"{file:8}  {attack.name:34}  {'yes' if outcome.held else 'NO':4}  {attack.tried} -> {outcome.seen}", flush=True)
    print(f"{len(found)} attacks, {lost} not held")
    return lost


def _attacks(file: str) -> tuple[Attack, ...]:
    attacks: tuple[Attack, ...] = importlib.import_module(f"tests.hostile.{file}").ATTACKS
    return attacks


def _outcome(attack: Attack) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="sublet-hostile-") as folder:
        try:
            return attack.run(Path(folder))
        except Exception as error:  # a crash of what was attacked is a line of the table too
            return Outcome(False, f"crashed: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "") != 0)
