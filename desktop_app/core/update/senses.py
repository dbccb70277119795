"""What the machine and the market's weather say: clock, GPU, presence, sandbox, disk, wallet, connection. Called by `update`."""

from dataclasses import replace

from desktop_app.core import messages as m
from desktop_app.core.bench import of_device, tier_in
from desktop_app.core.effects import Effect
from desktop_app.core.gpu import Reading, tier_of
from desktop_app.core.money import MicroUsd
from desktop_app.core.presence import Presence
from desktop_app.core.state import Gpu, Market, NoticeKind, Readiness, Reason, State, Why
from desktop_app.core.update.benchmark import weigh
from desktop_app.core.update.money import resume_cash_out
from desktop_app.core.update.owner import notice
from desktop_app.core.update.segment import sign
from desktop_app.core.update.work import resume_task

Sense = (
    m.AgentStarted | m.ClockTicked | m.TroubleArose | m.GpuFound | m.GpuMeasured | m.GpuWentMissing
    | m.PresenceSensed | m.SandboxTested | m.RuntimeFound | m.DiskFilled | m.WalletLocked | m.WalletOpened
    | m.PracticeFounded | m.MarketConnected | m.MarketLost | m.MarketPriced | m.MarketRegisteredGpu
)
_MarketWord = m.MarketConnected | m.MarketLost | m.MarketPriced | m.MarketRegisteredGpu
_GpuWord = m.GpuFound | m.GpuMeasured | m.GpuWentMissing


def hear(state: State, message: Sense) -> tuple[State, tuple[Effect, ...]]:
    """The state after a measurement; `AgentStarted` also asks again for everything the saved state owes."""
    match message:
        case m.AgentStarted(now, zone):
            return _start(replace(state, now=now, zone=zone))
        case m.ClockTicked(now, zone):
            return _tick(replace(state, now=now, zone=zone)), ()
        case m.TroubleArose(kind, detail):
            return notice(state, kind, detail), ()
        case m.GpuFound() | m.GpuMeasured() | m.GpuWentMissing():
            return _gpu(state, message), ()
        case m.PresenceSensed(presence):
            return replace(state, presence=presence), ()
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


def _tick(state: State) -> State:
    snooze = state.sharing.snoozed_until
    if snooze is not None and snooze <= state.now:
        return replace(state, sharing=replace(state.sharing, snoozed_until=None))
    return state


def _gpu(state: State, message: _GpuWord) -> State:
    gpu = state.gpu
    match message:
        case m.GpuMeasured(uuid, reading):
            if gpu.device is None or gpu.device.uuid != uuid:
                return state
            return replace(state, gpu=replace(gpu, reading=reading, trial=weigh(gpu.trial, reading), lost=False))
        case m.GpuWentMissing(uuid):
            if gpu.device is None or gpu.device.uuid != uuid:
                return state
            return replace(state, gpu=replace(gpu, reading=Reading(), lost=True))
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
