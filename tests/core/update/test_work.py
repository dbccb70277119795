"""A task's walk from lease to worker: what crosses its way on the straight road."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.receipts import result_sha256
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import Cooldown, NoticeKind, Paid, Reason, Sharing, State, Trigger
from desktop_app.core.task import Phase, Progress
from desktop_app.core.update.work import CRASHES_BORNE, MISHAPS_BORNE
from desktop_app.wire.codec import durable
from tests.builders import (
    NOON,
    a_checkpoint,
    a_give_back,
    a_lease,
    a_manifest,
    a_market,
    a_state,
    a_task,
    signed,
)
from tests.core.update.hearing import FINISHED, MODEL, OFF, STARTED, delivering, handing_back, hear, kinds, phase, running


def test_a_task_goes_from_lease_to_history() -> None:
    state, effects = hear(a_state(), m.MarketLeased(a_lease()))
    assert phase(state) is Phase.FETCHING and effects == (e.FetchBundle(a_lease()),) and state.offered is None
    state, effects = hear(state, m.BundleFetched("task-1"))
    assert phase(state) is Phase.STARTING and effects == (e.StartTask(a_lease(), None),)
    state, effects = hear(state, STARTED)
    assert phase(state) is Phase.RUNNING and effects == () and state.why.reason is Reason.WORKING
    state, effects = hear(state, m.WorkerProgressed("task-1", Progress(50, 100)))
    assert state.task and state.task.progress == Progress(50, 100)
    state, effects = hear(state, m.CheckpointStored("task-1", a_checkpoint(50)))
    assert effects == (e.UploadCheckpoint(a_lease(), a_checkpoint(50)),)
    state, effects = hear(state, FINISHED)
    assert phase(state) is Phase.DELIVERING and kinds(effects) == [e.SignReceipt]
    owed = effects[0].receipt if isinstance(effects[0], e.SignReceipt) else None
    assert owed and (owed.first_step, owed.last_step, owed.units, owed.final) == (0, 100, 1_000, True)
    assert (owed.result_sha256, owed.state_sha256, owed.gpu_id) == (result_sha256(MODEL), "", 7)
    state, effects = hear(state, m.ReceiptSigned(signed(owed)))
    assert state.outbox == (signed(owed),) and effects == (e.DeliverResult(a_lease(), MODEL, signed(owed)),)
    state, effects = hear(state, m.ReceiptDelivered("task-1", 100))
    assert state.task is None and state.outbox == () and kinds(effects) == [e.ForgetTask, e.OfferGpu]
    (line,) = state.history
    assert (line.units, line.amount, line.paid, line.metrics) == (1_000, 111, Paid.PENDING, (("accuracy", 0.97),))


def test_a_task_that_is_continued_starts_from_its_checkpoint_and_counts_only_its_own_steps() -> None:
    lease = a_lease(epoch=2, checkpoint=a_checkpoint(40), prev_receipt="ab" * 32)
    state, effects = hear(a_state(), m.MarketLeased(lease), m.BundleFetched("task-1"))
    assert effects == (e.StartTask(lease, a_checkpoint(40)),)
    _, effects = hear(state, STARTED, FINISHED)
    (owed,) = [effect.receipt for effect in effects if isinstance(effect, e.SignReceipt)]
    assert (owed.first_step, owed.last_step, owed.units, owed.prev, owed.epoch) == (40, 100, 600, "ab" * 32, 2)


def test_a_result_that_comes_before_the_word_that_the_worker_started_is_taken() -> None:
    assert phase(hear(a_state(task=a_task(Phase.STARTING)), FINISHED)[0]) is Phase.DELIVERING


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (a_state(sharing=OFF), "sharing_off"),
        (a_state(sharing=Sharing(on=True, finishing=True)), "finishing"),
        (a_state(market=a_market(connected=False)), "market_offline"),
        (a_state(cooldown=Cooldown(NOON + timedelta(seconds=30), 1)), "cooling_down"),
        (a_state(settings=Settings(floor=a_lease().rate, tariff=0), market=a_market(rate=500_000)), "below"),
    ],
    ids=["off", "finishing", "offline", "cooling", "floor"],
)
def test_a_lease_that_is_not_wanted_any_more_is_returned_unrun(state: State, reason: str) -> None:
    after, effects = hear(state, m.MarketLeased(a_lease(rate=399_999)))
    assert after.task is None
    (returned,) = [effect for effect in effects if isinstance(effect, e.ReturnLease)]
    assert reason in returned.reason and not returned.fault
    assert e.FetchBundle not in kinds(effects)


@pytest.mark.parametrize("step", [-1, 101])
def test_a_lease_with_a_checkpoint_outside_its_task_is_returned(step: int) -> None:
    state, effects = hear(a_state(), m.MarketLeased(a_lease(checkpoint=a_checkpoint(step))))
    assert state.task is None and isinstance(effects[0], e.ReturnLease) and "outside the task" in effects[0].reason


def test_a_second_lease_is_returned_and_the_first_goes_on() -> None:
    other = a_lease(a_manifest("task-2"))
    state, effects = hear(running(), m.MarketLeased(other))
    assert state == hear(running(), m.ClockTicked(NOON, Zone()))[0]
    assert effects == (e.ReturnLease(other, "this GPU is busy"),)


def test_a_task_that_is_refused_while_it_is_fetched_is_forgotten_and_told() -> None:
    state, effects = hear(a_state(task=a_task(Phase.FETCHING)), m.MarketRefusedTask("task-1", "a pickle"))
    assert state.task is None and kinds(effects) == [e.ForgetTask, e.OfferGpu]
    assert [(one.kind, one.detail) for one in state.notices] == [(NoticeKind.TASK_REFUSED, "task-1: a pickle")]


def test_a_refusal_of_another_task_or_of_one_that_runs_is_only_told() -> None:
    for task_id in ("task-1", "task-2"):
        state, _ = hear(running(), m.MarketRefusedTask(task_id, "a pickle"))
        assert state.task == a_task() and len(state.notices) == 1
    assert hear(a_state(), m.MarketRefusedTask("task-9", "a pickle"))[0].task is None


def test_only_a_newer_checkpoint_within_the_task_counts() -> None:
    state = hear(running(step=40), m.ClockTicked(NOON, Zone()))[0]
    for step in (39, 40, 101, -1):
        assert hear(state, m.CheckpointStored("task-1", a_checkpoint(step))) == (state, ())
    assert hear(state, m.CheckpointStored("task-1", a_checkpoint(100)))[0].task == replace(a_task(), checkpoint=a_checkpoint(100))


@pytest.mark.parametrize("at", [Phase.DROPPING, Phase.HANDING_BACK, Phase.DELIVERING])
def test_a_checkpoint_that_comes_too_late_does_not_change_what_the_receipt_says(at: Phase) -> None:
    state = hear(a_state(task=a_task(at, checkpoint=a_checkpoint(40))), m.ClockTicked(NOON, Zone()))[0]
    assert hear(state, m.CheckpointStored("task-1", a_checkpoint(60))) == (state, ())


def test_a_checkpoint_at_the_give_back_goes_up_with_the_task_itself() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    state, effects = hear(asked, m.CheckpointStored("task-1", a_checkpoint(30)))
    assert effects == () and state.task and state.task.checkpoint == a_checkpoint(30)


def test_a_give_back_with_a_checkpoint_outside_the_task_keeps_the_one_before() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    state = hear(asked, m.GpuGivenBack(a_give_back(), a_checkpoint(500)))[0]
    assert state.task and state.task.checkpoint == a_checkpoint(20)


@pytest.mark.parametrize("at", [Phase.STARTING, Phase.RUNNING])
def test_a_worker_that_crashes_is_started_again_from_the_last_checkpoint(at: Phase) -> None:
    state, effects = hear(a_state(task=a_task(at, checkpoint=a_checkpoint(30))), m.WorkerFailed("task-1", "signal 11"))
    assert effects == (e.StartTask(a_lease(), a_checkpoint(30)),)
    assert state.task and (state.task.phase, state.task.crashes) == (Phase.STARTING, 1)


def test_the_third_crash_returns_the_task_and_says_whose_fault_it_was() -> None:
    state, effects = hear(running(crashes=CRASHES_BORNE), m.WorkerFailed("task-1", "signal 11"))
    assert state.task is None and effects[0] == e.ReturnLease(a_lease(), "crashed 3 times: signal 11", fault=True)
    assert [one.kind for one in state.notices] == [NoticeKind.TASK_FAILED]


def test_the_third_crash_does_not_take_the_pay_for_what_was_committed() -> None:
    state, effects = hear(running(crashes=CRASHES_BORNE, step=30), m.WorkerFailed("task-1", "signal 11"))
    assert phase(state) is Phase.HANDING_BACK and kinds(effects) == [e.SignReceipt]


def test_a_mishap_of_the_machine_is_not_the_tasks_fault_but_does_not_go_on_for_ever() -> None:
    state = running()
    for turn in range(1, MISHAPS_BORNE + 1):
        state = hear(state, STARTED, m.WorkerFailed("task-1", "out of memory", blameless=True))[0]
        state = hear(state, m.ClockTicked(state.now + timedelta(minutes=1), Zone()), m.PresenceSensed(state.presence))[0]
        assert state.task and (state.task.phase, state.task.crashes, state.task.mishaps) == (Phase.STARTING, 0, turn)
    state, effects = hear(state, m.WorkerFailed("task-1", "out of memory", blameless=True))
    assert state.task is None and effects[0] == e.ReturnLease(a_lease(), "this machine cannot run it now")
    assert state.why.reason is Reason.COOLING_DOWN and [one.detail for one in state.notices] == ["out of memory"]


def test_the_first_restart_is_at_once_and_each_later_one_waits_longer() -> None:
    state, pauses = running(), []
    for _ in range(MISHAPS_BORNE):
        state, effects = hear(state, STARTED, m.WorkerFailed("task-1", "the device is busy", blameless=True))
        failed = state.now
        while e.StartTask not in kinds(effects):
            assert state.task and state.task.phase is Phase.READY
            state, effects = hear(state, m.ClockTicked(state.now + timedelta(seconds=1), Zone()))
        pauses.append((state.now - failed).total_seconds())
    assert pauses[0] == 0
    for pause, middle in zip(pauses[1:], (5, 10, 20), strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle + 1, "a tick may come a second late"


def test_a_clock_set_back_does_not_let_a_task_rest_for_days() -> None:
    state = hear(running(mishaps=2), m.WorkerFailed("task-1", "busy", blameless=True))[0]
    assert phase(state) is Phase.READY
    back = m.ClockTicked(NOON - timedelta(days=2), Zone())
    assert phase(hear(state, back)[0]) is Phase.READY, "nobody has looked since"
    assert phase(hear(state, back, m.PresenceSensed(state.presence))[0]) is Phase.STARTING


def test_the_number_of_a_worker_that_ended_is_forgotten() -> None:
    """By now it may be another program's, whose use of the GPU would be taken for ours."""
    state = hear(a_state(task=a_task(Phase.STARTING)), STARTED)[0]
    assert state.task is not None and state.task.pid == 4_242
    assert durable(state).task == replace(state.task, pid=0), "nor is it kept over a restart"
    crashed = hear(state, m.WorkerFailed("task-1", "signal 11"))[0]
    assert crashed.task is not None and crashed.task.pid == 0


def test_a_task_that_rests_is_returned_when_the_owner_wants_the_gpu() -> None:
    state, effects = hear(running(mishaps=2), m.WorkerFailed("task-1", "busy", blameless=True), m.OwnerTurnedSharing(on=False))
    assert state.task is None and kinds(effects) == [e.ReturnLease, e.ForgetTask]


def test_a_checkpoint_shows_that_the_machine_can_run_it_after_all() -> None:
    state = hear(running(mishaps=MISHAPS_BORNE), m.CheckpointStored("task-1", a_checkpoint(10)))[0]
    assert state.task and state.task.mishaps == 0


@pytest.mark.parametrize("at", [Phase.STARTING, Phase.RUNNING])
def test_a_lost_lease_stops_the_worker_and_nothing_is_owed(at: Phase) -> None:
    state, effects = hear(a_state(task=a_task(at, checkpoint=a_checkpoint())), m.LeaseLost("task-1", "another machine holds it"))
    assert phase(state) is Phase.DROPPING and effects == (e.GiveBack("task-1", Trigger.LEASE_LOST, 200),)
    state, effects = hear(state, m.LeaseLost("task-1", "another machine holds it"))
    assert effects == ()
    state, effects = hear(state, m.GpuGivenBack(a_give_back(trigger=Trigger.LEASE_LOST), a_checkpoint(50)))
    assert state.task is None and kinds(effects) == [e.ForgetTask, e.OfferGpu] and state.history == ()
    assert [one.kind for one in state.notices] == [NoticeKind.TASK_FAILED]


def test_a_lease_lost_while_the_gpu_is_taken_back_is_no_second_give_back() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    state, effects = hear(asked, m.LeaseLost("task-1", "gone"))
    assert phase(state) is Phase.DROPPING and effects == ()


@pytest.mark.parametrize("at", [Phase.FETCHING, Phase.READY])
def test_a_lease_lost_before_the_work_began_is_forgotten(at: Phase) -> None:
    untested = replace(a_state().readiness, level=None)
    state, effects = hear(a_state(task=a_task(at), readiness=untested), m.LeaseLost("task-1", "gone"))
    assert state.task is None and e.ForgetTask("task-1") in effects and e.GiveBack not in kinds(effects)


@pytest.mark.parametrize("at", [Phase.DELIVERING, Phase.HANDING_BACK])
def test_a_lease_lost_after_the_work_was_done_does_not_take_the_receipt(at: Phase) -> None:
    state = delivering() if at is Phase.DELIVERING else handing_back()
    assert hear(state, m.LeaseLost("task-1", "gone")) == (state, ())
