"""Every message may arrive twice: the second changes nothing more and asks for nothing that cannot be undone."""

from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import get_args

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.bench import Trial, TrialPhase
from desktop_app.core.cashout import Stage
from desktop_app.core.gpu import Named
from desktop_app.core.keeping import Keeping
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Level, Market, NoticeKind, Readiness, Sharing, State
from desktop_app.core.task import Phase, Progress
from desktop_app.core.update import update
from desktop_app.core.update.benchmark import BENCHMARK
from desktop_app.wire.codec import decode_state, durable, encode_state
from tests.builders import (
    ADDRESS,
    JOB,
    NOON,
    OPERATOR,
    OTHER_ADDRESS,
    RTX_4090,
    a_benchmark,
    a_blob,
    a_cash_out,
    a_checkpoint,
    a_device,
    a_give_back,
    a_gpu,
    a_lease,
    a_manifest,
    a_payout,
    a_quote,
    a_reading,
    a_record,
    a_state,
    a_task,
    a_wallet,
    an_account,
)
from tests.core.update.hearing import HELD, delivering, handing_back

LATER = NOON + timedelta(minutes=5)

MESSAGES: tuple[m.Message, ...] = (
    m.OwnerTurnedSharing(on=True),
    m.OwnerTurnedSharing(on=False),
    m.OwnerSnoozed(LATER),
    m.OwnerSnoozed(None),
    m.OwnerAskedFinish(),
    m.OwnerChangedSettings((("floor", 100_000), ("tariff", -1))),
    m.OwnerAskedCashOut("c2", OTHER_ADDRESS, MicroUsd(0)),
    m.OwnerConfirmedCashOut("c1"),
    m.OwnerCancelledCashOut("c1"),
    m.OwnerAskedPrograms(),
    m.OwnerDismissedNotices(),
    m.OwnerQuit(),
    m.AgentStarted(LATER, Zone()),
    m.ClockTicked(LATER, Zone("UTC", 3_600)),
    m.ClockTicked(NOON - timedelta(days=400), Zone()),
    m.TroubleArose(NoticeKind.TROUBLE, "broken"),
    m.PracticeFounded("0x" + "ee" * 20),
    m.GpuFound(a_device()),
    m.GpuFound(a_device(uuid="GPU-2")),
    m.GpuMeasured("GPU-1", a_reading(temperature=95)),
    m.GpuWentMissing("GPU-1", "off the bus"),
    m.GpuFaulted("GPU-1", 79),
    m.GpuFaulted("GPU-1", 13),
    m.MemoryMeasured(8_192),
    m.WorkerCooled("it ended by itself"),
    m.PresenceSensed(Presence(full_screen=True)),
    m.PresenceSensed(Presence(idle_s=9_999.0, on_battery=False)),
    m.ProgramsListed(("hades",)),
    m.SandboxTested(Level.ISOLATED, ()),
    m.SandboxTested(Level.NONE, (), "a fix"),
    m.RuntimeFound(present=True),
    m.RuntimeFound(present=False),
    m.DiskFilled(full=True),
    m.DiskFilled(full=False),
    m.WalletLocked(ADDRESS, OPERATOR),
    m.WalletOpened(ADDRESS, OPERATOR, needs_passphrase=False),
    m.MarketConnected(10),
    m.MarketLost("no answer"),
    m.MarketPriced(Rate(300_000), 4),
    m.MarketRegisteredGpu("GPU-1", 9),
    m.MarketLeased(a_lease()),
    m.MarketLeased(a_lease(a_manifest("task-2"))),
    m.MarketRefusedTask("task-1", "a pickle"),
    m.BundleFetched("task-1"),
    m.LeaseLost("task-1", "gone"),
    m.ReceiptSigned(delivering().outbox[0]),
    m.ReceiptSigned(handing_back().outbox[0]),
    m.ReceiptDelivered("task-1", 100),
    m.ReceiptDelivered("task-1", 40),
    m.VoucherArrived(JOB, Units(1_000), Rate(400_000), 10, "0xroot", "0xsig", ("task-1",)),
    m.RenterRejectedResult("task-1", "wrong"),
    m.WorkerStarted("task-1", 4_242),
    m.WorkerProgressed("task-1", Progress(7, 100)),
    m.CheckpointStored("task-1", a_checkpoint(70)),
    m.WorkerFinished("task-1", (a_blob("model"),), ()),
    m.GpuGivenBack(a_give_back(), a_checkpoint(80)),
    m.BenchmarkSigned(a_benchmark()),
    m.WorkerFinished(BENCHMARK, (), tuple(asdict(RTX_4090).items())),
    m.WorkerFailed(BENCHMARK, "signal 11"),
    m.GpuGivenBack(replace(a_give_back(), task_id=BENCHMARK), None),
    m.ChainPaid(a_payout(), Units(1_000)),
    m.ChainSaid(MicroUsd(9), 12),
    m.ChainLost("no answer"),
    m.ChainNamedGpu(7, 3_000),
    m.ChainNamedGpu(7 + (1 << 40), 0),
    m.ChainSaidJob(JOB, int(LATER.timestamp())),
    m.ChainClosedJob(JOB),
    m.RedeemFailed((JOB,), False, "no answer"),
    m.RedeemFailed((JOB,), True, "no ether"),
    m.CarrierFailed("c1", False, "no answer"),
    m.CarrierFailed("c1", True, "no ether"),
    m.CashOutQuoted("c1", a_quote()),
    m.CashOutRefused("c1", "too small"),
    m.CashOutSigned("c1", "0x99"),
    m.CashOutSent("c1", "0xtx"),
    m.CashOutConfirmed("c1", "0xtx", 2),
    m.CashOutFailed("c1", "ran out"),
)
CRASHED = m.WorkerFailed("task-1", "signal 11")

_BEFORE: tuple[State, ...] = (
    State(),
    a_state(),
    a_state(sharing=Sharing(on=False)),
    a_state(sharing=Sharing(on=True, finishing=True), task=a_task()),
    a_state(gpu=a_gpu(chain_id=None), market=Market(), readiness=Readiness()),
    delivering(),
    handing_back(),
    a_state(history=(a_record(),), accounts=(an_account(vouched=1_000),), wallet=a_wallet(ready=False)),
    *(a_state(task=a_task(phase, checkpoint=a_checkpoint())) for phase in HELD),
    a_state(task=a_task(Phase.READY), readiness=Readiness()),
    a_state(accounts=(an_account(vouched=1_000, keeping=Keeping(until=int(LATER.timestamp()))),)),
    a_state(gpu=a_gpu(named=Named(7 + (1 << 40)))),
    *(a_state(gpu=replace(a_gpu(), benchmark=None, trial=Trial(phase, 5, record=a_benchmark().record))) for phase in TrialPhase),
    a_state(cash_out=a_cash_out(own=True), cash_outs_asked=("c1",)),
    a_state(cash_out=a_cash_out(Stage.SIGNED, own=True), cash_outs_asked=("c1",)),
    *(a_state(cash_out=a_cash_out(stage), cash_outs_asked=("c1",)) for stage in Stage),
)
STATES = tuple(update(state, m.ClockTicked(state.now, state.zone))[0] for state in _BEFORE)
SAFE_AGAIN = (e.Quit, e.ReturnLease, e.SignReceipt, e.RedeemVouchers, e.ListPrograms)
"""Leaving, returning what nobody wants, asking for a signature that is already given (the second one is dropped), and redeeming
what the chain pays once, and looking which programs run."""
OWED_AT_START = (
    *SAFE_AGAIN, e.ResumeLease, e.FetchBundle, e.HandBack, e.DeliverResult, e.QuoteCashOut, e.SendCashOut, e.WatchCashOut,
)  # fmt: skip


def test_every_message_is_tried() -> None:
    assert {type(message) for message in MESSAGES} | {m.WorkerFailed} == set(get_args(m.Message))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_the_second_time_changes_nothing_more(message: m.Message) -> None:
    for state in STATES:
        once = update(state, message)[0]
        twice, effects = update(once, message)
        assert twice == once, [field.name for field in fields(State) if getattr(once, field.name) != getattr(twice, field.name)]
        assert all(isinstance(effect, OWED_AT_START if isinstance(message, m.AgentStarted) else SAFE_AGAIN) for effect in effects)


def test_a_crash_told_twice_while_the_next_worker_starts_is_a_second_crash_and_bounded() -> None:
    """The word names no worker, so it cannot be told apart; it costs one of the tries and never the pay."""
    state = a_state(task=a_task(checkpoint=a_checkpoint()))
    for _ in range(10):
        state = update(state, CRASHED)[0]
        state = update(state, m.ClockTicked(state.now + timedelta(minutes=1), Zone()))[0]
        state = update(state, m.PresenceSensed(state.presence))[0]
    assert state.task and state.task.phase is Phase.HANDING_BACK


@pytest.mark.parametrize("message", [*MESSAGES, CRASHED], ids=lambda message: type(message).__name__)
def test_nothing_is_left_to_do_that_the_next_tick_would_do(message: m.Message) -> None:
    """Settling is complete: a tick without news changes nothing, whatever came before."""
    for state in STATES:
        after = update(state, message)[0]
        tick = m.ClockTicked(after.now, after.zone)
        settled, effects = update(after, tick)
        assert settled == after and all(isinstance(effect, e.Quit) for effect in effects)


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_what_is_saved_is_enough_to_start_from(state: State) -> None:
    """A start from the saved bytes ends where a start from the living state would: nothing that matters was left out."""
    kept = decode_state(encode_state(durable(state)))
    start = m.AgentStarted(LATER, Zone())
    from_bytes, effects = update(kept, start)
    living, others = update(state, start)
    assert durable(from_bytes) == durable(living)
    assert (effects, from_bytes.why) == (others, living.why)


def test_receipts_in_the_outbox_belong_to_the_task_that_is_held() -> None:
    for state in STATES:
        for message in MESSAGES:
            after = update(state, message)[0]
            held = after.task.lease.manifest.task_id if after.task else ""
            assert all(one.receipt.task_id == held for one in after.outbox)
