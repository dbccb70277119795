"""Receipts: signed once, sent until the market has them, and gone on with after a restart."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.schedule import Zone
from desktop_app.core.state import JobAccount, Paid
from desktop_app.core.task import Phase, Progress
from desktop_app.core.update.segment import HISTORY_KEPT, HISTORY_MOST, trim
from tests.builders import (
    JOB,
    NOON,
    a_checkpoint,
    a_lease,
    a_receipt,
    a_record,
    a_state,
    a_task,
    a_wallet,
    an_account,
    signed,
)
from tests.core.update.hearing import FINISHED, HELD, MODEL, OFF, STARTED, delivering, handing_back, hear, kinds, owed, phase, running


def test_only_the_receipt_that_is_owed_is_sent() -> None:
    state = replace(delivering(), outbox=())
    right = owed(delivering())
    for wrong in (
        a_receipt(last_step=40),
        replace(right.receipt, epoch=9),
        replace(right.receipt, task_id="task-2"),
        replace(right.receipt, units=right.receipt.units * 2),  # type: ignore[arg-type]
        replace(right.receipt, final=False),
    ):
        assert hear(state, m.ReceiptSigned(signed(wrong))) == (state, ())
    for nobody in (a_state(), running()):
        assert hear(nobody, m.ReceiptSigned(right))[0].outbox == ()


def test_a_receipt_signed_a_second_later_is_the_same_receipt() -> None:
    """`ended` and the device's name may have moved on; what is paid for has not."""
    state = replace(delivering(), outbox=())
    right = signed(replace(owed(delivering()).receipt, ended=2**31, device=""))
    assert hear(replace(state, now=NOON + timedelta(seconds=9)), m.ReceiptSigned(right))[0].outbox == (right,)


def test_a_second_signature_does_not_take_the_place_of_the_first() -> None:
    state = delivering()
    other = replace(owed(state), signature="0x" + "77" * 65)
    assert hear(state, m.ReceiptSigned(other)) == (state, ())


def test_a_receipt_is_delivered_once() -> None:
    state = hear(delivering(), m.ReceiptDelivered("task-1", 100))[0]
    again, effects = hear(state, m.ReceiptDelivered("task-1", 100))
    assert len(again.history) == 1 and effects == ()


def test_a_word_about_another_receipt_delivers_nothing() -> None:
    state = delivering()
    for word in (m.ReceiptDelivered("task-2", 100), m.ReceiptDelivered("task-1", 40)):
        assert hear(state, word) == (state, ())
    unsigned = replace(state, outbox=())
    assert hear(unsigned, m.ReceiptDelivered("task-1", 100)) == (unsigned, ())


def test_what_cannot_be_signed_now_is_signed_when_the_wallet_opens() -> None:
    locked = a_state(task=a_task(), wallet=a_wallet(ready=False))
    state, effects = hear(locked, FINISHED)
    assert phase(state) is Phase.DELIVERING and effects == ()
    wallet = state.wallet
    _, effects = hear(state, m.WalletOpened(wallet.address, wallet.operator, needs_passphrase=True))
    assert kinds(effects) == [e.SignReceipt]
    _, effects = hear(delivering(), m.WalletOpened(wallet.address, wallet.operator, needs_passphrase=True))
    assert effects == (), "it is signed already"


def test_a_receipt_never_ends_before_it_began() -> None:
    state = replace(running(), now=NOON - timedelta(days=2))
    _, effects = hear(state, FINISHED)
    (asked,) = [effect.receipt for effect in effects if isinstance(effect, e.SignReceipt)]
    assert asked.ended == asked.started


def test_the_line_of_history_never_ends_before_it_began() -> None:
    state = hear(replace(delivering(), now=NOON - timedelta(days=2)), m.ReceiptDelivered("task-1", 100))[0]
    assert state.history[0].ended == state.history[0].started


@pytest.mark.parametrize(("redeemed", "paid"), [(0, Paid.EARNED), (1_000, Paid.PAID)])
def test_a_voucher_that_was_heard_before_the_markets_word_counts(redeemed: int, paid: Paid) -> None:
    """After a crash the verdict may come first; the line must not wait for it for ever."""
    account: JobAccount = replace(an_account(vouched=1_000, redeemed=redeemed), tasks=("task-1",))
    state = hear(replace(delivering(), accounts=(account,)), m.ReceiptDelivered("task-1", 100))[0]
    assert (state.history[0].paid, state.history[0].voucher_units) == (paid, 1_000)
    part = hear(replace(handing_back(), accounts=(account,)), m.ReceiptDelivered("task-1", 40))[0]
    assert part.history[0].paid is Paid.HANDED_BACK


def test_history_keeps_the_newest_and_whatever_still_brings_money() -> None:
    lines = tuple(a_record(f"t{number}", paid=(Paid.PENDING, Paid.PAID)[number % 2]) for number in range(100))
    kept = trim(lines)
    assert kept[:HISTORY_KEPT] == lines[:HISTORY_KEPT]
    assert [line.task_id for line in kept[HISTORY_KEPT:]] == [f"t{number}" for number in range(HISTORY_KEPT, 100, 2)]
    assert len(trim(tuple(a_record(f"t{number}") for number in range(2_000)))) == HISTORY_MOST


@pytest.mark.parametrize("at", [Phase.FETCHING, Phase.READY, Phase.STARTING, Phase.RUNNING])
def test_after_a_restart_a_task_goes_on_from_its_checkpoint(at: Phase) -> None:
    state, effects = hear(a_state(task=a_task(at, checkpoint=a_checkpoint())), m.AgentStarted(NOON, Zone()))
    assert phase(state) is Phase.FETCHING and effects == (e.ResumeLease(a_lease()), e.FetchBundle(a_lease()))
    assert state.task and state.task.checkpoint == a_checkpoint() and state.task.first_step == 0


def test_after_a_restart_a_task_the_owner_wants_gone_is_returned_and_not_fetched() -> None:
    state, effects = hear(a_state(task=a_task(), sharing=OFF), m.AgentStarted(NOON, Zone()))
    assert state.task is None and kinds(effects) == [e.ResumeLease, e.ReturnLease, e.ForgetTask]


def test_after_a_restart_a_task_that_was_being_returned_is_handed_back_once_the_wallet_opens() -> None:
    state, effects = hear(a_state(task=a_task(Phase.RETURNING, checkpoint=a_checkpoint())), m.AgentStarted(NOON, Zone()))
    assert phase(state) is Phase.HANDING_BACK and effects == (e.ResumeLease(a_lease()),)
    _, effects = hear(state, m.WalletOpened("0x", "0x", needs_passphrase=False))
    assert kinds(effects) == [e.SignReceipt]


def test_after_a_restart_a_task_that_was_being_dropped_is_forgotten() -> None:
    state, effects = hear(a_state(task=a_task(Phase.DROPPING)), m.AgentStarted(NOON, Zone()))
    assert state.task is None and effects == (e.ForgetTask("task-1"),)


def test_after_a_restart_a_signed_receipt_goes_out_again() -> None:
    state, effects = hear(delivering(), m.AgentStarted(NOON, Zone()))
    assert effects == (e.ResumeLease(a_lease()), e.DeliverResult(a_lease(), MODEL, owed(state)))
    state, effects = hear(handing_back(), m.AgentStarted(NOON, Zone()))
    assert effects == (e.ResumeLease(a_lease()), e.HandBack(a_lease(), a_checkpoint(40), owed(state)))


@pytest.mark.parametrize("at", HELD)
def test_words_about_another_task_change_nothing(at: Phase) -> None:
    state = hear(a_state(task=a_task(at, checkpoint=a_checkpoint())), m.ClockTicked(NOON, Zone()))[0]
    for message in (
        m.BundleFetched("task-2"),
        m.LeaseLost("task-2", ""),
        m.WorkerStarted("task-2", 1),
        m.WorkerProgressed("task-2", Progress(1, 2)),
        m.CheckpointStored("task-2", a_checkpoint(99)),
        m.WorkerFinished("task-2", (), ()),
        m.WorkerFailed("task-2", ""),
        m.ReceiptDelivered("task-2", 100),
    ):
        assert hear(state, message) == (state, ())


@pytest.mark.parametrize("at", HELD)
def test_words_that_come_in_the_wrong_phase_change_nothing(at: Phase) -> None:
    state = hear(a_state(task=a_task(at, checkpoint=a_checkpoint())), m.ClockTicked(NOON, Zone()))[0]
    at = phase(state) or at
    wrong: list[m.Message] = []
    wrong += [m.BundleFetched("task-1")] if at is not Phase.FETCHING else []
    wrong += [STARTED] if at is not Phase.STARTING else []
    wrong += [m.WorkerProgressed("task-1", Progress(1, 2))] if at is not Phase.RUNNING else []
    wrong += [m.WorkerFailed("task-1", "")] if at not in (Phase.STARTING, Phase.RUNNING) else []
    wrong += [FINISHED] if at not in (Phase.STARTING, Phase.RUNNING, Phase.RETURNING) else []
    for message in wrong:
        assert hear(state, message) == (state, ())


def test_the_job_that_pays_is_named_in_every_line() -> None:
    assert hear(delivering(), m.ReceiptDelivered("task-1", 100))[0].history[0].job_id == JOB
