"""The owner's word is obeyed at once, and is never held against them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import messages as m
from desktop_app.core.effects import GiveBack, ListPrograms, OfferGpu, Quit, ReturnLease, WithdrawOffer
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Schedule
from desktop_app.core.settings import Settings
from desktop_app.core.state import Cooldown, Notice, NoticeKind, Reason, Sharing, Trigger
from desktop_app.core.task import Phase
from desktop_app.core.update import update
from desktop_app.core.update.owner import DETAIL_KEPT, NOTICES_KEPT, PATIENCE_AT_QUIT
from tests.builders import NOON, a_checkpoint, a_state, a_task

LATER = NOON + timedelta(hours=1)


def test_turning_sharing_on_offers_the_gpu_once_somebody_looked() -> None:
    state, effects = update(a_state(sharing=Sharing(on=False)), m.OwnerTurnedSharing(on=True))
    assert state.sharing.on and state.why.reason is Reason.LOOKING and effects == ()
    state, effects = update(state, m.PresenceSensed(Presence()))
    assert state.why.reason is Reason.WAITING_FOR_TASK
    assert [type(effect) for effect in effects] == [OfferGpu]


def test_turning_sharing_off_takes_back_offer_and_task() -> None:
    offered = update(a_state(), m.ClockTicked(NOON, a_state().zone))[0]
    state, effects = update(offered, m.OwnerTurnedSharing(on=False))
    assert effects == (WithdrawOffer(),) and state.why.reason is Reason.SHARING_OFF
    state, effects = update(a_state(task=a_task()), m.OwnerTurnedSharing(on=False))
    assert effects == (GiveBack("task-1", Trigger.CLICK, 200),)


def test_the_owners_click_ends_snooze_cool_down_and_finishing() -> None:
    sharing = Sharing(on=True, snoozed_until=LATER, finishing=True)
    state = update(a_state(sharing=sharing, cooldown=Cooldown(LATER, 3)), m.OwnerTurnedSharing(on=True))[0]
    assert state.sharing == Sharing(on=True) and state.cooldown == Cooldown()


def test_a_click_does_not_stop_a_quit() -> None:
    quitting = update(a_state(task=a_task()), m.OwnerQuit())[0]
    assert update(quitting, m.OwnerTurnedSharing(on=True))[0].sharing.quitting


def test_going_early_costs_nothing() -> None:
    """No cool-down follows the owner's own word, however often; the schedule is one of them."""
    over = a_state(task=a_task(), settings=Settings(schedule=Schedule("-" * 336)))
    state, effects = update(over, m.ClockTicked(NOON, over.zone))
    assert effects == (GiveBack("task-1", Trigger.SCHEDULE, 5_000),) and state.cooldown == Cooldown()
    for message in (m.OwnerTurnedSharing(on=False), m.OwnerSnoozed(LATER), m.OwnerQuit()):
        assert update(a_state(task=a_task()), message)[0].cooldown == Cooldown()


def test_a_snooze_gives_back_and_ends_by_itself() -> None:
    state, effects = update(a_state(task=a_task()), m.OwnerSnoozed(LATER))
    assert effects == (GiveBack("task-1", Trigger.SNOOZE, 200),)
    assert state.why.reason is Reason.SNOOZED and state.why.until == LATER
    assert update(state, m.ClockTicked(LATER - timedelta(seconds=1), state.zone))[0].sharing.snoozed_until == LATER
    assert update(state, m.ClockTicked(LATER, state.zone))[0].sharing.snoozed_until is None


def test_a_snooze_can_be_ended_early() -> None:
    state = update(a_state(sharing=Sharing(on=True, snoozed_until=LATER)), m.OwnerSnoozed(None))[0]
    assert state.why.reason is Reason.WAITING_FOR_TASK


def test_finishing_lets_the_task_end_and_takes_no_other() -> None:
    state, effects = update(a_state(task=a_task()), m.OwnerAskedFinish())
    assert state.task == a_task() and effects == () and state.why.reason is Reason.FINISHING
    state, effects = update(replace(state, task=None), m.ClockTicked(NOON, state.zone))
    assert not state.sharing.on and not state.sharing.finishing and state.why.reason is Reason.SHARING_OFF


def test_finishing_without_a_task_is_turning_off() -> None:
    assert update(a_state(), m.OwnerAskedFinish())[0].sharing == Sharing(on=False)


def test_settings_change_one_by_one_and_a_bad_one_is_told() -> None:
    changes = (("floor", 100_000), ("tariff", -1), ("nonsense", True), ("schedule", "a" * 336))
    state, _ = update(a_state(), m.OwnerChangedSettings(changes))
    assert state.settings == Settings(tariff=100_000, floor=state.settings.floor, schedule=Schedule("a" * 336))
    assert state.settings.floor == 100_000
    assert [one.kind for one in state.notices] == [NoticeKind.SETTING_REFUSED] * 2
    assert [one.detail.partition(":")[0] for one in state.notices] == ["nonsense", "tariff"]


def test_a_new_floor_makes_a_new_offer() -> None:
    offered, first = update(a_state(), m.ClockTicked(NOON, a_state().zone))
    state, second = update(offered, m.OwnerChangedSettings((("floor", 10_000),)))
    assert [effect.floor for effect in (*first, *second) if isinstance(effect, OfferGpu)] == [45_000, 55_000] and state.offered == 55_000
    state, effects = update(state, m.OwnerChangedSettings((("floor", 900_000),)))
    assert effects == (WithdrawOffer(),) and state.why.reason is Reason.PRICE_BELOW_FLOOR


def test_dismissed_notices_are_gone() -> None:
    state = a_state(notices=(Notice(NoticeKind.TROUBLE, NOON, "x"),))
    assert update(state, m.OwnerDismissedNotices())[0].notices == ()


def test_notices_are_few_short_and_not_said_twice() -> None:
    state = a_state()
    for detail in [*(str(number) for number in range(20)), "19", "y" * 5_000]:
        state = update(state, m.TroubleArose(NoticeKind.TROUBLE, detail))[0]
    assert [one.detail for one in state.notices] == ["y" * DETAIL_KEPT, *(str(number) for number in range(19, 20 - NOTICES_KEPT, -1))]


def test_quitting_without_a_task_is_at_once() -> None:
    assert update(a_state(), m.OwnerQuit())[1] == (Quit(),)
    assert update(a_state(sharing=Sharing(on=False)), m.OwnerQuit())[1] == (Quit(),)


def test_quitting_returns_a_task_that_has_not_begun() -> None:
    _, effects = update(a_state(task=a_task(Phase.FETCHING)), m.OwnerQuit())
    assert isinstance(effects[0], ReturnLease) and effects[-1] == Quit()


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.HANDING_BACK, Phase.DELIVERING, Phase.RETURNING, Phase.DROPPING])
def test_quitting_waits_for_the_market_but_only_so_long(phase: Phase) -> None:
    state, effects = update(a_state(task=a_task(phase, checkpoint=a_checkpoint())), m.OwnerQuit())
    assert Quit() not in effects
    just_before = NOON + PATIENCE_AT_QUIT - timedelta(milliseconds=1)
    assert Quit() not in update(state, m.ClockTicked(just_before, state.zone))[1]
    assert Quit() in update(state, m.ClockTicked(NOON + PATIENCE_AT_QUIT, state.zone))[1]


def test_a_clock_set_back_while_quitting_does_not_keep_the_agent() -> None:
    state = update(a_state(task=a_task(Phase.HANDING_BACK, checkpoint=a_checkpoint())), m.OwnerQuit())[0]
    assert Quit() in update(state, m.ClockTicked(NOON - timedelta(hours=2), state.zone))[1]


def test_asking_to_quit_again_does_not_start_the_patience_anew() -> None:
    state = update(a_state(task=a_task()), m.OwnerQuit())[0]
    again = update(replace(state, now=NOON + timedelta(seconds=3)), m.OwnerQuit())[0]
    assert again.sharing.quit_by == NOON + PATIENCE_AT_QUIT


def test_the_owner_may_ask_which_programs_run_also_while_nothing_is_shared() -> None:
    state, effects = update(a_state(sharing=Sharing(on=False)), m.OwnerAskedPrograms())
    assert effects == (ListPrograms(),)
    assert update(state, m.ProgramsListed(("hades", "blender")))[0].programs == ("hades", "blender")
