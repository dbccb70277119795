"""State in, what to show out: pure functions without Qt, so that every word and figure on screen can be tested.

Called by the shell for the tray and by the window for Home. Schedule's view is in `present_schedule`, the wallet's in `present_money`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from desktop_app.core import ledger
from desktop_app.core.gpu import DeviceKind
from desktop_app.core.money import net
from desktop_app.core.schedule import Zone
from desktop_app.core.snooze import MORNING_HOUR, tomorrow_morning
from desktop_app.core.state import Reason, State
from desktop_app.core.task import Phase, Task, segment_units
from desktop_app.ui.present_money import Figure, earned_today
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say


class Silence(StrEnum):
    """There is no state to show, and why."""

    STARTING = "starting"
    LOST = "lost"
    OTHER_VERSION = "other_version"


Heard = State | Silence
"""What the bridge last heard from the engine."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The engine's word on the passphrase just given."""

    ok: bool
    detail: str


class Look(StrEnum):
    """The five faces of the tray icon; each has a shape of its own."""

    OFF = "off"
    WAITING = "waiting"
    WORKING = "working"
    PAUSED = "paused"
    PROBLEM = "problem"


_LOOKS: dict[Reason, Look] = {
    Reason.SHARING_OFF: Look.OFF,
    Reason.QUITTING: Look.OFF,
    Reason.WORKING: Look.WORKING,
    Reason.WAITING_FOR_TASK: Look.WAITING,
    Reason.STARTING_UP: Look.WAITING,
    Reason.LOOKING: Look.WAITING,
    Reason.SANDBOX_TESTING: Look.WAITING,
    Reason.REGISTERING: Look.WAITING,
    Reason.MEASURING: Look.WAITING,
    Reason.TOO_SLOW: Look.PROBLEM,
    Reason.NO_GPU: Look.PROBLEM,
    Reason.NO_RUNTIME: Look.PROBLEM,
    Reason.SANDBOX_NOT_READY: Look.PROBLEM,
    Reason.DISK_FULL: Look.PROBLEM,
    Reason.WALLET_LOCKED: Look.PROBLEM,
    Reason.MARKET_OFFLINE: Look.PROBLEM,
    Reason.GPU_LOST: Look.PROBLEM,
    Reason.GPU_FAULT: Look.PROBLEM,
    Reason.WRONG_NETWORK: Look.PROBLEM,
    Reason.GPU_SOLD: Look.PROBLEM,
}
"""Every other reason is a pause that ends by itself."""

_PREPARING = frozenset({Reason.STARTING_UP, Reason.LOOKING, Reason.SANDBOX_TESTING, Reason.REGISTERING, Reason.MEASURING})
_GAUGES = ("gauge.utilisation", "gauge.memory", "gauge.temperature", "gauge.power")
_SILENT_HEADLINES = {Silence.STARTING: "headline.starting", Silence.LOST: "headline.silent", Silence.OTHER_VERSION: "headline.problem"}


@dataclass(frozen=True, slots=True)
class Status:
    """The part every screen shows: the face, two words, one sentence, and what may be clicked."""

    look: Look
    headline: str
    why: str
    live: bool  # the engine answers, so that clicks have an effect
    practice: bool
    on: bool = False
    snoozed: bool = False
    finishing: bool = False
    can_finish: bool = False
    locked: bool = False  # the wallet waits for a passphrase


@dataclass(frozen=True, slots=True)
class Gauge:
    """One measured figure. `fraction` is None where the figure has no natural end, or is not known."""

    name: str
    text: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """The running task in plain words. `fraction` is None until the worker has spoken."""

    title: str
    phase: str
    fraction: float | None
    percent: str
    facts: str


@dataclass(frozen=True, slots=True)
class HomeView:
    """Everything on Home."""

    status: Status
    welcome: str
    device: str
    gauges: tuple[Gauge, ...]
    task: TaskView | None
    stats: tuple[Figure, Figure, Figure]
    notice: str


def look(heard: Heard) -> Look:
    """Which face fits."""
    if isinstance(heard, Silence):
        return Look.WAITING if heard is Silence.STARTING else Look.PROBLEM
    return _LOOKS.get(heard.why.reason, Look.PAUSED)


def status(heard: Heard) -> Status:
    """The face and the sentence, for the tray and the window's frame."""
    face = look(heard)
    if isinstance(heard, Silence):
        return Status(face, say(_SILENT_HEADLINES[heard]), say(f"silence.{heard}"), live=False, practice=False)
    sharing, until = heard.sharing, heard.sharing.snoozed_until
    return Status(
        face,
        say("headline.preparing") if heard.why.reason in _PREPARING else say(f"headline.{face}"),
        phrases.why(heard),
        live=True,
        practice=heard.settings.network == "practice",
        on=sharing.on,
        snoozed=until is not None and until > heard.now,
        finishing=sharing.finishing,
        locked=not heard.wallet.ready and heard.wallet.needs_passphrase,
        can_finish=sharing.on and not sharing.finishing and heard.task is not None,
    )


def snooze_label(span: timedelta | None) -> str:
    """A pause in words; None is until tomorrow morning."""
    if span is None:
        return say("snooze.tomorrow", time=f"{MORNING_HOUR:02d}:00")
    minutes = int(span.total_seconds()) // 60
    if minutes < 60:
        return say("snooze.minutes", count=str(minutes))
    return say("snooze.hour") if minutes == 60 else say("snooze.hours", count=str(minutes // 60))


def snooze_until(span: timedelta | None, now: datetime, heard: Heard) -> datetime:
    """The instant at which a pause that begins `now` ends."""
    if span is not None:
        return now + span
    return tomorrow_morning(now, Zone() if isinstance(heard, Silence) else heard.zone)


def balloon(before: State, after: State) -> str:
    """What is worth a word while the window is closed: the GPU is back, or the day's first money came; else nothing."""
    last = max((record.at for record in before.give_backs), default=0.0)
    fresh = next((record for record in after.give_backs if record.at > last), None)
    if fresh is not None:
        if fresh.held:
            return say("balloon.held")
        return say("balloon.stopped" if fresh.vram_free_ms is None else "balloon.back", time=phrases.seconds(fresh.back_ms))
    days, known = after.wallet.by_day, before.wallet.by_day
    if days and days[-1][0] > max((day for day, _ in known), default=""):
        return say("balloon.paid", amount=phrases.money(days[-1][1]))
    return ""


def home(heard: Heard) -> HomeView:
    """Home, from the state or from its absence."""
    if isinstance(heard, Silence):
        return _unknown_home(heard)
    return HomeView(
        status(heard),
        _welcome(heard),
        _device(heard),
        _gauges(heard),
        None if heard.task is None else _task(heard, heard.task),
        (_today(heard), _rate(heard), _give_back(heard)),
        phrases.notice(heard.notices[0]) if heard.notices else "",
    )


def _unknown_home(silence: Silence) -> HomeView:
    """What is not known is not shown as nothing."""
    load, memory, heat, power = (Gauge(say(key), say("unknown")) for key in _GAUGES)
    today, rate, back = (Figure(say(key), say("unknown")) for key in ("home.today", "home.rate", "home.back"))
    return HomeView(status(silence), "", "", (load, memory, heat, power), None, (today, rate, back), "")


def _welcome(state: State) -> str:
    if state.sharing.on or state.history or state.task is not None:
        return ""
    return say("home.first_run_practice" if state.settings.network == "practice" else "home.first_run")


def _device(state: State) -> str:
    device = state.gpu.device
    if device is None:
        return say("home.gpu.none")
    return say("device.practice" if device.kind is DeviceKind.PRACTICE else "device.nvidia", name=phrases.plain(device.name))


def _gauges(state: State) -> tuple[Gauge, ...]:
    reading, device = state.gpu.reading, state.gpu.device
    none = say("gauge.none")
    load = Gauge(say("gauge.utilisation"), none)
    if reading.utilisation is not None:
        load = Gauge(load.name, say("gauge.percent", value=str(reading.utilisation)), reading.utilisation / 100)
    memory = Gauge(say("gauge.memory"), none)
    if reading.memory_used_mb is not None and device is not None and device.memory_mb > 0:
        figures = {"used": f"{reading.memory_used_mb / 1024:.1f}", "all": f"{device.memory_mb / 1024:.1f}"}
        memory = Gauge(memory.name, say("gauge.memory.value", **figures), reading.memory_used_mb / device.memory_mb)
    heat = Gauge(say("gauge.temperature"), none)
    if reading.temperature is not None:
        text = say("gauge.temperature.value", value=str(reading.temperature))
        heat = Gauge(heat.name, text, reading.temperature / state.settings.temperature_limit)
    power = Gauge(say("gauge.power"), none)
    if reading.watts is not None:
        fraction = reading.watts / device.board_watts if device is not None and device.board_watts else None
        power = Gauge(power.name, say("gauge.power.value", value=str(reading.watts)), fraction)
    return load, memory, heat, power


def _task(state: State, task: Task) -> TaskView:
    manifest, progress = task.lease.manifest, task.progress
    worth = net(segment_units(manifest, task.first_step, manifest.steps), task.lease.rate, state.market.fee_bps)
    facts = [phrases.phase(task.phase), say("task.worth", amount=phrases.money(worth))]
    if progress is None or progress.of <= 0:
        return TaskView(phrases.kind(manifest.kind), facts[0], None, "", " · ".join(facts))
    fraction = min(1.0, progress.step / progress.of)
    facts.insert(1, say("task.steps", step=f"{progress.step:,}", of=f"{progress.of:,}"))
    if task.phase is Phase.RUNNING and progress.step_ms is not None:
        left = (progress.of - progress.step) * progress.step_ms / 1000
        facts.insert(1, say("task.left", left=phrases.duration(left)) if left >= 1 else say("task.soon"))
    percent = say("gauge.percent", value=str(int(fraction * 100)))
    return TaskView(phrases.kind(manifest.kind), facts[0], fraction, percent, " · ".join(facts))


def _today(state: State) -> Figure:
    waiting = ledger.pending(state)
    hint = say("home.today.pending", amount=phrases.money(waiting)) if waiting else say("home.today.nothing_pending")
    return Figure(say("home.today"), phrases.money(earned_today(state)), hint)


def _rate(state: State) -> Figure:
    rate, floor = state.market.rate, state.settings.floor
    beside = say("home.rate.floor", floor=phrases.rate(floor)) if floor else say("home.rate.no_floor")
    return Figure(say("home.rate"), phrases.rate(rate) if rate is not None else say("home.rate.none"), beside)


def _give_back(state: State) -> Figure:
    if not state.give_backs:
        return Figure(say("home.back"), say("home.back.none"), say("home.back.none.hint"))
    last = state.give_backs[0]
    hint = say("home.back.hint", trigger=phrases.trigger(last.trigger), when=phrases.ago(last.at, state.now, state.zone))
    label = "home.back.stopped" if last.vram_free_ms is None else "home.back.free"
    return Figure(say(label), phrases.seconds(last.back_ms), hint)


