"""One segment of a task, from its last step to the receipt and the line of history. Called by `work`, `settle` and `senses`.

A receipt is signed by the operator key, which after a restart may wait for a passphrase: what cannot be signed now is
signed when the wallet opens. Once signed, a receipt stays in the outbox until the market has it.
"""

from dataclasses import replace

from desktop_app.core.effects import DeliverResult, Effect, ForgetTask, HandBack, ReturnLease, SignReceipt
from desktop_app.core.gpu import hardware_digest
from desktop_app.core.ledger import own_part
from desktop_app.core.money import net
from desktop_app.core.receipts import Receipt, SignedReceipt, result_sha256
from desktop_app.core.state import Paid, State, TaskRecord
from desktop_app.core.task import Checkpoint, Phase, Task, segment_units
from desktop_app.core.update.cooldown import eased

HISTORY_KEPT = 50
HISTORY_MOST = 500
_DONE_AND_CLOSED = (Paid.PAID, Paid.REJECTED)
_OWED = (Phase.HANDING_BACK, Phase.DELIVERING)

Step = tuple[State, tuple[Effect, ...]]


def hand_back(state: State, task: Task, why: str, *, fault: bool = False) -> Step:
    """The GPU is free: return the task, with a receipt for what was committed, or untouched if nothing was."""
    if task.checkpoint is None or task.checkpoint.step <= task.first_step:
        gone = (ReturnLease(task.lease, why, fault), ForgetTask(task.lease.manifest.task_id))
        return replace(state, task=None), gone
    return sign(replace(state, task=replace(task, phase=Phase.HANDING_BACK, progress=None)))


def sign(state: State) -> Step:
    """Ask for the receipt that the held task owes, if it owes one and the operator key is open."""
    task = state.task
    if task is None or task.phase not in _OWED or not state.wallet.ready or outgoing(state, task) is not None:
        return state, ()
    return state, (SignReceipt(receipt(state, task)),)


def outgoing(state: State, task: Task) -> SignedReceipt | None:
    """The task's signed receipt, while the market does not have it."""
    return next((one for one in state.outbox if one.receipt.task_id == task.lease.manifest.task_id), None)


def signed(state: State, one: SignedReceipt) -> Step:
    """Keep a signed receipt and send it, if it is the very one that the held task owes."""
    task = state.task
    if task is None or task.phase not in _OWED or outgoing(state, task) is not None:
        return state, ()
    if one.receipt != replace(receipt(state, task), ended=one.receipt.ended, device=one.receipt.device, hardware=one.receipt.hardware):
        return state, ()
    return replace(state, outbox=(*state.outbox, one)), (publish(task, one),)


def publish(task: Task, one: SignedReceipt) -> Effect:
    """Send what a signed receipt speaks of."""
    if task.phase is Phase.DELIVERING or task.checkpoint is None:
        return DeliverResult(task.lease, task.result, one)
    return HandBack(task.lease, task.checkpoint, one)


def delivered(state: State, task_id: str, last_step: int) -> Step:
    """The market has the receipt: the segment becomes a line of history, and its task is over here."""
    task = state.task
    sent = None if task is None or task.lease.manifest.task_id != task_id else outgoing(state, task)
    if task is None or sent is None or sent.receipt.last_step != last_step:
        return state, ()
    history = trim((_record(state, task, sent.receipt), *state.history))
    outbox = tuple(one for one in state.outbox if one is not sent)
    cooldown = eased(state.cooldown) if sent.receipt.final else state.cooldown
    return replace(state, task=None, outbox=outbox, history=history, cooldown=cooldown), (ForgetTask(task_id),)


def receipt(state: State, task: Task) -> Receipt:
    """The account of this machine's segment of the task."""
    manifest, final = task.lease.manifest, task.phase is Phase.DELIVERING
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
        ended=max(int(task.started), int(state.now.timestamp())),  # the clock may have been set back
        device=state.gpu.device.name if state.gpu.device else "",
        hardware=hardware_digest(state.gpu.device.uuid) if state.gpu.device else "",
    )


def fits(task: Task, checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint lies within the task and brings it forward."""
    known = task.first_step if task.checkpoint is None else task.checkpoint.step
    return known < checkpoint.step <= task.lease.manifest.steps


def trim(history: tuple[TaskRecord, ...]) -> tuple[TaskRecord, ...]:
    """The newest HISTORY_KEPT lines, and older ones whose money is still on its way, HISTORY_MOST in all."""
    waiting = tuple(line for line in history[HISTORY_KEPT:] if line.paid not in _DONE_AND_CLOSED)
    return (history[:HISTORY_KEPT] + waiting)[:HISTORY_MOST]


def _record(state: State, task: Task, done: Receipt) -> TaskRecord:
    line = TaskRecord(
        task_id=done.task_id,
        job_id=done.job_id,
        kind=task.lease.manifest.kind,
        started=task.started,
        ended=max(task.started, state.now.timestamp()),
        first_step=done.first_step,
        last_step=done.last_step,
        units=done.units,
        rate=task.lease.rate,
        amount=own_part(state, net(done.units, task.lease.rate, state.market.fee_bps)),
        paid=Paid.PENDING if done.final else Paid.HANDED_BACK,
        metrics=task.metrics,
    )
    # After a crash the renter's voucher may be heard before the market's word that it has the receipt.
    account = next((one for one in state.accounts if one.job_id == done.job_id and done.task_id in one.tasks), None)
    if account is None or not done.final:
        return line
    return replace(line, paid=Paid.PAID if account.redeemed >= account.vouched else Paid.EARNED, voucher_units=account.vouched)
