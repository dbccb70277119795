"""State in, what to show out: figures are the device's own or "none", and silence shows nothing that is not known."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core.gpu import Reading
from desktop_app.core.money import Rate
from desktop_app.core.schedule import Cell
from desktop_app.core.state import Paid, Reason, State, Why
from desktop_app.core.task import Phase
from desktop_app.ui.present import Look, Silence, balloon, home, look, snooze_label, snooze_until, status
from desktop_app.ui.present_schedule import schedule
from tests.ui import states


@pytest.mark.parametrize(
    ("reason", "face"),
    [
        (Reason.SHARING_OFF, Look.OFF),
        (Reason.WORKING, Look.WORKING),
        (Reason.WAITING_FOR_TASK, Look.WAITING),
        (Reason.SNOOZED, Look.PAUSED),
        (Reason.SCHEDULE, Look.PAUSED),
        (Reason.OWNER_PRESENT, Look.PAUSED),
        (Reason.GPU_LOST, Look.PROBLEM),
        (Reason.MARKET_OFFLINE, Look.PROBLEM),
    ],
)
def test_the_face_follows_the_reason(reason: Reason, face: Look) -> None:
    assert look(replace(states.seasoned(), why=Why(reason))) is face


def test_silence_has_a_face_and_a_sentence() -> None:
    assert look(Silence.STARTING) is Look.WAITING
    assert look(Silence.LOST) is Look.PROBLEM
    assert status(Silence.STARTING).why == "Starting the engine…"
    assert status(Silence.LOST).why == "The engine is not answering; trying again."
    assert not status(Silence.LOST).live


def test_ready_to_earn_is_said_only_when_it_is_so() -> None:
    assert status(states.seasoned()).headline == "Ready to earn"
    assert status(replace(states.seasoned(), why=Why(Reason.SANDBOX_TESTING))).headline == "Getting ready"


def test_what_may_be_clicked() -> None:
    assert status(states.working()).can_finish
    assert not status(states.finishing()).can_finish
    assert not status(states.seasoned()).can_finish
    assert status(states.snoozed()).snoozed
    assert not status(replace(states.snoozed(), now=states.NOW + timedelta(hours=4))).snoozed


def test_gauges_of_the_practice_device_say_none_where_nothing_is_measured() -> None:
    view = home(states.working())
    assert [gauge.text for gauge in view.gauges] == ["48 %", "5.2 of 15.6 GB", "61 °C", "none"]
    assert view.gauges[3].fraction is None
    assert view.device == "AMD EPYC 7B13 (practice device: the CPU)"


def test_a_device_that_says_nothing_shows_no_zero() -> None:
    gpu = replace(states.practice_gpu(), reading=Reading())
    view = home(replace(states.seasoned(), gpu=gpu))
    assert [(gauge.text, gauge.fraction) for gauge in view.gauges] == [("none", None)] * 4


def test_silence_shows_no_figures_at_all() -> None:
    view = home(Silence.LOST)
    shown = [gauge.text for gauge in view.gauges] + [stat.value for stat in view.stats]
    assert set(shown) == {"–"}
    assert view.task is None
    assert not view.welcome


def test_the_running_task_in_plain_words() -> None:
    task = home(states.working()).task
    assert task is not None
    assert (task.title, task.percent, task.fraction) == ("Training an image classifier", "63 %", 0.634)
    assert task.facts == "Running · about 15 s left · step 634 of 1,000 · worth up to $0.239"


def test_a_task_that_has_not_spoken_has_no_progress() -> None:
    task = home(replace(states.working(), task=states.task(Phase.FETCHING))).task
    assert task is not None
    assert (task.percent, task.fraction, task.facts) == ("", None, "Fetching its data · worth up to $0.239")


def test_a_task_at_its_end_is_almost_done() -> None:
    task = home(replace(states.working(), task=states.task(step=999))).task
    assert task is not None
    assert "almost done" in task.facts
    assert task.percent == "99 %"


def test_rate_stands_beside_the_floor_and_today_beside_what_is_checked() -> None:
    today, rate, back = home(states.seasoned()).stats
    assert (today.value, today.hint) == ("$0.0522", "and $0.00399 being checked")
    assert (rate.value, rate.hint) == ("$0.24 an hour", "your floor: $0.12 an hour")
    assert (back.label, back.value, back.hint) == ("GPU back in", "0.12 s", "you came back, 25 min ago")


def test_a_give_back_without_vram_does_not_claim_any() -> None:
    state = states.seasoned()
    state = replace(state, give_backs=(replace(state.give_backs[0], vram_free_ms=None),))
    assert home(state).stats[2].label == "Task gone in"


def test_the_welcome_is_for_those_who_never_shared() -> None:
    assert "test money" in home(states.fresh()).welcome
    live = replace(states.fresh(), settings=replace(states.fresh().settings, network="base"))
    assert "takes the GPU back" in home(live).welcome
    assert not home(states.seasoned()).welcome


def test_schedule_says_what_is_and_what_comes() -> None:
    view = schedule(states.seasoned())
    assert view.sentence == "Now: Off. Changes at 18:00 to: When I’m away."
    assert view.now_place == pytest.approx(2 * 48 + 34 + 2 / 3)
    assert schedule(states.fresh()).sentence == "Now: Always. It stays so all week."
    assert schedule(Silence.LOST).now_place is None
    assert set(schedule(Silence.LOST).schedule.cells) == {Cell.OFF.value}


def test_pauses() -> None:
    labels = [snooze_label(timedelta(minutes=minutes)) for minutes in (15, 60, 720)]
    assert labels == ["15 minutes", "1 hour", "12 hours"]
    assert snooze_label(None) == "Until tomorrow, 06:00"
    assert snooze_until(timedelta(hours=1), states.NOW, states.fresh()) == states.NOW + timedelta(hours=1)
    tomorrow = snooze_until(None, states.NOW, states.fresh())
    assert (tomorrow - states.NOW) == timedelta(hours=12, minutes=40)  # 06:00 in Berlin


def test_a_balloon_for_a_give_back_and_for_the_days_first_money_only() -> None:
    before = states.seasoned()
    back = replace(before, give_backs=(replace(before.give_backs[0], at=states.NOW.timestamp()), *before.give_backs))
    assert balloon(before, back) == "Your GPU is back (0.12 s)"
    more = replace(before, wallet=replace(before.wallet, by_day=(("2026-11-24", 311_000), ("2026-11-25", 99_000))))
    assert balloon(before, more) == ""
    next_day = replace(before, wallet=replace(before.wallet, by_day=(("2026-11-25", 48_213), ("2026-11-26", 4_000))))
    assert balloon(before, next_day) == "$0.004 arrived"
    assert balloon(back, before) == ""
    bare = replace(back, give_backs=(replace(back.give_backs[0], vram_free_ms=None),))
    assert balloon(before, bare) == "The task is gone (0.08 s)"  # the practice device has no memory to read back
    assert balloon(State(), replace(State(), wallet=next_day.wallet)) == "$0.004 arrived"


def test_earned_today_counts_vouched_work_of_today_once() -> None:
    state = states.seasoned()
    paid = tuple(replace(line, paid=Paid.PAID) for line in state.history)
    assert home(replace(state, history=paid)).stats[0].value == "$0.0482"
    assert home(replace(state, market=replace(state.market, rate=None))).stats[1].value == "not known yet"
    assert home(replace(state, settings=replace(state.settings, floor=Rate(0)))).stats[1].hint == "your floor: none set"
