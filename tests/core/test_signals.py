"""Every signal of the owner: what it says, that it can be turned off, and how long it must be quiet before sharing resumes."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.core import messages as m
from desktop_app.core.gpu import FOREIGN_BUSY_S, Foreign, Reading, Tier
from desktop_app.core.policy import No, Yes, decide, owner_wants_gpu
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Schedule, Zone
from desktop_app.core.settings import Settings
from desktop_app.core.signals import COOLER_BY, INPUT, RULES, asks, counts, held_until, mark_of, marked, switched_on
from desktop_app.core.state import Mark, Reason, Sharing, State, Trigger
from desktop_app.core.update import update
from tests.builders import NOON, a_device, a_gpu, a_practice_device, a_reading, a_state

AWAY = Schedule("a" * 336)
SECOND = timedelta(seconds=1)
RULE = {rule.trigger: rule for rule in RULES}

# The looks at which each signal asks for the GPU, and those at which it does not.
_CARD = a_gpu()
_PLAYED = a_gpu(reading=Reading(foreign_load=40, foreign_name="hades"))
ASKING: dict[Trigger, State] = {
    Trigger.GPU_FAULT: a_state(gpu=replace(_CARD, fault=48)),
    Trigger.GPU_LOST: a_state(gpu=replace(_CARD, lost=True)),
    Trigger.BATTERY: a_state(presence=Presence(on_battery=True)),
    Trigger.HEAT: a_state(gpu=a_gpu(reading=a_reading(temperature=83))),
    Trigger.REMOTE_DESKTOP: a_state(presence=Presence(remote=True)),
    Trigger.APP: a_state(presence=Presence(apps=("blender", "krita"))),
    Trigger.GAME_MODE: a_state(presence=Presence(game_mode=True)),
    Trigger.FULL_SCREEN: a_state(presence=Presence(full_screen=True)),
    Trigger.FOREIGN_USE: a_state(gpu=replace(_PLAYED, foreign=Foreign(busy_s=FOREIGN_BUSY_S))),
    Trigger.VRAM: a_state(gpu=a_gpu(reading=a_reading(memory_used_mb=24_564 - 511))),
    Trigger.PRESENCE: a_state(presence=Presence(idle_s=299.0)),
}
QUIET: dict[Trigger, State] = {
    Trigger.GPU_FAULT: a_state(),
    Trigger.GPU_LOST: a_state(),
    Trigger.BATTERY: a_state(presence=Presence(on_battery=False)),
    Trigger.HEAT: a_state(gpu=a_gpu(reading=a_reading(temperature=82))),
    Trigger.REMOTE_DESKTOP: a_state(presence=Presence(remote=False)),
    Trigger.APP: a_state(presence=Presence(apps=())),
    Trigger.GAME_MODE: a_state(presence=Presence(game_mode=False)),
    Trigger.FULL_SCREEN: a_state(presence=Presence(full_screen=False)),
    Trigger.FOREIGN_USE: a_state(gpu=replace(a_gpu(reading=Reading(foreign_load=60)), foreign=Foreign(busy_s=0.2))),
    Trigger.VRAM: a_state(gpu=a_gpu(reading=a_reading(memory_used_mb=24_564 - 512))),
    Trigger.PRESENCE: a_state(presence=Presence(idle_s=300.0)),
}
UNTOLD: dict[Trigger, State] = {
    trigger: a_state(presence=Presence(), gpu=a_gpu(reading=Reading()))
    for trigger in Trigger
    if trigger in RULE and trigger not in (Trigger.GPU_FAULT, Trigger.GPU_LOST)
}
DETAILS = {
    Trigger.GPU_FAULT: "48", Trigger.HEAT: "83", Trigger.APP: "blender", Trigger.FOREIGN_USE: "hades", Trigger.VRAM: "511",
    Trigger.PRESENCE: "299",
}  # fmt: skip


def at(state: State, now: datetime) -> State:
    return update(replace(state, now=now), m.ClockTicked(now, state.zone))[0]


def away(state: State) -> State:
    return replace(state, settings=replace(state.settings, schedule=AWAY))


def reason(state: State) -> Reason | None:
    verdict = decide(state)
    return verdict.why.reason if isinstance(verdict, No) else None


def test_the_table_names_each_signal_once_and_only_switches_that_exist() -> None:
    assert len(RULE) == len({rule.reason for rule in RULES}) == len(RULES)
    switches = [rule.switch for rule in RULES if rule.switch]
    declared = [field.name for field in fields(Settings) if field.name.startswith("pause_on_")]
    assert sorted(switches) == sorted(declared)
    assert RULES[-1] is INPUT, "what protects the card, and what takes it from the owner's hands, is said first"


@pytest.mark.parametrize("trigger", RULE)
def test_each_signal_asks_is_quiet_or_is_not_told(trigger: Trigger) -> None:
    rule = RULE[trigger]
    assert rule.read(ASKING[trigger]).asks is True and rule.read(ASKING[trigger]).detail == DETAILS.get(trigger, "")
    assert rule.read(QUIET[trigger]).asks is False
    if trigger in UNTOLD:
        assert rule.read(UNTOLD[trigger]).asks is None


@pytest.mark.parametrize("trigger", RULE)
def test_each_signal_takes_the_gpu_back_unless_its_switch_is_off(trigger: Trigger) -> None:
    rule, state = RULE[trigger], away(ASKING[trigger])
    if trigger is not Trigger.PRESENCE:
        state = ASKING[trigger]
    verdict = owner_wants_gpu(state)
    assert verdict is not None and (verdict.why.reason, verdict.trigger) == (rule.reason, trigger)
    if not rule.switch:
        assert trigger in (Trigger.GPU_FAULT, Trigger.GPU_LOST, Trigger.HEAT), "only what protects the card has no switch"
        return
    off = replace(state, settings=replace(state.settings, **{rule.switch: False}))  # type: ignore[arg-type]
    assert not switched_on(off.settings, rule) and not counts(off, rule) and owner_wants_gpu(off) is None


@pytest.mark.parametrize("trigger", UNTOLD)
def test_what_a_system_does_not_tell_stops_nothing_but_sharing_by_absence(trigger: Trigger) -> None:
    assert owner_wants_gpu(UNTOLD[trigger]) is None
    assert reason(away(UNTOLD[trigger])) is Reason.PRESENCE_UNKNOWN
    careless = away(UNTOLD[trigger])
    assert decide(replace(careless, settings=replace(careless.settings, pause_on_input=False))) == Yes()


def test_input_counts_only_in_hours_for_when_the_owner_is_away() -> None:
    assert owner_wants_gpu(ASKING[Trigger.PRESENCE]) is None and not counts(ASKING[Trigger.PRESENCE], INPUT)
    assert reason(away(ASKING[Trigger.PRESENCE])) is Reason.OWNER_PRESENT
    assert decide(away(replace(QUIET[Trigger.PRESENCE], presence=Presence(idle_s=0.0, locked=True)))) == Yes()


def test_a_card_that_is_not_there_or_a_practice_device_has_no_reserve() -> None:
    full = a_reading(memory_used_mb=8_000)
    practice = a_gpu(device=a_practice_device(), tier=Tier.PRACTICE, reading=full)
    for gpu in (practice, replace(a_gpu(reading=full), device=None)):
        assert RULE[Trigger.VRAM].read(a_state(gpu=gpu)).asks is None
    assert RULE[Trigger.VRAM].read(a_state(gpu=a_gpu(device=a_device(memory_mb=8_100), reading=full))).asks is True


# --- quiet times


@pytest.mark.parametrize("trigger", [rule.trigger for rule in RULES if rule.hold])
def test_a_signal_must_have_been_quiet_for_its_time(trigger: Trigger) -> None:
    rule, state = RULE[trigger], at(ASKING[trigger], NOON)
    quiet = replace(QUIET[trigger], signals=state.signals)
    last = at(quiet, NOON + rule.hold - SECOND)
    verdict = owner_wants_gpu(last)
    assert verdict is not None and verdict.why.reason is rule.reason and verdict.why.until == NOON + rule.hold
    assert verdict.trigger is trigger and verdict.why.detail == "", "it is over, so its figure is not shown"
    assert owner_wants_gpu(at(quiet, NOON + rule.hold)) is None


def test_signals_with_a_measure_of_their_own_have_no_quiet_time_besides() -> None:
    """The owner's minutes without a key, the degrees below the limit; and a fault is ended by the owner's word only."""
    assert {rule.trigger for rule in RULES if not rule.hold} == {Trigger.GPU_FAULT, Trigger.HEAT, Trigger.PRESENCE}
    here = at(away(ASKING[Trigger.PRESENCE]), NOON)
    assert decide(at(replace(here, presence=Presence(idle_s=300.0)), NOON + SECOND)) == Yes()


def test_heat_is_felt_at_the_limit_and_forgotten_only_well_below_it() -> None:
    def warm(degrees: int | None, before: State) -> State:
        return at(replace(before, gpu=a_gpu(reading=a_reading(temperature=degrees))), before.now + SECOND)

    assert reason(warm(82, a_state())) is None
    hot = warm(83, a_state())
    assert reason(hot) is Reason.TOO_HOT
    cooling = warm(83 - COOLER_BY, hot)
    assert reason(cooling) is Reason.TOO_HOT and decide(cooling) == No(decide(cooling).why, Trigger.HEAT)  # type: ignore[union-attr]
    assert reason(warm(None, cooling)) is None
    cool = warm(82 - COOLER_BY, cooling)
    assert reason(cool) is None and reason(warm(82, cool)) is None, "and it must reach the limit again"


def test_heat_is_not_forgotten_behind_another_reason() -> None:
    hot = at(ASKING[Trigger.HEAT], NOON)
    snoozed = at(replace(hot, sharing=Sharing(on=True, snoozed_until=NOON + 5 * SECOND)), NOON + SECOND)
    assert reason(snoozed) is Reason.SNOOZED
    warm = replace(snoozed, gpu=a_gpu(reading=a_reading(temperature=80)))
    assert reason(at(warm, NOON + 5 * SECOND)) is Reason.TOO_HOT


def test_a_switch_turned_off_ends_the_quiet_time_too() -> None:
    state = at(ASKING[Trigger.FULL_SCREEN], NOON)
    quiet = replace(QUIET[Trigger.FULL_SCREEN], signals=state.signals)
    assert reason(quiet) is Reason.FULL_SCREEN
    off = replace(quiet, settings=replace(quiet.settings, pause_on_full_screen=False))
    assert decide(off) == Yes()


# --- marks


def test_a_mark_keeps_when_a_signal_began_and_when_it_last_asked() -> None:
    rule = RULE[Trigger.GAME_MODE]
    first = at(ASKING[Trigger.GAME_MODE], NOON)
    assert first.signals == (Mark(Trigger.GAME_MODE, NOON, NOON, asking=True),)
    later = at(first, NOON + 60 * SECOND)
    assert later.signals == (Mark(Trigger.GAME_MODE, NOON, NOON + 60 * SECOND, asking=True),)
    flickered = at(replace(later, presence=Presence(game_mode=False)), NOON + 65 * SECOND)
    assert flickered.signals == (Mark(Trigger.GAME_MODE, NOON, NOON + 60 * SECOND),)
    again = at(replace(flickered, presence=Presence(game_mode=True)), NOON + 66 * SECOND)
    assert again.signals[0].began == NOON, "within its quiet time it is the same game"
    over = at(replace(again, presence=Presence(game_mode=False)), NOON + 67 * SECOND)
    new_game = at(replace(over, presence=Presence(game_mode=True)), NOON + 66 * SECOND + rule.hold)
    assert new_game.signals == (Mark(Trigger.GAME_MODE, new_game.now, new_game.now, asking=True),)


def test_marks_stand_in_the_order_of_the_table() -> None:
    state = a_state(presence=Presence(full_screen=True, on_battery=True))
    assert [mark.trigger for mark in at(state, NOON).signals] == [Trigger.BATTERY, Trigger.FULL_SCREEN]


def test_nothing_is_marked_while_nothing_is_shared_nor_for_a_signal_that_is_off() -> None:
    game = ASKING[Trigger.GAME_MODE]
    assert at(replace(game, sharing=Sharing(on=False)), NOON).signals == ()
    assert at(replace(game, settings=replace(game.settings, pause_on_game_mode=False)), NOON).signals == ()
    assert mark_of(game, Trigger.GAME_MODE) is None


def test_the_owners_click_waits_for_no_quiet_time_and_a_look_from_before_is_not_believed() -> None:
    state = at(ASKING[Trigger.FULL_SCREEN], NOON)
    off = update(state, m.OwnerTurnedSharing(on=False))[0]
    assert [(mark.began, mark.asking) for mark in off.signals] == [(NOON, False)]
    on = update(off, m.OwnerTurnedSharing(on=True))[0]
    assert on.presence == Presence() and on.gpu.reading == Reading() and reason(on) is Reason.LOOKING
    seen = update(on, m.PresenceSensed(Presence(full_screen=False)))[0]
    assert decide(seen) == Yes() and seen.signals[0].began == NOON
    twice = update(seen, m.OwnerTurnedSharing(on=True))[0]
    assert twice.presence == seen.presence and twice.looked, "said twice it forgets nothing"


def test_a_new_agent_knows_when_signals_last_asked_and_waits_for_none_of_them() -> None:
    before = at(ASKING[Trigger.HEAT], NOON)
    state = update(before, m.AgentStarted(NOON, Zone()))[0]
    assert state.signals == (Mark(Trigger.HEAT, NOON),) and not state.looked


def test_a_fault_of_the_card_stays_until_sharing_is_turned_on_again() -> None:
    state = update(a_state(), m.GpuFaulted("GPU-1", 79))[0]
    assert state.why.reason is Reason.GPU_FAULT and state.why.detail == "79"
    for message in (
        m.GpuMeasured("GPU-1", a_reading()), m.GpuFound(a_device()), m.OwnerTurnedSharing(on=True), m.ClockTicked(NOON + SECOND, Zone())
    ):
        state = update(state, message)[0]
        assert state.why.reason is Reason.GPU_FAULT, message
    assert update(a_state(), m.GpuFaulted("GPU-2", 79))[0].gpu.fault is None
    again = update(update(state, m.OwnerTurnedSharing(on=False))[0], m.OwnerTurnedSharing(on=True))[0]
    assert again.gpu.fault is None
    assert update(state, m.AgentStarted(NOON, Zone()))[0].gpu.fault is None


# --- the verdict depends on the state only

LOOKS = st.builds(
    Presence,
    idle_s=st.none() | st.floats(0, 10_000),
    locked=st.none() | st.booleans(),
    full_screen=st.none() | st.booleans(),
    game_mode=st.none() | st.booleans(),
    apps=st.none() | st.sampled_from([(), ("blender",)]),
    remote=st.none() | st.booleans(),
    on_battery=st.none() | st.booleans(),
)
CARDS = st.builds(
    Reading,
    memory_used_mb=st.none() | st.integers(0, 24_564),
    temperature=st.none() | st.integers(30, 100),
    foreign_load=st.none() | st.integers(0, 100),
    foreign_mb=st.none() | st.integers(0, 24_000),
)
JUMPS = st.timedeltas(-timedelta(days=3), timedelta(days=3))
READINGS = st.builds(m.GpuMeasured, st.just("GPU-1"), CARDS, st.floats(0, 2))
STEPS = st.lists(st.builds(m.PresenceSensed, LOOKS) | READINGS | JUMPS, max_size=12)
WEEKS = st.text("-as", min_size=336, max_size=336).map(Schedule)


Step = m.PresenceSensed | m.GpuMeasured | timedelta


def live(state: State, steps: Sequence[Step]) -> State:
    for step in steps:
        message = m.ClockTicked(state.now + step, state.zone) if isinstance(step, timedelta) else step
        state = update(state, message)[0]
    return state


@given(STEPS, WEEKS)
def test_the_verdict_is_the_same_however_often_it_is_asked_for(steps: list[Step], week: Schedule) -> None:
    """Level, not edge: marking and deciding again, or hearing the last word again, changes nothing."""
    state = live(replace(a_state(), settings=Settings(schedule=week)), steps)
    assert marked(state) == state
    again = update(state, m.ClockTicked(state.now, state.zone))[0]
    assert decide(again) == decide(state) and again.signals == state.signals
    for rule in RULES:
        if asks(state, rule) and state.sharing.on:
            assert owner_wants_gpu(state) is not None


@given(STEPS, st.timedeltas(-timedelta(days=400), timedelta(days=400)))
def test_after_any_jump_of_the_clock_a_quiet_owner_waits_for_the_longest_quiet_time_at_most(
    steps: list[Step], jump: timedelta
) -> None:
    state = live(a_state(), [*steps, jump])
    calm: list[Step] = [m.PresenceSensed(Presence(idle_s=9_999.0, locked=False)), m.GpuMeasured("GPU-1", Reading())]
    state = live(state, calm)
    verdict = owner_wants_gpu(state)
    longest = max(rule.hold for rule in RULES)
    if verdict is not None:
        assert verdict.why.until is not None and state.now < verdict.why.until <= state.now + longest
    assert owner_wants_gpu(live(state, [longest])) is None
    assert decide(live(state, [longest, *calm])) == Yes()


@given(LOOKS, st.timedeltas(-timedelta(days=400), timedelta(days=400)))
def test_a_signal_that_asks_is_heard_at_once_whatever_the_clock_did(look: Presence, jump: timedelta) -> None:
    state = live(a_state(), [jump, m.PresenceSensed(look)])
    wanted = [rule for rule in RULES if asks(state, rule)]
    verdict = owner_wants_gpu(state)
    assert (verdict is None) == (not wanted)
    assert verdict is None or verdict.trigger is wanted[0].trigger


# --- sleep, DST, nights, missed ticks


def test_after_a_sleep_nothing_new_is_begun_before_somebody_looked_but_what_runs_goes_on() -> None:
    asleep = live(away(a_state()), [m.PresenceSensed(Presence(idle_s=500.0))])
    assert decide(asleep) == Yes()
    woken = live(asleep, [timedelta(hours=8)])
    assert reason(woken) is Reason.LOOKING and owner_wants_gpu(woken) is None
    assert reason(live(woken, [m.PresenceSensed(Presence(idle_s=0.5))])) is Reason.OWNER_PRESENT
    assert decide(live(woken, [m.PresenceSensed(Presence(idle_s=30_000.0))])) == Yes()
    assert decide(live(asleep, [5 * SECOND])) == Yes(), "a missed tick is no sleep"
    assert reason(live(asleep, [-SECOND])) is Reason.LOOKING, "a clock that was set back may hide one"


def test_what_asked_before_a_sleep_asks_until_a_look_says_otherwise_and_is_then_waited_for() -> None:
    asleep = at(ASKING[Trigger.GAME_MODE], NOON)
    woken = live(asleep, [timedelta(hours=8)])
    assert reason(woken) is Reason.GAME_MODE
    looked = live(woken, [m.PresenceSensed(Presence(game_mode=False))])
    verdict = decide(looked)
    assert isinstance(verdict, No) and verdict.why.until == looked.now + RULE[Trigger.GAME_MODE].hold


def test_a_night_over_the_change_of_clocks_begins_and_ends_by_the_wall() -> None:
    """Berlin leaves summer time on 25 October 2026 at 01:00 UTC: from 22:00 to 07:00 that night is ten hours long."""
    winter = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    berlin = Zone("Europe/Berlin", 7_200, ((int(winter.timestamp()), 3_600),))
    night = "".join("s" if half < 14 or half >= 44 else "-" for half in range(48)) * 7
    state = replace(a_state(), zone=berlin, settings=Settings(schedule=Schedule(night)))
    evening = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    halves = [reason(replace(state, now=evening + timedelta(minutes=30) * half)) for half in range(-1, 22)]
    assert halves == [Reason.SCHEDULE, *[None] * 20, *[Reason.SCHEDULE] * 2]


def test_the_marks_of_a_clock_that_went_back_are_put_right() -> None:
    asked = at(ASKING[Trigger.FULL_SCREEN], NOON)
    back = NOON - timedelta(days=30)
    quiet = live(replace(asked, presence=Presence(full_screen=False)), [back - NOON])
    mark = quiet.signals[0]
    assert mark.last == back and held_until(quiet, RULE[Trigger.FULL_SCREEN]) == back + RULE[Trigger.FULL_SCREEN].hold
    assert held_until(replace(asked, now=back), RULE[Trigger.FULL_SCREEN]) is None
