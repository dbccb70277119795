"""Whether the GPU is shared right now, and the one reason why not.

Rules are levels, not edges: the answer is worked out from the state as it is, so that it is right after a sleep, a missed
tick or a clock jump. Reasons are asked in the order in which an owner would want to hear them. Called by update after
every message.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from desktop_app.core.bench import Trial, TrialPhase, of_device, waiting
from desktop_app.core.gpu import DeviceKind, number_of
from desktop_app.core.money import Rate
from desktop_app.core.pricing import cost_per_hour, covers
from desktop_app.core.schedule import Cell, cell_at, next_change
from desktop_app.core.signals import INPUT, RULES, Rule, asks, held_until, switched_on
from desktop_app.core.state import Level, Reason, State, Trigger, Why

COOLDOWN_MOST = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Yes:
    """Share."""


@dataclass(frozen=True, slots=True)
class No:
    """Do not take a new task. With a trigger, give back the running one too."""

    why: Why
    trigger: Trigger | None = None


Verdict = Yes | No


def decide(state: State) -> Verdict:
    """The verdict for this instant."""
    return owner_wants_gpu(state) or not_ready(state) or Yes()


def owner_wants_gpu(state: State) -> No | None:
    """Why a running task must stop now, if it must."""
    return _owner_said(state) or _machine_needs(state) or _schedule_says(state)


def not_ready(state: State) -> No | None:
    """Why no new task can begin, if none can."""
    return (
        _device_missing(state) or _house_not_ready(state) or _market_not_ready(state) or _not_looked(state) or _not_worth_it(state)
    )


def watts(state: State) -> int:
    """The power the work draws: the live figure while it runs, else what the benchmark drew, else the tier's board power."""
    device, benchmark = state.gpu.device, state.gpu.benchmark
    if state.task is not None and state.gpu.reading.watts is not None:
        return state.gpu.reading.watts
    if device and benchmark and benchmark.record.watts is not None and of_device(benchmark.record, device):
        return benchmark.record.watts
    return device.board_watts if device else 0


def asking(state: State) -> Rate:
    """The lowest rate that is no loss: the electricity of an hour's work, and the owner's floor on top."""
    return Rate(cost_per_hour(watts(state), state.settings.tariff) + state.settings.floor)


def worth(state: State, rate: Rate) -> bool:
    """Whether work at this rate is no loss."""
    return covers(rate, watts(state), state.settings.tariff, state.settings.floor)


def registered(state: State) -> bool:
    """Whether the number on chain is this very device's, and not that of one which was here before."""
    gpu = state.gpu
    return gpu.chain_id is not None and (gpu.device is None or gpu.registered in ("", gpu.device.uuid))


def measured(state: State) -> bool:
    """Whether the device was benchmarked as it is now, with this driver and engine. The practice device needs no measurement."""
    device, benchmark = state.gpu.device, state.gpu.benchmark
    if device is None or device.kind is DeviceKind.PRACTICE:
        return True
    return benchmark is not None and of_device(benchmark.record, device) and benchmark.record.engine == state.readiness.engine


def _next_try(trial: Trial, now: datetime) -> datetime | None:
    return waiting(trial, now) if trial.phase is TrialPhase.RESTING else None


def _owner_said(state: State) -> No | None:
    if state.sharing.quitting:
        return No(Why(Reason.QUITTING), Trigger.QUIT)
    if not state.sharing.on:
        return No(Why(Reason.SHARING_OFF), Trigger.CLICK)
    until = state.sharing.snoozed_until
    if until is not None and until > state.now:
        return No(Why(Reason.SNOOZED, until), Trigger.SNOOZE)
    return None


def _machine_needs(state: State) -> No | None:
    """The first signal that asks for the GPU, or that has been quiet for too short a time."""
    for rule in RULES:
        if rule is not INPUT and (no := _signal_says(state, rule)) is not None:
            return no
    return None


def _signal_says(state: State, rule: Rule) -> No | None:
    if asks(state, rule):
        return No(Why(rule.reason, detail=rule.read(state).detail), rule.trigger)
    until = held_until(state, rule)
    return None if until is None else No(Why(rule.reason, until), rule.trigger)


def _schedule_says(state: State) -> No | None:
    schedule = state.settings.schedule
    cell = cell_at(schedule, state.now, state.zone)
    if cell is Cell.OFF:
        return No(Why(Reason.SCHEDULE, next_change(schedule, state.now, state.zone)), Trigger.SCHEDULE)
    if cell is Cell.ALWAYS or not switched_on(state.settings, INPUT):
        return None
    sign, until = INPUT.read(state), next_change(schedule, state.now, state.zone)
    if sign.asks is None:
        return No(Why(Reason.PRESENCE_UNKNOWN, until), Trigger.PRESENCE)
    return No(Why(Reason.OWNER_PRESENT, until), Trigger.PRESENCE) if sign.asks else None


def _device_missing(state: State) -> No | None:
    if state.gpu.device is None or (state.gpu.tier is None and state.gpu.benchmark is None):
        return No(Why(Reason.NO_GPU))
    if state.gpu.device.kind is DeviceKind.PRACTICE and state.settings.network != "practice":
        return No(Why(Reason.WRONG_NETWORK))
    return None


def _house_not_ready(state: State) -> No | None:
    ready = state.readiness
    if ready.level is None or ready.runtime is None:
        return No(Why(Reason.SANDBOX_TESTING))
    if not ready.runtime:
        return No(Why(Reason.NO_RUNTIME))
    if ready.level is not Level.ISOLATED:
        return No(Why(Reason.SANDBOX_NOT_READY, detail=ready.fix))
    if ready.disk_full:
        return No(Why(Reason.DISK_FULL))
    return None


def _market_not_ready(state: State) -> No | None:
    if not state.wallet.ready:
        return No(Why(Reason.WALLET_LOCKED))
    if not measured(state):
        return _cooling(state) or No(Why(Reason.MEASURING, _next_try(state.gpu.trial, state.now)))
    if state.gpu.tier is None:
        return No(Why(Reason.TOO_SLOW))
    if not state.market.connected or state.market.rate is None:
        return No(Why(Reason.MARKET_OFFLINE, detail=state.market.trouble))
    if not registered(state):
        return No(Why(Reason.REGISTERING))
    named, account = state.gpu.named, state.gpu.chain_id
    if named is not None and named.account != account:
        return No(Why(Reason.GPU_SOLD, detail=str(number_of(named.account))))
    return None


def _not_looked(state: State) -> No | None:
    return None if state.looked else No(Why(Reason.LOOKING))


def _not_worth_it(state: State) -> No | None:
    if state.sharing.finishing:
        return No(Why(Reason.FINISHING))
    cooling = _cooling(state)
    if cooling is None and not worth(state, state.market.rate or Rate(0)):
        return No(Why(Reason.PRICE_BELOW_FLOOR, detail=str(asking(state))))
    return cooling


def _cooling(state: State) -> No | None:
    # A pause further off than the longest one is left over from a clock that has since gone back.
    if state.now < state.cooldown.until <= state.now + COOLDOWN_MOST:
        return No(Why(Reason.COOLING_DOWN, state.cooldown.until))
    return None
