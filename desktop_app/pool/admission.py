"""Which tasks are let in: well-formed, signed by the renter of an open job, covered by its escrow, with all blobs there.

Asked twice about one task it gives one answer and queues it once. Called by the pool's office, which also asks it to make
room in a job again when a task was given up or rejected.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from desktop_app.adapters.chain import Chain, Job, same_address
from desktop_app.adapters.market import Session
from desktop_app.adapters.market.blobs import stored_size
from desktop_app.adapters.market.leases import look
from desktop_app.core.gpu import TIER_NUMBERS
from desktop_app.core.task import Manifest
from desktop_app.wire import market as wire
from desktop_app.wire.bundle import Refused, Verify, parse_manifest
from desktop_app.wire.market import JobRecord, LeaseRecord, PostedTask, Refusal, Standing


class Admission:
    """The door of one market. `verify` says who signed a manifest."""

    def __init__(self, chain: Chain, verify: Verify) -> None:
        self._chain = chain
        self._verify = verify

    async def submit(self, session: Session, request: wire.SubmitTask) -> wire.Answer:
        """Queue the task, or say why not."""
        manifest = await asyncio.to_thread(
            parse_manifest, request.manifest.encode(), request.signature, int(time.time()), self._verify
        )
        if isinstance(manifest, Refused):
            return Refusal(manifest.reason)
        job = await asyncio.to_thread(self._chain.job, manifest.job_id)
        reason = job_refusal(manifest, job) or await _blobs_refusal(session, manifest)
        if reason is None and job is not None:
            reason = await self._book(session, manifest, job)
        if reason is not None or job is None:
            return Refusal(reason or "there is no such job")
        return await _queue(session, manifest, PostedTask(manifest.task_id, request.manifest, request.signature, job.rate))

    async def release(self, session: Session, job_id: str, task_id: str) -> None:
        """The task will never be paid: its units are free for another task of the job."""
        await _change_job(session, job_id, lambda record: {one: units for one, units in record.tasks.items() if one != task_id})

    async def _book(self, session: Session, manifest: Manifest, job: Job) -> str | None:
        """Set the task's units aside in its job; why that cannot be, or None."""

        def booked(record: JobRecord) -> dict[str, int] | None:
            tasks = record.tasks | {manifest.task_id: manifest.units}
            return tasks if sum(tasks.values()) <= job.units else None

        done = await _change_job(session, manifest.job_id, booked)
        return None if done else "the job's escrow does not cover this task beside those already taken"


def job_refusal(manifest: Manifest, job: Job | None) -> str | None:
    """Why a task does not belong to its job, or None."""
    if job is None:
        return "there is no such job"
    if not job.is_open:
        return "the job is closed"
    if not same_address(job.renter, manifest.renter):
        return "the job is another renter's"
    if job.tier != TIER_NUMBERS[manifest.tier]:
        return "the job is for another tier"
    if job.deadline <= time.time():
        return "the job's deadline is over"
    return None


async def _blobs_refusal(session: Session, manifest: Manifest) -> str | None:
    for blob in manifest.inputs:
        size = await stored_size(session, blob.sha256)
        if size is None:
            return f"the file for {blob.role} is not in the market's store"
        if size != blob.bytes:
            return f"the file for {blob.role} has {size} bytes, and {blob.bytes} are announced"
    return None


async def _change_job(session: Session, job_id: str, change: Callable[[JobRecord], dict[str, int] | None]) -> bool:
    """Change what is booked on a job, by compare-and-swap; False when `change` says no."""
    while True:
        entry = await session.read(wire.JOBS, job_id)
        record = wire.unpack(entry.value, JobRecord, wire.MOST_RECORD) if entry else JobRecord()
        if isinstance(record, Refusal):
            return False
        tasks = change(record)
        if tasks is None:
            return False
        changed = wire.pack(JobRecord(tasks))
        if tasks == record.tasks or await session.write(wire.JOBS, job_id, changed, entry.revision if entry else 0) is not None:
            return True


async def _queue(session: Session, manifest: Manifest, posted: PostedTask) -> wire.Answer:
    """Make the record, then publish; both once, however often it is asked."""
    await session.write(wire.LEASES, manifest.task_id, wire.pack(LeaseRecord(Standing.QUEUED)), 0)
    found = await look(session, manifest.task_id)
    if found is not None and found[0].epoch == 0 and found[0].standing is Standing.QUEUED:
        await session.publish(wire.task_subject(manifest.tier), wire.pack(posted), manifest.task_id)
    return wire.Submitted(manifest.task_id)


async def bury(session: Session, task_id: str, reason: str) -> None:
    """Give a task up, unless it is finished."""
    while (found := await look(session, task_id)) is not None:
        record, revision = found
        if record.standing in (Standing.DONE, Standing.DEAD):
            return
        dead = msgspec.structs.replace(record, standing=Standing.DEAD, reason=reason[:500])
        if await session.write(wire.LEASES, task_id, wire.pack(dead), revision) is not None:
            return
