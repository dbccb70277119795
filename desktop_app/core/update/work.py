"""A task's walk through its phases, driven by the market and the worker. Called by `update`.

Work is accounted by segments: the steps this machine committed, from where the lease began to where it ended. A segment
becomes a receipt, the receipt is signed, kept in the outbox until the market has it, and then a line of history.
"""

from dataclasses import replace
from typing import assert_never

from desktop_app.core import messages as m
from desktop_app.core.effects import (
    DeliverResult,
    Effect,
    FetchBundle,
    ForgetTask,
    GiveBack,
    HandBack,
    ResumeLease,
    ReturnLease,
    SignReceipt,
    StartTask,
    UploadCheckpoint,
)
from desktop_app.core.money import net
from desktop_app.core.receipts import Receipt, SignedReceipt, result_sha256
from desktop_app.core.state import (
    OWNER_DEADLINE_MS,
    Cooldown,
    GiveBackRecord,
    NoticeKind,
    Paid,
    State,
    TaskRecord,
    Trigger,
)
from desktop_app.core.task import Blob, Checkpoint, Lease, Phase, Task, segment_units
from desktop_app.core.update.owner import notice

CRASHES_BORNE = 2  # the third one returns the task
GIVE_BACKS_KEPT = 20
HISTORY_KEPT = 50

Work = (
    m.MarketLeased | m.MarketRefusedTask | m.BundleFetched | m.LeaseLost | m.ReceiptSigned | m.ReceiptDelivered
    | m.WorkerStarted | m.WorkerProgressed | m.CheckpointStored | m.WorkerFinished | m.WorkerFailed | m.GpuGivenBack
)
Step = tuple[State, tuple[Effect, ...]]
_ON_GPU = (Phase.STARTING, Phase.RUNNING, Phase.RETURNING)
_DONE_AND_CLOSED = (Paid.PAID, Paid.REJECTED)


def hear(state: State, message: Work) -> Step:
    """The state after a word from the market or the worker. Words about another task than the one held change nothing."""
    match message:
        case m.MarketLeased(lease):
            return _lease(state, lease)
        case m.MarketRefusedTask(task_id, reason):
            return _refuse(state, task_id, reason)
        case m.GpuGivenBack(record, checkpoint):
            return _given_back(state, record, checkpoint)
        case m.ReceiptSigned(signed):
            return _signed(state, signed)
        case m.ReceiptDelivered(task_id, last_step):
            return _delivered(state, task_id, last_step)
        case _:
            task = state.task
            if task is None or task.lease.manifest.task_id != message.task_id:
                return state, ()
            return _about_task(state, task, message)


def resume_task(state: State) -> Step:
    """After a restart: what the saved task still owes. The worker died with the old agent; the last checkpoint did not."""
    task = state.task
    if task is None:
        return state, ()
    again: Effect = ResumeLease(task.lease)
    if task.phase in (Phase.FETCHING, Phase.READY, Phase.STARTING, Phase.RUNNING):
        fetching = replace(task, phase=Phase.FETCHING, progress=None)
        return replace(state, task=fetching), (again, FetchBundle(task.lease))
    if task.phase is Phase.DROPPING:
        return replace(state, task=None), (ForgetTask(task.lease.manifest.task_id),)
    kept = next((one for one in state.outbox if one.receipt.task_id == task.lease.manifest.task_id), None)
    if kept is not None:
        return state, (again, _publish(task, kept))
    if task.phase is Phase.DELIVERING:
        return state, (again, SignReceipt(receipt(state, task, final=True)))
    state, effects = hand_back(state, task)
    return state, (again, *effects)


def hand_back(state: State, task: Task) -> Step:
    """The GPU is free: return the task, with a receipt for what was committed, or untouched if nothing was."""
    if task.checkpoint is None or task.checkpoint.step <= task.first_step:
        gone = (ReturnLease(task.lease, "the owner needs the GPU"), ForgetTask(task.lease.manifest.task_id))
        return replace(state, task=None), gone
    task = replace(task, phase=Phase.HANDING_BACK)
    return replace(state, task=task), (SignReceipt(receipt(state, task, final=False)),)


def receipt(state: State, task: Task, *, final: bool) -> Receipt:
    """The account of this machine's segment of the task."""
    manifest = task.lease.manifest
    last = manifest.steps if final or task.checkpoint is None else task.checkpoint.step
    return Receipt(
        task_id=manifest.task_id,
        job_id=manifest.job_id,
        gpu_id=state.gpu.chain_id or 0,
        manifest_sha256=manifest.sha256,
        epoch=task.lease.epoch,
        first_step=task.first_step,
        last_step=last,
        units=segment_units(manifest, task.first_step, last),
        state_sha256="" if final or task.checkpoint is None else task.checkpoint.sha256,
        result_sha256=result_sha256(task.result) if final else "",
        prev=task.lease.prev_receipt,
        final=final,
        started=int(task.started),
        ended=int(state.now.timestamp()),
        device=state.gpu.device.name if state.gpu.device else "",
    )


def _about_task(
    state: State,
    task: Task,
    message: m.BundleFetched | m.LeaseLost | m.WorkerStarted | m.WorkerProgressed | m.CheckpointStored | m.WorkerFinished | m.WorkerFailed,
) -> Step:
    match message:
        case m.BundleFetched():
            return (_with(state, replace(task, phase=Phase.READY)) if task.phase is Phase.FETCHING else state), ()
        case m.LeaseLost(_, detail):
            return _lose(state, task, detail)
        case m.WorkerStarted():
            return (_with(state, replace(task, phase=Phase.RUNNING)) if task.phase is Phase.STARTING else state), ()
        case m.WorkerProgressed(_, progress):
            return (_with(state, replace(task, progress=progress)) if task.phase is Phase.RUNNING else state), ()
        case m.CheckpointStored(_, checkpoint):
            return _stored(state, task, checkpoint)
        case m.WorkerFinished(_, result, metrics):
            return _finished(state, task, result, metrics)
        case m.WorkerFailed(_, detail, blameless):
            return _failed(state, task, detail, blameless)
        case _:
            assert_never(message)


def _with(state: State, task: Task) -> State:
    return replace(state, task=task)


def _lease(state: State, lease: Lease) -> Step:
    held = state.task.lease.manifest.task_id if state.task else None
    if held == lease.manifest.task_id:
        return state, ()
    if held is not None:
        return state, (ReturnLease(lease, "this GPU is busy"),)
    first = lease.checkpoint.step if lease.checkpoint else 0
    task = Task(lease, Phase.FETCHING, state.now.timestamp(), first_step=first, checkpoint=lease.checkpoint)
    return replace(state, task=task, offered=None), (FetchBundle(lease),)


def _refuse(state: State, task_id: str, reason: str) -> Step:
    state = notice(state, NoticeKind.TASK_REFUSED, f"{task_id}: {reason}")
    if state.task is None or state.task.lease.manifest.task_id != task_id or state.task.phase is not Phase.FETCHING:
        return state, ()
    return replace(state, task=None), (ForgetTask(task_id),)


def _lose(state: State, task: Task, detail: str) -> Step:
    task_id = task.lease.manifest.task_id
    state = replace(state, outbox=tuple(one for one in state.outbox if one.receipt.task_id != task_id))
    state = notice(state, NoticeKind.TASK_FAILED, f"{task_id}: {detail}")
    if task.phase in _ON_GPU:
        return _with(state, replace(task, phase=Phase.DROPPING)), (GiveBack(task_id, Trigger.LEASE_LOST, OWNER_DEADLINE_MS),)
    if task.phase is Phase.DROPPING:
        return state, ()
    return replace(state, task=None), (ForgetTask(task_id),)


def _stored(state: State, task: Task, checkpoint: Checkpoint) -> Step:
    if task.checkpoint is not None and checkpoint.step <= task.checkpoint.step:
        return state, ()
    state = _with(state, replace(task, checkpoint=checkpoint))
    # At a give-back the checkpoint goes up with the task itself.
    return state, (UploadCheckpoint(task.lease, checkpoint),) if task.phase is Phase.RUNNING else ()


def _finished(state: State, task: Task, result: tuple[Blob, ...], metrics: tuple[tuple[str, float], ...]) -> Step:
    if task.phase not in _ON_GPU:
        return state, ()
    task = replace(task, phase=Phase.DELIVERING, result=result, metrics=metrics)
    return _with(state, task), (SignReceipt(receipt(state, task, final=True)),)


def _failed(state: State, task: Task, detail: str, blameless: bool) -> Step:
    task_id = task.lease.manifest.task_id
    if task.phase in (Phase.RETURNING, Phase.DROPPING):
        return state, ()  # it was being stopped anyway; GpuGivenBack follows
    if task.phase not in _ON_GPU:
        return state, ()
    crashes = task.crashes + (0 if blameless else 1)
    if crashes <= CRASHES_BORNE:
        return _with(state, replace(task, phase=Phase.READY, crashes=crashes, progress=None)), ()
    state = notice(state, NoticeKind.TASK_FAILED, f"{task_id}: {detail}")
    return replace(state, task=None), (ReturnLease(task.lease, f"crashed {crashes} times: {detail}"), ForgetTask(task_id))


def _given_back(state: State, record: GiveBackRecord, checkpoint: Checkpoint | None) -> Step:
    if record not in state.give_backs:
        state = replace(state, give_backs=(record, *state.give_backs)[:GIVE_BACKS_KEPT])
    task = state.task
    if task is None or task.lease.manifest.task_id != record.task_id:
        return state, ()
    if task.phase is Phase.DROPPING:
        return replace(state, task=None), (ForgetTask(record.task_id),)
    if task.phase is not Phase.RETURNING:
        return state, ()
    if checkpoint is not None and (task.checkpoint is None or checkpoint.step > task.checkpoint.step):
        task = replace(task, checkpoint=checkpoint)
    return hand_back(state, task)


def _signed(state: State, signed: SignedReceipt) -> Step:
    task = state.task
    if task is None or task.phase not in (Phase.DELIVERING, Phase.HANDING_BACK):
        return state, ()
    if task.lease.manifest.task_id != signed.receipt.task_id or signed in state.outbox:
        return state, ()
    state = replace(state, outbox=(*(one for one in state.outbox if one.receipt.task_id != signed.receipt.task_id), signed))
    return state, (_publish(task, signed),)


def _publish(task: Task, signed: SignedReceipt) -> Effect:
    if signed.receipt.final:
        return DeliverResult(task.lease, task.result, signed)
    return HandBack(task.lease, task.checkpoint or Checkpoint(signed.receipt.last_step, signed.receipt.state_sha256, 0), signed)


def _delivered(state: State, task_id: str, last_step: int) -> Step:
    sent = next((one for one in state.outbox if one.receipt.task_id == task_id and one.receipt.last_step == last_step), None)
    if sent is None:
        return state, ()
    state = replace(state, outbox=tuple(one for one in state.outbox if one is not sent))
    task = state.task
    if task is None or task.lease.manifest.task_id != task_id:
        return state, ()
    record = _record(state, task, sent.receipt)
    cooldown = Cooldown() if sent.receipt.final else state.cooldown
    state = replace(state, task=None, history=trim((record, *state.history)), cooldown=cooldown)
    return state, (ForgetTask(task_id),)


def _record(state: State, task: Task, done: Receipt) -> TaskRecord:
    return TaskRecord(
        task_id=done.task_id,
        job_id=done.job_id,
        kind=task.lease.manifest.kind,
        started=task.started,
        ended=state.now.timestamp(),
        first_step=done.first_step,
        last_step=done.last_step,
        units=done.units,
        rate=task.lease.rate,
        amount=net(done.units, task.lease.rate, state.market.fee_bps),
        paid=Paid.PENDING if done.final else Paid.HANDED_BACK,
        metrics=task.metrics,
    )


def trim(history: tuple[TaskRecord, ...]) -> tuple[TaskRecord, ...]:
    """The newest HISTORY_KEPT lines, and every older one whose money is still on its way."""
    return history[:HISTORY_KEPT] + tuple(line for line in history[HISTORY_KEPT:] if line.paid not in _DONE_AND_CLOSED)


def start_effect(task: Task) -> Effect:
    """Start, or go on with, a task whose blobs are here."""
    return StartTask(task.lease, task.checkpoint)
