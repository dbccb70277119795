"""What the machine and the market's weather say: clock, GPU, presence, sandbox, disk, wallet, connection. Called by `update`."""

from dataclasses import replace
from datetime import datetime, timedelta

from desktop_app.core import messages as m
from desktop_app.core.bench import TrialPhase, of_device, tier_in
from desktop_app.core.effects import Effect
from desktop_app.core.gpu import Foreign, Reading, follow_foreign, tier_of
from desktop_app.core.money import MicroUsd
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.signals import forgotten
from desktop_app.core.state import Gpu, Market, NoticeKind, Readiness, Reason, State, Warmth, Why
from desktop_app.core.task import Phase
from desktop_app.core.update.benchmark import weigh
from desktop_app.core.update.money import resume_cash_out
from desktop_app.core.update.owner import notice
from desktop_app.core.update.segment import sign
from desktop_app.core.update.supervision import faulted
from desktop_app.core.update.work import resume_task

Sense = (
    m.AgentStarted | m.ClockTicked | m.TroubleArose | m.GpuFound | m.GpuMeasured | m.GpuWentMissing
    | m.GpuFaulted | m.MemoryMeasured | m.PresenceSensed | m.ProgramsListed
    | m.SandboxTested | m.RuntimeFound | m.DiskFilled | m.WalletLocked | m.WalletOpened
    | m.PracticeFounded | m.MarketConnected | m.MarketLost | m.MarketPriced | m.MarketRegisteredGpu
)
_MarketWord = m.MarketConnected | m.MarketLost | m.MarketPriced | m.MarketRegisteredGpu
_GpuWord = m.GpuFound | m.GpuMeasured | m.GpuWentMissing


ONE_STRETCH = timedelta(seconds=5)  # ticks further apart than this were not spent awake
_COMING_OR_GOING = (Phase.STARTING, Phase.RETURNING, Phase.DROPPING)


def hear(state: State, message: Sense) -> tuple[State, tuple[Effect, ...]]:
    """The state after a measurement; `AgentStarted` also asks again for everything the saved state owes."""
    match message:
        case m.AgentStarted(now, zone):
            return _start(replace(state, now=now, zone=zone))
        case m.ClockTicked(now, zone):
            return _tick(state, now, zone), ()
        case m.TroubleArose(kind, detail):
            return notice(state, kind, detail), ()
        case m.GpuFound() | m.GpuMeasured() | m.GpuWentMissing() | m.GpuFaulted() | m.MemoryMeasured():
            return _machine(state, message)
        case m.PresenceSensed() | m.ProgramsListed():
            return _desk(state, message), ()
        case m.SandboxTested(level, checks, fix):
            readiness = replace(state.readiness, level=level, checks=checks, fix=fix, testing=False, tested=state.now)
            return replace(state, readiness=readiness), ()
        case m.RuntimeFound(present, engine):
            return replace(state, readiness=replace(state.readiness, runtime=present, engine=engine)), ()
        case m.DiskFilled(full):
            state = replace(state, readiness=replace(state.readiness, disk_full=full))
            return (notice(state, NoticeKind.DISK_FULL, "") if full else state), ()
        case m.WalletLocked(address, operator):
            wallet = replace(state.wallet, ready=False, address=address, operator=operator, needs_passphrase=True)
            return replace(state, wallet=wallet), ()
        case m.WalletOpened(address, operator, needs_passphrase):
            wallet = replace(state.wallet, ready=True, address=address, operator=operator, needs_passphrase=needs_passphrase)
            return sign(replace(state, wallet=wallet))
        case m.PracticeFounded(escrow):
            return _founded(state, escrow), ()
        case _:
            return _market(state, message), ()


def _founded(state: State, escrow: str) -> State:
    """On a practice network that was founded anew nothing of the old one is known: neither the GPU nor the test money."""
    wallet = replace(state.wallet, practice=escrow)
    if state.wallet.practice in ("", escrow):
        return replace(state, wallet=wallet)
    return replace(
        state,
        wallet=replace(wallet, balance=None, paid=MicroUsd(0), by_day=(), payouts=(), block=0),
        gpu=replace(state.gpu, chain_id=None, registered="", asked=None, named=None),
        history=(),
        accounts=(),
    )


def _start(state: State) -> tuple[State, tuple[Effect, ...]]:
    state = replace(
        state,
        gpu=Gpu(
            chain_id=state.gpu.chain_id, registered=state.gpu.registered, named=state.gpu.named, benchmark=state.gpu.benchmark
        ),
        presence=Presence(),
        looked=False,
        signals=forgotten(state.signals),
        awake_until=None,
        warmth=Warmth(),
        capped_watts=0,
        readiness=Readiness(),
        market=Market(),
        offered=None,
        why=Why(Reason.STARTING_UP),
        sharing=replace(state.sharing, quitting=False, quit_by=None),
        wallet=replace(state.wallet, ready=False, chain_ok=False),
    )
    state, work = resume_task(state)
    state, money = resume_cash_out(state)
    return state, (*work, *money)


def _tick(state: State, now: datetime, zone: Zone) -> State:
    if not state.now <= now <= state.now + ONE_STRETCH:  # the machine slept, or its clock was set
        state = replace(state, looked=False)
    state, snooze = replace(state, now=now, zone=zone), state.sharing.snoozed_until
    if snooze is not None and snooze <= state.now:
        return replace(state, sharing=replace(state.sharing, snoozed_until=None))
    return state


def _desk(state: State, message: m.PresenceSensed | m.ProgramsListed) -> State:
    if isinstance(message, m.ProgramsListed):
        return replace(state, programs=message.names)
    return replace(state, presence=message.presence, looked=True)


def _machine(state: State, message: _GpuWord | m.GpuFaulted | m.MemoryMeasured) -> tuple[State, tuple[Effect, ...]]:
    match message:
        case m.MemoryMeasured(free_mb):
            return replace(state, warmth=replace(state.warmth, free_mb=free_mb)), ()
        case m.GpuFaulted(uuid, xid):
            ours = state.gpu.device is not None and state.gpu.device.uuid == uuid
            return faulted(state, xid) if ours else (state, ())
        case _:
            return _gpu(state, message), ()


def _measured(state: State, reading: Reading, since_s: float) -> State:
    gpu, task = state.gpu, state.task
    # A worker's memory is taken for a stranger's until its process is known, and after it was told to end.
    settling = gpu.trial.phase is not TrialPhase.RESTING or (task is not None and task.phase in _COMING_OR_GOING)
    foreign = follow_foreign(gpu.foreign, reading, int(state.now.timestamp()), since_s, settling=settling)
    return replace(state, gpu=replace(gpu, reading=reading, foreign=foreign, trial=weigh(gpu.trial, reading), lost=False))


def _gpu(state: State, message: _GpuWord) -> State:
    gpu = state.gpu
    match message:
        case m.GpuMeasured(uuid, reading, since_s):
            if gpu.device is None or gpu.device.uuid != uuid:
                return state
            return _measured(state, reading, since_s)
        case m.GpuWentMissing(uuid):
            if gpu.device is None or gpu.device.uuid != uuid:
                return state
            return replace(state, gpu=replace(gpu, reading=Reading(), foreign=Foreign(), lost=True))
        case _:
            device = message.device
            known = gpu.benchmark if gpu.benchmark and of_device(gpu.benchmark.record, device) else None
            tier = tier_in(known.record) if known else tier_of(device)
            return replace(state, gpu=replace(gpu, device=device, tier=tier, benchmark=known, lost=False))


def _market(state: State, message: _MarketWord) -> State:
    match message:
        case m.MarketConnected(fee_bps):
            gpu = state.gpu if state.market.connected else replace(state.gpu, asked=None)
            return replace(state, gpu=gpu, market=replace(state.market, connected=True, fee_bps=fee_bps, trouble=""))
        case m.MarketLost(detail):
            # The offer dies with the connection; a running task goes on, its lease is kept as long as the market waits.
            return replace(state, offered=None, market=replace(state.market, connected=False, trouble=detail))
        case m.MarketPriced(rate, epoch):
            return replace(state, market=replace(state.market, rate=rate, epoch=epoch))
        case _:
            if state.gpu.device is None or state.gpu.device.uuid != message.uuid:
                return state
            named = state.gpu.named if state.gpu.chain_id == message.chain_id else None
            return replace(state, gpu=replace(state.gpu, chain_id=message.chain_id, registered=message.uuid, named=named))
