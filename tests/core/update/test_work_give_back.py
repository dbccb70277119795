"""The give-back: the owner first, once, and nothing that was committed is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.policy import COOLDOWN_MOST
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Schedule, Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import Cooldown, Level, Paid, Reason, Trigger
from desktop_app.core.task import Phase
from desktop_app.core.update import still_due
from desktop_app.core.update.cooldown import COOLDOWN_FIRST, QUIET_WORK
from desktop_app.core.update.work import GIVE_BACKS_KEPT
from tests.builders import (
    NOON,
    a_checkpoint,
    a_device,
    a_give_back,
    a_gpu,
    a_lease,
    a_state,
    a_task,
    signed,
)
from tests.core.update.hearing import FINISHED, STARTED, delivering, hear, kinds, phase, running


@pytest.mark.parametrize("at", [Phase.STARTING, Phase.RUNNING])
def test_an_owner_who_wants_the_gpu_gets_it_first_and_once(at: Phase) -> None:
    state, effects = hear(a_state(task=a_task(at)), m.OwnerTurnedSharing(on=False))
    assert phase(state) is Phase.RETURNING and effects == (e.GiveBack("task-1", Trigger.CLICK, 200),)
    for message in (m.OwnerTurnedSharing(on=False), m.OwnerSnoozed(None), m.ClockTicked(NOON, Zone()), STARTED, m.OwnerQuit()):
        state, effects = hear(state, message)
        assert e.GiveBack not in kinds(effects)


def test_a_schedules_end_leaves_the_worker_time_to_commit() -> None:
    schedule = Settings(schedule=Schedule("-" * 336))
    assert hear(a_state(task=a_task(), settings=schedule), STARTED)[1] == (e.GiveBack("task-1", Trigger.SCHEDULE, 5_000),)


@pytest.mark.parametrize("at", [Phase.FETCHING, Phase.READY])
def test_a_task_that_has_not_begun_is_returned_untouched(at: Phase) -> None:
    state, effects = hear(a_state(task=a_task(at)), m.OwnerTurnedSharing(on=False))
    assert state.task is None
    assert effects == (e.ReturnLease(a_lease(), "the owner needs the GPU"), e.ForgetTask("task-1"))


def test_what_was_committed_is_handed_back_with_a_receipt() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    state, effects = hear(asked, m.GpuGivenBack(a_give_back(), a_checkpoint(40)))
    assert phase(state) is Phase.HANDING_BACK and state.give_backs == (a_give_back(),)
    (owed,) = [effect.receipt for effect in effects if isinstance(effect, e.SignReceipt)]
    assert (owed.first_step, owed.last_step, owed.units, owed.final) == (0, 40, 400, False)
    assert (owed.state_sha256, owed.result_sha256) == (a_checkpoint(40).sha256, "")
    state, effects = hear(state, m.ReceiptSigned(signed(owed)))
    assert effects == (e.HandBack(a_lease(), a_checkpoint(40), signed(owed)),)
    state, effects = hear(state, m.ReceiptDelivered("task-1", 40))
    assert state.task is None and effects == (e.ForgetTask("task-1"),)
    assert [(line.paid, line.units, line.last_step) for line in state.history] == [(Paid.HANDED_BACK, 400, 40)]


def test_a_give_back_before_anything_was_committed_returns_the_task_untouched() -> None:
    for checkpoint in (None, a_checkpoint(0)):
        state, effects = hear(running(), m.OwnerTurnedSharing(on=False), m.GpuGivenBack(a_give_back(), checkpoint))
        assert state.task is None and kinds(effects) == [e.ReturnLease, e.ForgetTask]


def test_a_gpu_that_is_back_before_the_worker_had_started() -> None:
    asked = hear(a_state(task=a_task(Phase.STARTING)), m.OwnerTurnedSharing(on=False))[0]
    state, effects = hear(asked, m.GpuGivenBack(a_give_back(), None))
    assert state.task is None and kinds(effects) == [e.ReturnLease, e.ForgetTask]
    assert hear(state, STARTED) == (state, ())


def test_a_worker_that_finishes_while_it_is_stopped_delivers_its_result() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    state, effects = hear(asked, FINISHED)
    assert phase(state) is Phase.DELIVERING and kinds(effects) == [e.SignReceipt]
    after, effects = hear(state, m.GpuGivenBack(a_give_back(), a_checkpoint(99)))
    assert phase(after) is Phase.DELIVERING and effects == () and len(after.give_backs) == 1


def test_a_worker_that_dies_while_it_is_stopped_is_no_crash() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False))[0]
    assert hear(asked, m.WorkerFailed("task-1", "killed")) == (asked, ())


def test_a_task_that_is_being_returned_is_returned_even_if_the_owner_changes_their_mind() -> None:
    asked = hear(running(step=20), m.OwnerTurnedSharing(on=False), m.OwnerTurnedSharing(on=True))[0]
    assert phase(asked) is Phase.RETURNING
    assert phase(hear(asked, m.GpuGivenBack(a_give_back(), None))[0]) is Phase.HANDING_BACK


def test_an_old_give_back_told_again_does_not_end_the_tasks_next_run() -> None:
    again = a_state(task=a_task(lease=a_lease(epoch=2)), give_backs=(a_give_back(),))
    asked = hear(again, m.OwnerTurnedSharing(on=False))[0]
    assert hear(asked, m.GpuGivenBack(a_give_back(), None)) == (asked, ())


def test_an_owner_who_comes_while_the_schedule_lets_a_task_end_does_not_wait() -> None:
    """The schedule's end is patient; whoever wants the GPU in that time is not made to be."""
    over = replace(running(), settings=Settings(schedule=Schedule("-" * 336)))
    state, effects = hear(over, m.ClockTicked(NOON, Zone()))
    assert effects == (e.GiveBack("task-1", Trigger.SCHEDULE, 5_000),)
    assert hear(state, m.ClockTicked(NOON, Zone()))[1] == (), "patience is asked for once"
    looked = m.PresenceSensed(Presence(full_screen=True))
    for message, trigger in ((m.OwnerTurnedSharing(on=False), Trigger.CLICK), (looked, Trigger.FULL_SCREEN), (m.OwnerQuit(), Trigger.QUIT)):
        hurried, effects = hear(state, message)
        assert effects[:1] == (e.GiveBack("task-1", trigger, 200),)
        assert hurried.cooldown == Cooldown(), "it was the schedule that took it"
        assert e.GiveBack not in kinds(hear(hurried, m.ClockTicked(NOON, Zone()), message)[1]), "and haste too"


def test_a_rule_that_is_over_resumes_only_what_a_rule_paused() -> None:
    """A game's end turns on nothing that the owner turned off, and ends no pause that the owner chose."""
    playing = hear(a_state(), m.PresenceSensed(Presence(game_mode=True)))[0]
    off = hear(playing, m.OwnerTurnedSharing(on=False), m.PresenceSensed(Presence(game_mode=False)))[0]
    assert off.why.reason is Reason.SHARING_OFF and not off.sharing.on
    snooze = NOON + timedelta(hours=1)
    snoozed = hear(playing, m.OwnerSnoozed(snooze), m.PresenceSensed(Presence(game_mode=False)))[0]
    assert snoozed.why.reason is Reason.SNOOZED and snoozed.sharing.snoozed_until == snooze
    over = hear(playing, m.PresenceSensed(Presence(game_mode=False)), m.ClockTicked(NOON + timedelta(seconds=10), Zone()))[0]
    assert over.why.reason is Reason.LOOKING, "ten seconds without a tick may have been a sleep"
    assert hear(over, m.PresenceSensed(Presence(game_mode=False)))[0].why.reason is Reason.WAITING_FOR_TASK


def test_a_give_back_of_a_task_that_is_not_held_is_only_noted() -> None:
    for state in (a_state(), a_state(task=a_task(Phase.READY)), running()):
        after, effects = hear(state, m.GpuGivenBack(a_give_back("task-9"), None))
        assert after.give_backs == (a_give_back("task-9"),) and e.ForgetTask not in kinds(effects)
    assert phase(hear(running(), m.GpuGivenBack(a_give_back(), None))[0]) is Phase.RUNNING


def test_only_the_last_give_backs_are_kept() -> None:
    state, _ = hear(a_state(), *(m.GpuGivenBack(a_give_back(at=float(number)), None) for number in range(230)))
    assert [one.at for one in state.give_backs] == [float(number) for number in range(229, 229 - GIVE_BACKS_KEPT, -1)]


def test_a_rules_give_back_is_followed_by_a_pause_that_grows() -> None:
    state, pauses = a_state(), []
    for turn in range(12):
        state = hear(replace(state, task=a_task(Phase.STARTING)), STARTED)[0]
        state = hear(state, m.GpuMeasured("GPU-1", replace(state.gpu.reading, temperature=95)))[0]
        pauses.append(state.cooldown.until - state.now)
        cool = replace(state.gpu.reading, temperature=40)
        state = hear(state, m.GpuGivenBack(a_give_back(at=float(turn)), None), m.GpuMeasured("GPU-1", cool))[0]
    assert pauses[:4] == [COOLDOWN_FIRST, COOLDOWN_FIRST * 2, COOLDOWN_FIRST * 4, COOLDOWN_FIRST * 8]
    assert pauses[4:] == [COOLDOWN_MOST] * 8 and state.why.reason is Reason.COOLING_DOWN


def test_every_task_done_halves_the_next_pause() -> None:
    done = replace(delivering(), cooldown=Cooldown(NOON, 4))
    assert hear(done, m.ReceiptDelivered("task-1", 100))[0].cooldown == Cooldown(NOON, 3)
    assert hear(replace(done, cooldown=Cooldown(NOON, 1)), m.ReceiptDelivered("task-1", 100))[0].cooldown == Cooldown()
    assert hear(replace(done, cooldown=Cooldown()), m.ReceiptDelivered("task-1", 100))[0].cooldown == Cooldown()


def test_quiet_work_halves_the_next_pause_again_and_again() -> None:
    began = hear(a_state(task=a_task(Phase.STARTING), cooldown=Cooldown(NOON, 3)), STARTED)[0]
    assert began.cooldown == Cooldown(NOON, 3, since=NOON)
    soon = hear(began, m.ClockTicked(NOON + QUIET_WORK - timedelta(seconds=1), began.zone))[0]
    assert soon.cooldown.times == 3
    later = NOON + QUIET_WORK
    eased = hear(soon, m.ClockTicked(later, began.zone))[0]
    assert eased.cooldown == Cooldown(NOON, 2, since=later)
    slept = hear(eased, m.ClockTicked(later + timedelta(hours=9), began.zone))[0]
    assert slept.cooldown.times == 1, "a night asleep is one stretch of quiet, not fifty"
    assert hear(slept, m.ClockTicked(slept.now + QUIET_WORK, began.zone))[0].cooldown == Cooldown()


def test_quiet_is_counted_anew_when_the_clock_went_back_and_only_while_a_task_runs() -> None:
    began = hear(a_state(task=a_task(Phase.STARTING), cooldown=Cooldown(NOON, 3)), STARTED)[0]
    earlier = NOON - timedelta(days=1)
    back = hear(began, m.ClockTicked(earlier, began.zone))[0]
    assert back.cooldown == Cooldown(NOON, 3, since=earlier)
    assert hear(back, m.ClockTicked(earlier + QUIET_WORK, began.zone))[0].cooldown.times == 2
    for idle in (replace(began, task=None), replace(began, task=a_task(Phase.FETCHING))):
        assert hear(idle, m.ClockTicked(NOON + 2 * QUIET_WORK, began.zone))[0].cooldown.times == 3


def test_a_start_or_fetch_whose_task_was_taken_back_meanwhile_is_not_due() -> None:
    start, fetch, forget = e.StartTask(a_lease(), None), e.FetchBundle(a_lease()), e.ForgetTask("task-1")
    assert still_due(a_state(task=a_task(Phase.STARTING)), start)
    assert still_due(a_state(task=a_task(Phase.FETCHING)), fetch)
    leased_again = a_task(Phase.STARTING, lease=a_lease(epoch=2))
    for state in (a_state(), running(), a_state(task=a_task(Phase.RETURNING)), a_state(task=leased_again)):
        assert not still_due(state, start) and not still_due(state, fetch)
        assert still_due(state, forget)


@pytest.mark.parametrize("at", [Phase.FETCHING, Phase.READY])
@pytest.mark.parametrize("message", [m.RuntimeFound(present=False), m.SandboxTested(Level.NONE, ()), m.GpuFound(a_device())])
def test_a_task_that_cannot_go_on_here_is_returned(at: Phase, message: m.Message) -> None:
    other = replace(a_gpu(), device=None, registered="GPU-0")
    state = a_state(task=a_task(at, checkpoint=a_checkpoint()), gpu=other if isinstance(message, m.GpuFound) else a_gpu())
    after, effects = hear(state, message)
    assert phase(after) is Phase.HANDING_BACK and e.SignReceipt in kinds(effects) and e.StartTask not in kinds(effects)


def test_a_task_waits_for_sandbox_runtime_and_gpu() -> None:
    for part in (
        {"readiness": replace(a_state().readiness, level=None)},
        {"readiness": replace(a_state().readiness, runtime=None)},
        {"gpu": replace(a_gpu(), device=None)},
    ):
        state = replace(a_state(task=a_task(Phase.READY)), **part)
        assert phase(hear(state, m.ClockTicked(NOON, Zone()))[0]) is Phase.READY
