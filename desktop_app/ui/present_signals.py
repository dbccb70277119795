"""The signals page as a view: the table of signals, the owner's programs, the limits, the log of give-backs. Pure; called by that page."""

from dataclasses import dataclass

from desktop_app.core.settings import SETTINGS, Settings, app_names
from desktop_app.core.signals import RULES, Rule, asks, switched_on
from desktop_app.core.state import GiveBackRecord, State, Trigger
from desktop_app.ui.present import Heard, Silence
from desktop_app.wire import phrases, signals
from desktop_app.wire.phrases import say, words

BACKS_SHOWN = 10
IDLES_S = (30, 60, 120, 180, 300, 600, 900, 1_800, 3_600)
_STEPS = {"vram_reserve_mb": 256, "power_cap_watts": 10}
LIMITS = ("idle_after_s", "temperature_limit", "vram_reserve_mb", "power_cap_watts")
_ORDER = (
    Trigger.PRESENCE, Trigger.FULL_SCREEN, Trigger.GAME_MODE, Trigger.APP, Trigger.FOREIGN_USE, Trigger.VRAM, Trigger.REMOTE_DESKTOP,
    Trigger.BATTERY, Trigger.HEAT, Trigger.GPU_LOST, Trigger.GPU_FAULT,
)  # fmt: skip
_READ = sorted(RULES, key=lambda rule: _ORDER.index(rule.trigger))
"""As an owner reads them: what can be switched, the most usual first, then what is always on."""

_DECLARED = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One signal. `switch` is the setting that turns it off, "" where there is none; `asking`: it has the GPU now."""

    name: str
    switch: str
    on: bool
    now: str
    last: str
    asking: bool
    spoken: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure to set, by typing or, where `choices` (value, words) are given, by choosing. `none` is what zero is called."""

    setting: str
    name: str
    value: int
    least: int
    most: int
    unit: str = ""
    step: int = 1
    none: str = ""
    hint: str = ""
    choices: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BackRow:
    """One give-back: when, what took it, how long it took, and where the time went."""

    when: str
    trigger: str
    took: str
    steps: str


@dataclass(frozen=True, slots=True)
class SignalsView:
    """Everything on Signals."""

    live: bool
    practice: bool
    rows: tuple[SignalRow, ...]
    apps: tuple[str, ...]
    programs: tuple[str, ...]  # run now and are not on the list
    limits: tuple[Limit, ...]
    keep_awake: bool
    backs: tuple[BackRow, ...]


def view(heard: Heard, known: State | None = None) -> SignalsView:
    """The signals page; while the engine is silent, with the settings and the log that were `known` last."""
    if isinstance(heard, Silence):
        last = known or State()
        rows = tuple(_row(last, rule, live=False) for rule in _READ)
        return SignalsView(False, False, rows, app_names(last.settings), (), _limits(last), last.settings.keep_awake, _backs(last))
    apps = app_names(heard.settings)
    listed = {app.casefold() for app in apps}
    return SignalsView(
        live=True,
        practice=heard.settings.network == "practice",
        rows=tuple(_row(heard, rule, live=True) for rule in _READ),
        apps=apps,
        programs=tuple(phrases.plain(one) for one in heard.programs if one.casefold() not in listed),
        limits=_limits(heard),
        keep_awake=heard.settings.keep_awake,
        backs=_backs(heard),
    )


def _row(state: State, rule: Rule, *, live: bool) -> SignalRow:
    name, now, last = signals.name(rule), say("unknown"), say("unknown")
    if live:
        now, last = signals.now(state, rule), signals.last(state, rule)
    asking = live and state.sharing.on and asks(state, rule)
    spoken = say("signals.spoken", name=name, now=now, last=last)
    return SignalRow(name, rule.switch, switched_on(state.settings, rule), now, last, asking, spoken)


def _limits(state: State) -> tuple[Limit, ...]:
    return tuple(_limit(state.settings, name) for name in LIMITS)


def _limit(settings: Settings, name: str) -> Limit:
    declared, value, title = _DECLARED[name], getattr(settings, name), say(f"signals.limit.{name}")
    if name == "idle_after_s":
        choices = tuple((one, phrases.duration(one)) for one in sorted({*IDLES_S, value}))
        return Limit(name, title, value, declared.least, declared.most, choices=choices)
    none, hint = (words().get(f"signals.limit.{name}.{more}", "") for more in ("none", "hint"))
    return Limit(name, title, value, declared.least, declared.most, say(f"signals.unit.{name}"), _STEPS.get(name, 1), none, hint)


def _backs(state: State) -> tuple[BackRow, ...]:
    return tuple(_back(state, record) for record in state.give_backs[:BACKS_SHOWN])


def _back(state: State, record: GiveBackRecord) -> BackRow:
    when, took = phrases.ago(record.at, state.now, state.zone), phrases.give_back(record)
    return BackRow(when, phrases.trigger(record.trigger), took, phrases.give_back_steps(record))
