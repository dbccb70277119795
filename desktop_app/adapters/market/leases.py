"""Winning, keeping and ending a lease: every change of a task's record is one compare-and-swap.

The queue's message only invites; the record decides. A message is the holder's own one delivered again (its silence let the
lease go), the newest copy of a returned task, or a leftover copy, and `take` tells these apart by the stream sequence that
the record names. Used by the agent's market.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from desktop_app.adapters.market.session import Delivery, Session
from desktop_app.core.task import Checkpoint, Lease
from desktop_app.wire import market as wire
from desktop_app.wire.market import Grant, LeaseRecord, Standing

LOST = "another machine holds this task now"
GONE = "the market no longer knows this task"
GIVEN_UP = "the task was given up"
_ENDED = (Standing.DONE, Standing.DEAD)


@dataclass(frozen=True, slots=True)
class Won:
    """The lease is ours, under the record's epoch."""

    record: LeaseRecord


@dataclass(frozen=True, slots=True)
class Passed:
    """Nothing to run here: the message is a leftover and can be acknowledged."""


async def look(session: Session, task_id: str) -> tuple[LeaseRecord, int] | None:
    """A task's record and its revision, or None when there is none that can be read."""
    entry = await session.read(wire.LEASES, task_id)
    if entry is None:
        return None
    record = wire.unpack(entry.value, LeaseRecord, wire.MOST_RECORD)
    return None if isinstance(record, wire.Refusal) else (record, entry.revision)


async def take(session: Session, task_id: str, gpu_id: int, delivery: Delivery) -> Won | Passed:
    """Try to become the holder of the task that `delivery` invites to."""
    while True:
        found = await look(session, task_id)
        if found is None or found[0].standing in _ENDED:
            return Passed()
        record, revision = found
        other_copy = record.standing is Standing.HELD and record.sequence != delivery.sequence
        if other_copy and await session.message(wire.TASKS, record.sequence) is not None:
            return Passed()  # its holder has the other copy, which comes again by itself if the holder goes silent
        won = _granted(record, gpu_id, delivery.sequence)
        if await session.write(wire.LEASES, task_id, wire.pack(won), revision) is not None:
            return Won(won)


def _granted(record: LeaseRecord, gpu_id: int, sequence: int) -> LeaseRecord:
    point = record.checkpoint
    grant = Grant(record.epoch + 1, gpu_id, point.step if point else 0, point.sha256 if point else "", record.prev_receipt)
    return msgspec.structs.replace(
        record,
        standing=Standing.HELD,
        epoch=record.epoch + 1,
        gpu_id=gpu_id,
        sequence=sequence,
        uploaded=None,
        grants=(*record.grants, grant)[-256:],
    )


async def holds(session: Session, lease: Lease) -> str | None:
    """Why the lease is no longer held, or None while it is."""
    found = await look(session, lease.manifest.task_id)
    if found is None:
        return GONE
    return _not_held(found[0], lease)


async def change(session: Session, lease: Lease, to: Callable[[LeaseRecord], LeaseRecord]) -> str | None:
    """Change the record while the lease is held; returns why it was not, or None. A change already made is made no second time."""
    while True:
        found = await look(session, lease.manifest.task_id)
        if found is None:
            return GONE
        record, revision = found
        changed = to(record)
        if record.epoch == lease.epoch and changed == record:
            return None
        reason = _not_held(record, lease)
        if reason is not None:
            return reason
        if await session.write(wire.LEASES, lease.manifest.task_id, wire.pack(changed), revision) is not None:
            return None


async def publish_again(session: Session, lease: Lease) -> None:
    """Put a copy of the task on the queue in place of the held message, then let go of that one.

    Only for the epoch that the lease is of: whoever took the task meanwhile relies on the message. Safe to repeat.
    """
    found = await look(session, lease.manifest.task_id)
    if found is None or found[0].epoch != lease.epoch:
        return
    record = found[0]
    posted = await session.message(wire.TASKS, record.sequence)
    if posted is None:
        return  # done before
    if record.standing is Standing.QUEUED:
        once = f"{lease.manifest.task_id}.{record.copies}"
        await session.publish(wire.task_subject(lease.manifest.tier), posted, once)
    await session.ack(lease.token)


def checkpointed(checkpoint: Checkpoint) -> Callable[[LeaseRecord], LeaseRecord]:
    """The holder has come as far as `checkpoint`.

    The next holder begins there only once a receipt covers it (see `handed_back`): steps without one would be nobody's, and
    the chain of receipts, and with it everybody's pay, would break.
    """

    def to(record: LeaseRecord) -> LeaseRecord:
        if record.uploaded is not None and record.uploaded.step >= checkpoint.step:
            return record
        return msgspec.structs.replace(record, uploaded=checkpoint)

    return to


def handed_back(checkpoint: Checkpoint, receipt: str) -> Callable[[LeaseRecord], LeaseRecord]:
    """Back on the queue, to be continued from `checkpoint` after the receipt with that digest."""

    def to(record: LeaseRecord) -> LeaseRecord:
        if record.standing is not Standing.HELD:
            return record
        return msgspec.structs.replace(
            record, standing=Standing.QUEUED, checkpoint=checkpoint, prev_receipt=receipt, copies=record.copies + 1
        )

    return to


def returned(reason: str, fault: bool) -> Callable[[LeaseRecord], LeaseRecord]:
    """Back on the queue unrun, or given up after too many returns."""

    def to(record: LeaseRecord) -> LeaseRecord:
        if record.standing is not Standing.HELD:
            return record
        returns, faults = record.returns + 1, record.faults + int(fault)
        dead = returns >= wire.MOST_RETURNS or faults >= wire.MOST_FAULTS
        return msgspec.structs.replace(
            record,
            standing=Standing.DEAD if dead else Standing.QUEUED,
            returns=returns,
            faults=faults,
            copies=record.copies + 1,
            reason=reason[:500],
        )

    return to


def done(record: LeaseRecord) -> LeaseRecord:
    """Finished."""
    return msgspec.structs.replace(record, standing=Standing.DONE)


def given_up(reason: str) -> Callable[[LeaseRecord], LeaseRecord]:
    """Nobody should run this task."""

    def to(record: LeaseRecord) -> LeaseRecord:
        return msgspec.structs.replace(record, standing=Standing.DEAD, reason=reason[:500])

    return to


def _not_held(record: LeaseRecord, lease: Lease) -> str | None:
    if record.epoch != lease.epoch:
        return LOST
    if record.standing is Standing.HELD:
        return None
    return GIVEN_UP if record.standing is Standing.DEAD else LOST
