"""The machine is kept awake only while a task runs, and a little longer, only on mains, and only if the owner likes it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import messages as m
from desktop_app.core.effects import Effect, KeepAwake
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import State
from desktop_app.core.task import Phase
from desktop_app.core.update import update
from desktop_app.core.update.settle import AWAKE_AFTER
from tests.builders import NOON, a_state, a_task

SECOND = timedelta(seconds=1)
MAINS = Presence(idle_s=9_999.0, on_battery=False)


def at(state: State, seconds: float) -> tuple[State, list[Effect]]:
    state, effects = update(state, m.ClockTicked(NOON + seconds * SECOND, Zone()))
    return state, [effect for effect in effects if isinstance(effect, KeepAwake)]


def kept_awake() -> State:
    state, effects = at(a_state(task=a_task(), presence=MAINS), 0)
    assert effects == [KeepAwake(on=True)]
    return state


def test_a_running_task_keeps_the_machine_awake_however_long() -> None:
    state = kept_awake()
    for second in (1, 60, 100_000):
        state, effects = at(state, second)
        assert effects == [] and state.awake_until == state.now + AWAKE_AFTER


@pytest.mark.parametrize("after", [None, Phase.FETCHING, Phase.READY, Phase.DELIVERING])
def test_it_may_sleep_again_a_little_after_the_last_task(after: Phase | None) -> None:
    state = replace(kept_awake(), task=None if after is None else a_task(after), market=replace(a_state().market, connected=False))
    state, effects = at(state, 1)
    if after is Phase.READY:
        assert state.task is not None and state.task.phase is Phase.STARTING and effects == [], "the next one begins"
        return
    state, effects = at(state, AWAKE_AFTER.total_seconds() - 1)
    assert effects == [] and state.awake_until is not None
    state, effects = at(state, AWAKE_AFTER.total_seconds())
    assert effects == [KeepAwake(on=False)] and state.awake_until is None
    assert at(state, 60)[1] == []


@pytest.mark.parametrize("power", [True, None])
def test_never_on_battery_nor_where_nobody_knows(power: bool | None) -> None:
    unplugged = Settings(pause_on_battery=False)
    assert at(a_state(task=a_task(), settings=unplugged, presence=Presence(on_battery=power)), 0)[1] == []
    state = replace(kept_awake(), settings=unplugged)
    state, effects = update(state, m.PresenceSensed(Presence(on_battery=power)))
    assert KeepAwake(on=False) in effects and state.awake_until is None


def test_the_owner_may_forbid_it_and_a_click_ends_it() -> None:
    assert at(a_state(task=a_task(), presence=MAINS, settings=Settings(keep_awake=False)), 0)[1] == []
    forbidden = update(kept_awake(), m.OwnerChangedSettings((("keep_awake", False),)))[1]
    assert KeepAwake(on=False) in forbidden


def test_a_clock_that_went_back_keeps_nobody_awake_for_days() -> None:
    state = replace(kept_awake(), task=None)
    state, effects = at(state, -86_400)
    assert effects == [KeepAwake(on=False)] and state.awake_until is None


def test_a_new_agent_holds_nothing_yet() -> None:
    state, effects = update(kept_awake(), m.AgentStarted(NOON, Zone()))
    assert state.awake_until is None and KeepAwake(on=False) not in effects, "the hold died with the agent before"
