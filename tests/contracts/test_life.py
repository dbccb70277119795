"""The whole life of a market at random, on both chains: after every step each balance, debt, job, claim and count of paid units
is the model's, to the micro-dollar, and what one of the two refuses the other refuses in the same words.

A longer run: `SUBLET_LIFE_EXAMPLES=500 python -m pytest tests/contracts/test_life.py -s`.
"""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contracts import life_gpus, life_jobs
from tests.contracts.life import Crowd, Life, give_allowances
from tests.contracts.life_market import ACTIONS
from tests.contracts.market import Market
from tests.contracts.people import person

CROWD = Crowd(tuple(person(number) for number in range(11, 14)), tuple(person(number) for number in range(14, 19)))
EXAMPLES = {"py-evm": 1, "anvil": 9}
STEPS = {"py-evm": 6, "anvil": 16}
LUCK, LONG = 16, 400
"""With this luck each action is done more than once in so many."""
RARE = {"pause_new_jobs": 1, "set_bounds": 1, "set_allowance": 1, "set_attestor": 1, "set_treasury": 1, "cancel": 1}
OFTEN = {"open_gasless": 6, "open_by_hand": 4, "redeem": 6, "batch": 4, "claim": 6, "challenge": 4, "resolve": 3, "jump": 4, "withdraw": 3}
PLAYED = [name for name in sorted(ACTIONS) for _ in range(RARE.get(name, OFTEN.get(name, 2)))]


def furnish(life: Life) -> None:
    """Purses, some GPUs and a few jobs."""
    life.begin()
    give_allowances(life)
    for _ in range(4):
        life_gpus.register(life, Random(life.number()))
    for chance in range(3):
        life_jobs.open_gasless(life, Random(chance))


def play(life: Life, examples: int) -> None:
    """Many lives, each from the same beginning."""

    class Whole(RuleBasedStateMachine):
        before = ""

        @initialize()
        def begin(self) -> None:
            self.before = life.market.snapshot()
            furnish(life)

        @rule(action=st.sampled_from(PLAYED), chance=st.integers(0, 2**32))
        def act(self, action: str, chance: int) -> None:
            ACTIONS[action](life, self.luck(chance))

        @rule(chance=st.integers(0, 2**32))
        def live_for_a_while(self, chance: int) -> None:
            luck = self.luck(chance)
            for _ in range(10):
                ACTIONS[luck.choice(PLAYED)](life, luck)
                assert life.check() == 0

        def luck(self, chance: int) -> Random:
            """Different at every step, because the same chance is drawn again and again."""
            return Random(chance << 32 | life.now)

        @invariant()
        def the_chain_and_the_model_agree(self) -> None:
            assert life.check() == 0

        def teardown(self) -> None:
            if self.before:
                life.market.revert(self.before)

    run_state_machine_as_test(
        Whole,
        settings=settings(
            max_examples=examples, stateful_step_count=STEPS[life.market.ground.name], deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def told(life: Life) -> None:
    """What was done, for who asks for it with -s."""
    done = {name: sum(count for (act, _), count in life.counts.items() if act == name) for name in ACTIONS}
    print(*(f"{name} {life.counts[name, '']} of {done[name]}" for name in sorted(ACTIONS)), sep="\n")
    print(*(f"  {act} refused with {said}: {count}" for (act, said), count in sorted(life.counts.items()) if said), sep="\n")


def test_the_whole_life_is_as_the_model_says(market: Market, modules: Path) -> None:
    life = Life(market, CROWD, modules)
    play(life, int(os.environ.get("SUBLET_LIFE_EXAMPLES", EXAMPLES[market.ground.name])))
    told(life)


@pytest.mark.parametrize("deployed", ["anvil"], indirect=True)
def test_everything_that_can_happen_happens_in_one_long_life(market: Market, modules: Path) -> None:
    """What was never done proves nothing. Hypothesis cannot promise it: what it draws hangs on the modules that were imported
    before, and so on the tests that ran before; this luck is the same everywhere."""
    life, luck = Life(market, CROWD, modules), Random(LUCK)
    furnish(life)
    for _ in range(LONG):
        ACTIONS[luck.choice(PLAYED)](life, luck)
        assert life.check() == 0
    told(life)
    assert [name for name in ACTIONS if life.counts[name, ""] == 0] == []
