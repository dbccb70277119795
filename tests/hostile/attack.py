"""The shape of an attack: what is tried on the house, and what came of it. Used by everything in this folder.

Each file of attacks here (`bundles`, `workers`, `inside`) has a tuple `ATTACKS` of these. Its test runs every one of them:

    @pytest.mark.parametrize("attack", ATTACKS, ids=str)
    def test_it_is_held(attack: Attack, tmp_path: Path) -> None:
        outcome = attack.run(tmp_path)
        assert outcome.held, outcome.seen

and `python -m tests.hostile` runs those of all files and prints them as one table. A file whose attacks share one costly run
(a sandbox that tries many things) does the run once, in a cached function, and each attack looks up its own line of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack. `held`: nothing was harmed and what had to be said was said. `seen`: what happened, in one line."""

    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. `name` is its id, `tried` says in the owner's words what is done, `run` does it in an empty folder of its own.

    `run` raises nothing: an exception from the code under attack is a crash of the agent, and the attack's success.
    """

    name: str
    tried: str
    run: Callable[[Path], Outcome]

    def __str__(self) -> str:
        return self.name
