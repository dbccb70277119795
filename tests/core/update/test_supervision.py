"""The worker that waits, the cap on power, pauses between tries, errors of the card, and a machine that lets every task crash."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.faults import HELD, PROGRAMS_OWN, is_the_cards
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import NoticeKind, Reason, Sharing, State, Trigger, Warmth
from desktop_app.core.task import Phase
from desktop_app.core.update.supervision import STRIKES, WARM_AGAIN, WARM_DOWN_TO_MB, WARM_FROM_MB, rest_s
from tests.builders import NOON, a_give_back, a_gpu, a_lease, a_manifest, a_practice_device, a_reading, a_state, a_task
from tests.core.update.hearing import hear, kinds, running

PLENTY = m.MemoryMeasured(8_192)


def warm() -> State:
    return hear(a_state(), PLENTY)[0]


def later(state: State, seconds: float) -> m.ClockTicked:
    return m.ClockTicked(state.now + timedelta(seconds=seconds), Zone())


def test_while_the_gpu_waits_for_a_task_a_worker_is_kept_started_once() -> None:
    state, effects = hear(a_state(), PLENTY)
    assert e.WarmWorker() in effects
    assert hear(state, PLENTY, later(state, 1))[1] == ()


def test_where_nobody_measured_the_memory_none_is_kept() -> None:
    assert hear(a_state(), later(a_state(), 1))[0].warmth == Warmth()


@pytest.mark.parametrize(
    "message",
    [
        m.OwnerTurnedSharing(False), m.OwnerSnoozed(NOON + timedelta(hours=1)), m.MarketLost("gone"), m.GpuWentMissing("GPU-1", "lost"),
        m.GpuMeasured("GPU-1", a_reading(temperature=99)), m.GpuFaulted("GPU-1", 79), m.OwnerQuit(),
    ],
)  # fmt: skip
def test_it_goes_with_the_reason_to_wait(message: m.Message) -> None:
    state, effects = hear(warm(), message)
    assert e.CoolWorker() in effects
    assert not state.warmth.kept


def test_a_task_on_its_way_to_it_keeps_it_and_one_that_runs_has_used_it() -> None:
    task_id = a_lease().manifest.task_id
    state, effects = hear(warm(), m.MarketLeased(a_lease()), m.BundleFetched(task_id))
    assert state.task and state.task.phase is Phase.STARTING
    assert e.CoolWorker not in kinds(effects) and state.warmth.kept
    state, effects = hear(state, m.WorkerStarted(task_id, 7))
    assert e.CoolWorker in kinds(effects) and not state.warmth.kept
    assert e.WarmWorker not in kinds(hear(state, later(state, 1))[1])


def test_none_is_started_for_a_task_that_is_already_there() -> None:
    assert e.WarmWorker not in kinds(hear(a_state(task=a_task(Phase.FETCHING)), PLENTY)[1])


def test_an_owner_who_comes_while_the_task_is_fetched_gets_the_memory_too() -> None:
    state, effects = hear(warm(), m.MarketLeased(a_lease()), m.OwnerTurnedSharing(False))
    assert state.task is None and e.CoolWorker in kinds(effects)


def test_it_makes_room_when_memory_is_short_and_comes_back_when_there_is_plenty_again() -> None:
    state, effects = hear(warm(), m.MemoryMeasured(WARM_DOWN_TO_MB))
    assert effects == ()
    state, effects = hear(state, m.MemoryMeasured(WARM_DOWN_TO_MB - 1))
    assert effects == (e.CoolWorker(),)
    again = WARM_AGAIN.total_seconds()
    look = m.PresenceSensed(state.presence)
    assert e.WarmWorker() not in hear(state, PLENTY, later(state, again - 1), look)[1]
    assert e.WarmWorker() not in hear(state, m.MemoryMeasured(WARM_FROM_MB - 1), later(state, again), look)[1]
    assert e.WarmWorker() in hear(state, PLENTY, later(state, again), look)[1]
    assert e.WarmWorker() in hear(state, PLENTY, later(state, -3_600), m.PresenceSensed(state.presence))[1], "a clock set back"


def test_one_that_ended_by_itself_is_not_started_again_at_once() -> None:
    state, effects = hear(warm(), m.WorkerCooled("it ended by itself"))
    assert effects == () and not state.warmth.kept
    assert e.WarmWorker() in hear(state, later(state, WARM_AGAIN.total_seconds()), m.PresenceSensed(state.presence))[1]


def capped(**parts: object) -> State:
    return replace(a_state(settings=Settings(tariff=100_000, power_cap_watts=200)), **parts)  # type: ignore[arg-type]


def test_the_power_is_capped_before_a_task_starts_and_no_longer_than_it_runs() -> None:
    state, effects = hear(capped(task=a_task(Phase.FETCHING)), m.BundleFetched("task-1"))
    assert kinds(effects)[:2] == [e.CapPower, e.StartTask]
    assert effects[0] == e.CapPower(200)
    state, effects = hear(state, m.WorkerStarted("task-1", 7))
    assert e.CapPower not in kinds(effects)
    state, effects = hear(state, m.OwnerTurnedSharing(False))
    assert set(effects) >= {e.GiveBack("task-1", Trigger.CLICK, 200), e.CapPower(0)}, "the owner wants all of it"
    assert hear(state, later(state, 1))[1] == ()


def test_a_cap_that_changes_while_a_task_runs_changes_at_once() -> None:
    state = hear(capped(task=a_task(Phase.RUNNING)), later(a_state(), 1))[0]
    assert hear(state, m.OwnerChangedSettings((("power_cap_watts", 150),)))[1] == (e.CapPower(150),)
    assert hear(state, m.OwnerChangedSettings((("power_cap_watts", 0),)))[1] == (e.CapPower(0),)


def test_the_practice_device_has_no_power_to_cap() -> None:
    state = capped(task=a_task(Phase.RUNNING), gpu=a_gpu(device=a_practice_device()))
    assert e.CapPower not in kinds(hear(state, later(state, 1))[1])


def test_pauses_double_and_differ_from_task_to_task() -> None:
    assert rest_s("task-1", 0) == rest_s("task-1", 1) == 0
    for failures, middle in ((2, 5), (3, 10), (4, 20)):
        pauses = {rest_s(f"task-{number}", failures) for number in range(50)}
        assert len(pauses) == 50
        assert 0.75 * middle <= min(pauses) < 0.85 * middle
        assert 1.15 * middle < max(pauses) <= 1.25 * middle
    assert rest_s("task-1", 3) == rest_s("task-1", 3)


def crash(state: State, number: int) -> tuple[State, tuple[e.Effect, ...]]:
    """The next task crashes for good."""
    lease = replace(a_lease(), manifest=replace(a_manifest(), task_id=f"crash-{number}"))
    task = replace(a_task(Phase.RUNNING, crashes=2), lease=lease, checkpoint=None, first_step=0)
    return hear(replace(state, task=task), m.WorkerFailed(f"crash-{number}", "signal 11"))


def test_different_tasks_that_crash_one_after_the_other_put_the_machine_in_doubt() -> None:
    state = a_state()
    for number in range(STRIKES - 1):
        state, effects = crash(state, number)
        assert e.TestSandbox not in kinds(effects)
    state, effects = crash(state, STRIKES)
    assert e.TestSandbox in kinds(effects)
    assert state.why.reason is Reason.SANDBOX_TESTING and state.offered is None
    assert any(one.kind is NoticeKind.TROUBLE and "different tasks" in one.detail for one in state.notices)
    ready = state.readiness
    state = hear(state, m.SandboxTested(a_state().readiness.level, ready.checks), m.RuntimeFound(True))[0]  # type: ignore[arg-type]
    assert state.why.reason is Reason.COOLING_DOWN, "it holds; after a pause the machine may try again"


def test_the_same_task_counts_once_and_one_that_finishes_clears_the_machine() -> None:
    state = a_state()
    for _ in range(STRIKES):
        state = crash(state, 1)[0]
    assert state.crashed == ("crash-1",)
    assert hear(replace(state, task=a_task(Phase.RUNNING)), m.WorkerFinished("task-1", (), ()))[0].crashed == ()
    assert hear(state, m.OwnerTurnedSharing(True))[0].crashed == ()


@pytest.mark.parametrize("xid", [48, 62, 63, 64, 74, 79, 94, 95, 119, 999])
def test_an_error_of_the_card_stops_everything(xid: int) -> None:
    assert is_the_cards(xid)
    state, effects = hear(running(), m.GpuFaulted("GPU-1", xid))
    assert e.GiveBack("task-1", Trigger.GPU_FAULT, 200) in effects
    assert state.why.reason is Reason.GPU_FAULT and state.why.detail == str(xid)
    assert any(str(xid) in one.detail for one in state.notices)
    assert hear(state, later(state, 3_600), m.PresenceSensed(state.presence))[0].why.reason is Reason.GPU_FAULT
    state = hear(state, m.OwnerTurnedSharing(False), m.OwnerTurnedSharing(True))[0]
    assert state.gpu.fault is None, "the owner has looked"


def test_a_driver_that_keeps_a_tasks_memory_gets_no_other_task() -> None:
    state, _ = hear(running(), m.OwnerTurnedSharing(False), m.GpuGivenBack(a_give_back(), None), m.OwnerTurnedSharing(True))
    state = hear(replace(state, task=None), m.GpuFaulted("GPU-1", HELD), m.PresenceSensed(state.presence))[0]
    assert (state.why.reason, state.why.detail) == (Reason.GPU_FAULT, "")
    assert any("still holds the memory" in one.detail for one in state.notices)


@pytest.mark.parametrize("xid", sorted(PROGRAMS_OWN - {45}))
def test_an_error_of_a_program_ends_the_run_and_nothing_else(xid: int) -> None:
    state, effects = hear(running(), m.GpuFaulted("GPU-1", xid))
    assert kinds(effects) == [e.GiveBack] and state.gpu.fault is None
    assert state.task and state.task.phase is Phase.RETURNING
    assert state.cooldown.until > state.now
    assert hear(state, m.GpuFaulted("GPU-1", xid))[1] == ()


def test_what_the_driver_says_after_a_kill_or_of_another_card_changes_nothing() -> None:
    for message in (m.GpuFaulted("GPU-1", 45), m.GpuFaulted("GPU-2", 79)):
        assert hear(running(), message)[1] == ()
    assert hear(a_state(), m.GpuFaulted("GPU-1", 13))[0].task is None


def needing(vram_mb: int) -> m.MarketLeased:
    manifest = replace(a_manifest(), limits=replace(a_manifest().limits, vram_mb=vram_mb))
    return m.MarketLeased(replace(a_lease(), manifest=manifest))


def test_a_task_that_does_not_fit_the_free_memory_is_returned_with_the_figures() -> None:
    state = a_state()  # 24,564 MB, 1,000 in use, 512 kept for the owner
    fits, effects = hear(state, needing(23_052))
    assert fits.task is not None
    state, effects = hear(state, needing(23_053))
    (refusal,) = [effect for effect in effects if isinstance(effect, e.ReturnLease)]
    assert state.task is None and "23053 MB" in refusal.reason and "23052 MB are free" in refusal.reason and not refusal.fault
    assert state.why.reason is Reason.COOLING_DOWN, "or the market would send it again at once"


def test_memory_that_went_while_the_task_was_fetched_returns_it_too() -> None:
    state = hear(a_state(), needing(20_000))[0]
    reading = replace(a_reading(memory_used_mb=9_000), foreign_mb=8_000)
    state, effects = hear(state, m.GpuMeasured("GPU-1", reading), m.BundleFetched("task-1"))
    assert state.task is None and e.ReturnLease in kinds(effects) and e.StartTask not in kinds(effects)


def test_what_the_last_try_still_holds_does_not_count() -> None:
    state = hear(a_state(), needing(20_000), m.BundleFetched("task-1"), m.WorkerStarted("task-1", 7))[0]
    held = replace(a_reading(memory_used_mb=21_000), foreign_mb=900)
    state, _ = hear(state, m.GpuMeasured("GPU-1", held), m.WorkerFailed("task-1", "signal 11"))
    assert state.task and state.task.phase is Phase.STARTING


def test_a_device_that_does_not_tell_its_memory_refuses_nothing() -> None:
    for gpu in (a_gpu(reading=a_reading(memory_used_mb=None)), a_gpu(device=a_practice_device())):
        assert hear(a_state(gpu=gpu), needing(1_000_000))[0].task is not None


def test_nothing_of_it_outlives_the_agent() -> None:
    state = replace(capped(task=a_task(Phase.RUNNING)), warmth=Warmth(kept=True), capped_watts=200, sharing=Sharing(on=True))
    state = hear(state, m.AgentStarted(NOON, Zone()))[0]
    assert (state.warmth, state.capped_watts) == (Warmth(), 0)
