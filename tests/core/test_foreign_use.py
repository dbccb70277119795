"""Others' use of the card, followed from reading to reading: a game that loads or draws is felt, our own worker is not."""

from dataclasses import replace

import pytest

from desktop_app.core import messages as m
from desktop_app.core.bench import Trial, TrialPhase
from desktop_app.core.effects import Effect, GiveBack
from desktop_app.core.gpu import FOREIGN_BUSY_S, FOREIGN_GROWTH_MB, Foreign, Reading, follow_foreign
from desktop_app.core.state import Reason, State, Trigger, Why
from desktop_app.core.task import Phase
from desktop_app.core.update import update
from tests.builders import a_gpu, a_state, a_task


def readings(*samples: tuple[float, int | None, int | None], settling: bool = False) -> Foreign:
    foreign, before = Foreign(), samples[0][0]
    for at_s, load, size in samples:
        foreign = follow_foreign(foreign, Reading(foreign_load=load, foreign_mb=size), int(at_s), at_s - before, settling=settling)
        before = at_s
    return foreign


def test_others_must_be_busy_for_a_quarter_second_however_often_one_looks() -> None:
    assert readings((0, 20, None)).busy_s == 0 and readings((0, 20, None), (0.25, 20, None)).busy_s == FOREIGN_BUSY_S
    assert readings((0, 90, None), (0.1, 90, None), (0.2, 90, None)).busy_s == pytest.approx(0.2), "a window that opens"
    assert readings((0, 90, None), (1, 19, None), (2, 90, None)).busy_s == 0
    assert readings(*((float(second), 90, None) for second in range(9))).busy_s == FOREIGN_BUSY_S
    assert readings((0, 90, None), (1, None, None)).busy_s is None


def test_memory_that_grows_within_a_second_is_a_game_that_loads() -> None:
    more = FOREIGN_GROWTH_MB + 1
    assert readings((0, None, 800), (0.25, None, 800 + more)).grown
    assert readings((0.9, None, 800), (1.2, None, 1_000), (1.9, None, 800 + more)).grown
    assert not readings((0, None, 800), (0.25, None, 800 + more - 1)).grown
    assert not readings((0, None, 800), (1, None, 1_100), (2, None, 1_400), (3, None, 1_700)).grown, "slowly is a browser"
    assert not readings((0, None, 800), (5, None, 8_000)).grown, "nobody looked in between"
    assert not readings((7, None, 800), (3, None, 8_000)).grown, "the clock went back"
    assert not readings((0, None, 8_000), (0.5, None, 10)).grown
    assert not readings((0, None, 800), (0.1, None, None), (0.2, None, 8_000)).grown


def test_a_worker_of_ours_that_comes_or_goes_is_not_taken_for_a_game() -> None:
    assert not readings((0, None, 800), (0.2, None, 9_000), settling=True).grown
    assert readings((0, 50, 800), (0.2, 50, 9_000), settling=True).busy_s == pytest.approx(0.2), "but a game beside it is"


def others_load(state: State) -> tuple[State, tuple[Effect, ...]]:
    """Two readings: at rest, and with two gigabytes more in others' hands."""
    state = update(state, m.GpuMeasured("GPU-1", Reading(foreign_mb=800), 0.1))[0]
    return update(state, m.GpuMeasured("GPU-1", Reading(foreign_mb=2_800, foreign_name="hades"), 0.1))


def test_a_game_that_loads_takes_the_gpu_back() -> None:
    state, effects = others_load(a_state(task=a_task(Phase.RUNNING)))
    assert effects == (GiveBack("task-1", Trigger.FOREIGN_USE, 200),) and state.why == Why(Reason.FOREIGN_USE, detail="hades")


def test_our_own_worker_or_benchmark_that_loads_takes_nothing_back() -> None:
    for coming_or_going in (Phase.STARTING, Phase.RETURNING, Phase.DROPPING):
        assert others_load(a_state(task=a_task(coming_or_going)))[1] == ()
    measuring = replace(a_gpu(), trial=Trial(TrialPhase.RUNNING))
    assert others_load(a_state(gpu=measuring))[0].gpu.foreign == Foreign()


def test_a_card_that_went_missing_has_no_strangers_on_it() -> None:
    state = update(others_load(a_state())[0], m.GpuWentMissing("GPU-1", "lost"))[0]
    assert state.gpu.foreign == Foreign()


def test_a_reading_told_twice_grows_nothing() -> None:
    once = readings((0, None, 800), (0, None, 900))
    assert follow_foreign(once, Reading(foreign_mb=900), 0, 0.0, settling=False) == once
