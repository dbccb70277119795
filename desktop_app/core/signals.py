"""The owner's signals: what each one says now, and for how long it must have been quiet before sharing resumes.

One table, in the order in which an owner would want to hear them. A signal is a level: it is read from the newest look, never
from a change. What has to be remembered is one mark for each: when it last began to ask for the GPU (kept, for the owner to
see), and the last instant at which it did (for the quiet time). Read by the policy, `update.settle` and the page of signals.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desktop_app.core.bench import TrialPhase
from desktop_app.core.gpu import FOREIGN_BUSY_S, DeviceKind
from desktop_app.core.schedule import Cell, cell_at
from desktop_app.core.settings import Settings
from desktop_app.core.state import Mark, Reason, State, Trigger

COOLER_BY = 8  # degrees below the limit before a hot GPU is shared again


@dataclass(frozen=True, slots=True)
class Sign:
    """What a signal says now. `asks` is None where this system does not tell; `detail` is the figure or name to show."""

    asks: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One signal: what it takes the GPU back as, the setting that turns it off ("": it protects the card), its quiet time."""

    trigger: Trigger
    reason: Reason
    switch: str
    hold: timedelta
    read: Callable[[State], Sign]


def _fault(state: State) -> Sign:
    return Sign(state.gpu.fault is not None, str(state.gpu.fault or ""))  # HELD is no number to look up


def _lost(state: State) -> Sign:
    return Sign(state.gpu.lost)


def _heat(state: State) -> Sign:
    degrees, mark = state.gpu.reading.temperature, mark_of(state, Trigger.HEAT)
    if degrees is None:
        return Sign(None)
    limit = state.settings.temperature_limit
    return Sign(degrees >= (limit - COOLER_BY if mark is not None and mark.asking else limit), str(degrees))


def _apps(state: State) -> Sign:
    running = state.presence.apps
    return Sign(None) if running is None else Sign(bool(running), running[0] if running else "")


def _foreign(state: State) -> Sign:
    reading, foreign = state.gpu.reading, state.gpu.foreign
    if reading.foreign_load is None and reading.foreign_mb is None:
        return Sign(None)
    busy = foreign.busy_s is not None and foreign.busy_s >= FOREIGN_BUSY_S
    return Sign(busy or foreign.grown, reading.foreign_name)


def _vram(state: State) -> Sign:
    device, used = state.gpu.device, state.gpu.reading.memory_used_mb
    if state.gpu.trial.phase is not TrialPhase.RESTING:
        used = state.gpu.reading.foreign_mb  # the benchmark fills the card, but for the reserve, to see how much there is
    if device is None or device.kind is DeviceKind.PRACTICE or used is None:
        return Sign(None)
    left = device.memory_mb - used
    return Sign(left < state.settings.vram_reserve_mb, str(left))


def _input(state: State) -> Sign:
    idle = state.presence.idle_s
    if state.presence.locked:
        return Sign(False)
    return Sign(None) if idle is None else Sign(idle < state.settings.idle_after_s, str(int(idle)))


_NONE, _SHORT, _LONG = timedelta(0), timedelta(seconds=10), timedelta(seconds=30)

RULES: tuple[Rule, ...] = (
    Rule(Trigger.GPU_FAULT, Reason.GPU_FAULT, "", _NONE, _fault),
    Rule(Trigger.GPU_LOST, Reason.GPU_LOST, "", _SHORT, _lost),
    Rule(Trigger.BATTERY, Reason.ON_BATTERY, "pause_on_battery", _SHORT, lambda state: Sign(state.presence.on_battery)),
    Rule(Trigger.HEAT, Reason.TOO_HOT, "", _NONE, _heat),  # its quiet time is counted in degrees
    Rule(Trigger.REMOTE_DESKTOP, Reason.REMOTE_DESKTOP, "pause_on_remote_desktop", _SHORT, lambda state: Sign(state.presence.remote)),
    Rule(Trigger.APP, Reason.APP_RUNNING, "pause_on_apps", _SHORT, _apps),
    Rule(Trigger.GAME_MODE, Reason.GAME_MODE, "pause_on_game_mode", _SHORT, lambda state: Sign(state.presence.game_mode)),
    # A player who looks something up leaves the full screen for a moment, and a game between two levels leaves the card.
    Rule(Trigger.FULL_SCREEN, Reason.FULL_SCREEN, "pause_on_full_screen", _LONG, lambda state: Sign(state.presence.full_screen)),
    Rule(Trigger.FOREIGN_USE, Reason.FOREIGN_USE, "pause_on_foreign_use", _LONG, _foreign),
    Rule(Trigger.VRAM, Reason.VRAM_RESERVE, "pause_on_vram", _SHORT, _vram),
    Rule(Trigger.PRESENCE, Reason.OWNER_PRESENT, "pause_on_input", _NONE, _input),  # its quiet time is the owner's `idle_after_s`
)
INPUT = RULES[-1]


def switched_on(settings: Settings, rule: Rule) -> bool:
    """Whether the owner lets this signal take the GPU back."""
    return not rule.switch or bool(getattr(settings, rule.switch))


def counts(state: State, rule: Rule) -> bool:
    """Whether a signal matters at this hour: a key or a mouse only where the schedule says "when I'm away"."""
    if not switched_on(state.settings, rule):
        return False
    return rule is not INPUT or cell_at(state.settings.schedule, state.now, state.zone) is Cell.AWAY


def asks(state: State, rule: Rule) -> bool:
    """Whether this signal asks for the GPU now."""
    return counts(state, rule) and rule.read(state).asks is True


def held_until(state: State, rule: Rule) -> datetime | None:
    """Until when a signal that went quiet still keeps the GPU from being shared; None if it does not."""
    mark = mark_of(state, rule.trigger)
    if mark is None or not counts(state, rule):
        return None
    end = mark.last + rule.hold
    # A mark from the future is left over from a clock that has since gone back; the next one puts it right.
    return end if state.now < end <= state.now + rule.hold else None


def mark_of(state: State, trigger: Trigger) -> Mark | None:
    """What is remembered of a signal; None if it never asked."""
    return next((mark for mark in state.signals if mark.trigger is trigger), None)


def marked(state: State) -> State:
    """The state with every signal's mark as of now. Marking twice marks no more."""
    marks = tuple(mark for rule in RULES if (mark := _mark(state, rule)) is not None)
    return state if marks == state.signals else replace(state, signals=marks)


def forgotten(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """The marks with nothing but what is kept for the owner to see: no quiet time is left to wait for."""
    return tuple(Mark(mark.trigger, mark.began) for mark in marks)


def _mark(state: State, rule: Rule) -> Mark | None:
    mark, now = mark_of(state, rule.trigger), state.now
    if not state.sharing.on or not asks(state, rule):
        return mark and replace(mark, asking=False, last=min(mark.last, now))
    again = mark is None or (not mark.asking and held_until(state, rule) is None)
    return Mark(rule.trigger, now if mark is None or again else mark.began, now, asking=True)
