"""A graphics card is measured before it is offered: when that begins, how the owner ends it, and what is kept of it."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.bench import AGAIN_MOST, SignedBenchmark, Trial, TrialPhase, bench_steps, benchmark_record
from desktop_app.core.gpu import Device, Tier
from desktop_app.core.policy import watts
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Cooldown, Gpu, NoticeKind, Reason, Sharing, State, Trigger
from desktop_app.core.task import Phase
from desktop_app.core.update import still_due, update
from desktop_app.core.update.benchmark import BENCHMARK, SIGN_AGAIN, SUSTAINED_S, order
from desktop_app.wire.codec import decode_state, durable, encode_state
from tests.builders import (
    NOON,
    RTX_4090,
    a_benchmark,
    a_device,
    a_give_back,
    a_gpu,
    a_practice_device,
    a_readiness,
    a_reading,
    a_state,
    a_task,
    a_wallet,
)
from tests.core.update.hearing import hear, kinds

FINISHED = m.WorkerFinished(BENCHMARK, (), tuple(asdict(RTX_4090).items()))
GIVEN_BACK = m.GpuGivenBack(replace(a_give_back(), task_id=BENCHMARK), None)
UNMEASURED = replace(a_gpu(chain_id=None), benchmark=None)


def tick(seconds: float = 0) -> m.ClockTicked:
    return m.ClockTicked(NOON + timedelta(seconds=seconds), Zone())


def measuring(gpu: Gpu = UNMEASURED) -> tuple[State, e.RunBenchmark]:
    """A machine that lacks nothing but its measurement, a moment later."""
    state, effects = update(a_state(gpu=gpu), tick())
    assert isinstance(effects[0], e.RunBenchmark) and len(effects) == 1
    return state, effects[0]


def reads(watts: int) -> m.GpuMeasured:
    return m.GpuMeasured("GPU-1", a_reading(watts=watts))


def test_a_card_without_a_record_is_measured_then_signed_filed_registered() -> None:
    state, run = measuring()
    assert state.why.reason is Reason.MEASURING
    assert (run.manifest.kind, run.manifest.task_id, run.manifest.steps) == ("bench/1", BENCHMARK, bench_steps(SUSTAINED_S))
    state = hear(state, m.WorkerStarted(BENCHMARK, 7), reads(410), reads(390))[0]
    state, effects = hear(state, FINISHED)
    record = benchmark_record(a_device(), RTX_4090, "", run.manifest.seed, int(NOON.timestamp()), 380)
    assert effects == (e.ForgetTask(BENCHMARK), e.SignBenchmark(record))
    mine = SignedBenchmark(record, "0x5e")
    state, effects = update(state, m.BenchmarkSigned(mine))
    assert (state.gpu.benchmark, state.gpu.tier, state.gpu.trial) == (mine, Tier.LARGE, Trial())
    assert [effect.benchmark for effect in effects if isinstance(effect, e.RegisterGpu)] == [mine]
    assert state.why.reason is Reason.REGISTERING


def test_the_tier_is_what_was_measured_and_not_what_its_memory_promised() -> None:
    slow = replace(RTX_4090, sustained_tflops=20.0)
    state = hear(measuring()[0], replace(FINISHED, metrics=tuple(asdict(slow).items())))[0]
    assert state.gpu.trial.record is not None
    state = update(state, m.BenchmarkSigned(SignedBenchmark(state.gpu.trial.record, "0x5e")))[0]
    assert state.gpu.tier is Tier.MEDIUM
    kept = decode_state(encode_state(durable(state)))
    found = update(update(kept, m.AgentStarted(NOON, Zone()))[0], m.GpuFound(a_device()))[0]
    assert found.gpu.tier is Tier.MEDIUM, "after a restart the record still says so"


def test_a_card_too_slow_for_any_tier_says_so() -> None:
    hopeless = a_benchmark(measured=replace(RTX_4090, copy_gbps=10.0))
    state = update(a_state(gpu=Gpu(benchmark=hopeless)), m.GpuFound(a_device()))[0]
    assert state.gpu.tier is None and state.why.reason is Reason.TOO_SLOW


@pytest.mark.parametrize(
    ("device", "engine"),
    [(a_device(uuid="GPU-2"), ""), (replace(a_device(), driver="590"), ""), (a_device(), "torch 2.14")],
    ids=["another card", "another driver", "another engine"],
)
def test_a_record_of_something_else_does_not_count(device: Device, engine: str) -> None:
    before = a_state(gpu=Gpu(benchmark=a_benchmark()), readiness=a_readiness())
    state, effects = hear(before, m.RuntimeFound(True, engine), m.GpuFound(device))
    assert kinds(effects) == [e.RunBenchmark] and state.why.reason is Reason.MEASURING


def test_the_practice_device_needs_no_measurement() -> None:
    state, effects = update(a_state(gpu=Gpu()), m.GpuFound(a_practice_device()))
    assert state.gpu.tier is Tier.PRACTICE and kinds(effects) == [e.RegisterGpu]


@pytest.mark.parametrize(
    "state",
    [
        a_state(gpu=UNMEASURED, sharing=Sharing(on=False)),
        a_state(gpu=UNMEASURED, wallet=a_wallet(ready=False)),
        a_state(gpu=UNMEASURED, readiness=a_readiness(runtime=False)),
        a_state(gpu=UNMEASURED, cooldown=Cooldown(NOON + timedelta(minutes=1), 1)),
        a_state(gpu=UNMEASURED, task=a_task(Phase.DELIVERING)),
    ],
    ids=["sharing off", "wallet locked", "no torch", "cooling down", "a task is held"],
)
def test_it_waits_until_nothing_else_is_missing(state: State) -> None:
    assert e.RunBenchmark not in kinds(update(state, tick())[1])


def test_the_owner_takes_the_card_back_and_it_is_measured_anew_later() -> None:
    state = measuring()[0]
    state, effects = update(state, m.OwnerTurnedSharing(on=False))
    given = [(effect.task_id, effect.trigger, effect.deadline_ms) for effect in effects if isinstance(effect, e.GiveBack)]
    assert given == [(BENCHMARK, Trigger.CLICK, 200)]
    assert update(state, tick(1))[1] == (), "asked once"
    on = update(state, m.OwnerTurnedSharing(on=True))
    assert on[1] == () and on[0].gpu.trial.phase is TrialPhase.RETURNING, "not before it is free"
    state, effects = update(state, GIVEN_BACK)
    assert state.gpu.trial == Trial() and state.give_backs[0] == GIVEN_BACK.record and effects == (e.ForgetTask(BENCHMARK),)
    assert kinds(update(state, m.OwnerTurnedSharing(on=True))[1]) == [e.RunBenchmark]


def test_a_start_overtaken_by_the_owner_is_dropped() -> None:
    state, run = measuring()
    assert still_due(state, run)
    assert not still_due(update(state, m.OwnerTurnedSharing(on=False))[0], run)
    anew = replace(state, gpu=replace(state.gpu, trial=Trial(TrialPhase.RUNNING, 99)))
    assert not still_due(anew, run)


def test_figures_that_came_in_the_last_moment_count() -> None:
    state = hear(measuring()[0], m.OwnerTurnedSharing(on=False), FINISHED)[0]
    assert state.gpu.trial.phase is TrialPhase.SIGNING
    assert hear(state, GIVEN_BACK)[0].gpu.trial.phase is TrialPhase.SIGNING


@pytest.mark.parametrize("word", [m.WorkerFailed(BENCHMARK, "signal 11"), m.WorkerFinished(BENCHMARK, (), (("fp32_tflops", 3.0),))])
def test_a_measurement_that_fails_is_told_and_tried_again_ever_later(word: m.Message) -> None:
    state, at = measuring()[0], 0.0
    for pause in (60, 120, 240):
        state, effects = update(state, word)
        assert effects == (e.ForgetTask(BENCHMARK),) and state.notices[0].kind is NoticeKind.TROUBLE
        assert state.why.until == NOON + timedelta(seconds=at + pause)
        assert update(state, tick(at + pause - 1))[1] == ()
        at += pause
        state, effects = update(state, tick(at))
        assert kinds(effects) == [e.RunBenchmark] and state.why.until is None
    for _ in range(8):
        state = update(state, word)[0]
        assert state.gpu.trial.again is not None and state.gpu.trial.again - state.now <= AGAIN_MOST
        state = update(state, m.ClockTicked(state.gpu.trial.again, Zone()))[0]
    assert kinds(update(update(state, word)[0], m.OwnerTurnedSharing(on=True))[1]) == [e.RunBenchmark], "a click tries at once"


def test_a_clock_that_was_set_back_keeps_nothing_waiting() -> None:
    state = update(measuring()[0], m.WorkerFailed(BENCHMARK, "signal 11"))[0]
    assert kinds(update(state, m.ClockTicked(NOON - timedelta(days=2), Zone()))[1]) == [e.RunBenchmark]


def test_a_record_is_signed_when_it_can_be_and_asked_for_again() -> None:
    state = hear(measuring()[0], FINISHED)[0]
    assert update(state, tick(SIGN_AGAIN.seconds - 1))[1] == ()
    assert kinds(update(state, tick(SIGN_AGAIN.seconds))[1]) == [e.SignBenchmark]
    locked = replace(measuring()[0], wallet=a_wallet(ready=False))
    state, effects = update(locked, FINISHED)
    assert e.SignBenchmark not in kinds(effects)
    assert e.SignBenchmark in kinds(update(replace(state, wallet=a_wallet()), tick())[1])


def test_words_out_of_turn_change_nothing() -> None:
    for word in (FINISHED, m.WorkerFailed(BENCHMARK, "x"), m.BenchmarkSigned(a_benchmark()), m.WorkerStarted(BENCHMARK, 7)):
        state, effects = update(a_state(), word)
        assert state.gpu == a_state().gpu and e.ForgetTask not in kinds(effects)
    state = measuring()[0]
    returning = update(state, m.OwnerTurnedSharing(on=False))[0]
    assert update(returning, m.WorkerFailed(BENCHMARK, "killed"))[0] == returning
    signing = update(state, FINISHED)[0]
    assert update(signing, m.BenchmarkSigned(a_benchmark()))[0] == signing, "another record"
    gone = replace(state, gpu=replace(state.gpu, device=None))
    assert update(gone, FINISHED)[0].gpu.trial.phase is TrialPhase.RUNNING


def test_what_the_benchmark_drew_is_what_the_work_will_cost() -> None:
    assert watts(a_state()) == 450, "the board's own figure while nothing was measured"
    known = a_benchmark(watts=300)
    assert watts(a_state(gpu=a_gpu(benchmark=known))) == 300
    assert watts(a_state(gpu=replace(a_gpu(benchmark=known), device=a_device(uuid="GPU-2")))) == 450
    assert watts(a_state(gpu=a_gpu(benchmark=known, reading=a_reading(watts=280)), task=a_task())) == 280, "live while it runs"


@pytest.mark.parametrize(("idle", "seen", "drawn"), [(30, (400, 420, 380), 390), (None, (400,), None), (30, (), None), (30, (20,), None)])
def test_only_what_the_load_adds_is_counted(idle: int | None, seen: tuple[int, ...], drawn: int | None) -> None:
    begun = measuring(replace(UNMEASURED, reading=a_reading(watts=idle)))[0]
    state = hear(begun, *(reads(one) for one in seen), FINISHED)[0]
    assert state.gpu.trial.record is not None and state.gpu.trial.record.watts == drawn


def test_a_card_filled_by_its_own_benchmark_is_not_short_of_memory() -> None:
    state = update(measuring()[0], m.WorkerStarted(BENCHMARK, 4_711))[0]
    assert state.gpu.trial.pid == 4_711
    filled = replace(a_reading(memory_used_mb=24_100), foreign_mb=900)
    assert update(state, m.GpuMeasured("GPU-1", filled))[1] == ()
    taken = update(state, m.GpuMeasured("GPU-1", replace(filled, foreign_mb=24_200)))[1]
    assert [effect.trigger for effect in taken if isinstance(effect, e.GiveBack)] == [Trigger.VRAM], "by somebody else it is"


def test_the_memory_of_others_and_the_owners_share_are_left_alone() -> None:
    params = dict(order(a_device(), a_reading(memory_used_mb=1_000), 512, 1).params)
    assert params["memory_mb"] == (24_564 - 1_000 - 512 - 512) * 1.048576 // 1
    ours = replace(a_reading(memory_used_mb=9_000), foreign_mb=300)
    assert dict(order(a_device(), ours, 512, 1).params)["memory_mb"] == (24_564 - 300 - 512 - 512) * 1.048576 // 1
    assert dict(order(a_device(memory_mb=900), a_reading(memory_used_mb=None), 512, 1).params)["memory_mb"] == 16
