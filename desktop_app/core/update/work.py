"""A task's walk through its phases, driven by the market and the worker. Called by `update`.

Work is accounted by segments: the steps this machine committed, from where the lease began to where it ended. A segment
becomes a receipt, the receipt is signed, kept in the outbox until the market has it, and then a line of history.
"""

from dataclasses import replace

from desktop_app.core import messages as m
from desktop_app.core.effects import (
    Effect,
    FetchBundle,
    ForgetTask,
    GiveBack,
    ResumeLease,
    ReturnLease,
    UploadCheckpoint,
)
from desktop_app.core.policy import No, decide, worth
from desktop_app.core.state import OWNER_DEADLINE_MS, GiveBackRecord, NoticeKind, State, Trigger
from desktop_app.core.task import Blob, Checkpoint, Lease, Phase, Task
from desktop_app.core.update import benchmark
from desktop_app.core.update.cooldown import lengthened, started
from desktop_app.core.update.owner import notice
from desktop_app.core.update.segment import delivered, fits, hand_back, outgoing, publish, sign, signed
from desktop_app.core.update.supervision import cooled, no_room_for, rest_s, struck

CRASHES_BORNE = 2  # the third one returns the task
MISHAPS_BORNE = 4
GIVE_BACKS_KEPT = 200

Work = (
    m.MarketLeased | m.MarketRefusedTask | m.BundleFetched | m.LeaseLost | m.ReceiptSigned | m.ReceiptDelivered
    | m.WorkerStarted | m.WorkerProgressed | m.CheckpointStored | m.WorkerFinished | m.WorkerFailed | m.WorkerCooled | m.GpuGivenBack
    | m.BenchmarkSigned
)
Step = tuple[State, tuple[Effect, ...]]
_ON_GPU = (Phase.STARTING, Phase.RUNNING, Phase.RETURNING)
_OVER = (Phase.DROPPING, Phase.HANDING_BACK, Phase.DELIVERING)  # the worker has nothing more to say


def hear(state: State, message: Work) -> Step:
    """The state after a word from the market or the worker. Words about another task than the one held change nothing."""
    match message:
        case m.MarketLeased(lease):
            return _lease(state, lease)
        case m.MarketRefusedTask(task_id, reason):
            return _refuse(state, task_id, reason)
        case m.GpuGivenBack(record, checkpoint):
            return _given_back(state, record, checkpoint)
        case m.WorkerCooled():
            return cooled(state), ()
        case m.BenchmarkSigned(one):
            return benchmark.signed(state, one)
        case m.ReceiptSigned(one):
            return signed(state, one)
        case m.ReceiptDelivered(task_id, last_step):
            return delivered(state, task_id, last_step)
        case _ if message.task_id == benchmark.BENCHMARK:
            return benchmark.hear(state, message)
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
    again = ResumeLease(task.lease)
    if task.phase is Phase.DROPPING:
        return replace(state, task=None), (ForgetTask(task.lease.manifest.task_id),)
    if task.phase is Phase.RETURNING:
        state, effects = hand_back(state, task, "the owner needs the GPU")
        return state, (again, *effects)
    if task.phase in (Phase.HANDING_BACK, Phase.DELIVERING):
        kept = outgoing(state, task)
        return state, (again,) if kept is None else (again, publish(task, kept))
    return _with(state, replace(task, phase=Phase.FETCHING, progress=None)), (again, FetchBundle(task.lease))


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
        case m.WorkerStarted(_, pid):
            return _started(state, task, pid), ()
        case m.WorkerProgressed(_, progress):
            return (_with(state, replace(task, progress=progress)) if task.phase is Phase.RUNNING else state), ()
        case m.CheckpointStored(_, checkpoint):
            return _stored(state, task, checkpoint)
        case m.WorkerFinished(_, result, metrics):
            return _finished(state, task, result, metrics)
        case _:
            return _failed(state, task, message.detail, message.blameless)


def _started(state: State, task: Task, pid: int) -> State:
    if task.phase is not Phase.STARTING:
        return state
    running = replace(task, phase=Phase.RUNNING, pid=pid)
    return replace(state, task=running, cooldown=started(state.cooldown, state.now))


def _with(state: State, task: Task) -> State:
    return replace(state, task=task)


def _lease(state: State, lease: Lease) -> Step:
    held = state.task.lease.manifest.task_id if state.task else None
    if held == lease.manifest.task_id:
        return state, ()
    reason = "this GPU is busy" if held is not None else _unwelcome(state, lease)
    if reason is not None:
        return state, (ReturnLease(lease, reason),)
    reason = no_room_for(state, lease.manifest)
    if reason is not None:  # the market may well offer it again at once
        return replace(state, cooldown=lengthened(state.cooldown, state.now)), (ReturnLease(lease, reason),)
    first = lease.checkpoint.step if lease.checkpoint else 0
    task = Task(lease, Phase.FETCHING, state.now.timestamp(), first_step=first, checkpoint=lease.checkpoint)
    return replace(state, task=task, offered=None), (FetchBundle(lease),)


def _unwelcome(state: State, lease: Lease) -> str | None:
    """Why a lease that was won a moment ago is not wanted now; offer and verdict may have crossed on the way."""
    verdict = decide(state)
    if isinstance(verdict, No):
        return f"this GPU is not shared now: {verdict.why.reason.value}"
    if not worth(state, lease.rate):
        return "the rate is below what this owner asks"
    if lease.checkpoint is not None and not 0 <= lease.checkpoint.step <= lease.manifest.steps:
        return "its checkpoint lies outside the task"
    return None


def _refuse(state: State, task_id: str, reason: str) -> Step:
    state = notice(state, NoticeKind.TASK_REFUSED, f"{task_id}: {reason}")
    if state.task is None or state.task.lease.manifest.task_id != task_id or state.task.phase is not Phase.FETCHING:
        return state, ()
    return replace(state, task=None), (ForgetTask(task_id),)


def _lose(state: State, task: Task, detail: str) -> Step:
    if task.phase in _OVER:
        return state, ()  # the work was done in time as far as this machine knows; the receipt goes out, the market judges
    task_id = task.lease.manifest.task_id
    state = notice(state, NoticeKind.TASK_FAILED, f"{task_id}: {detail}")
    if task.phase in (Phase.STARTING, Phase.RUNNING):
        return _with(state, replace(task, phase=Phase.DROPPING)), (GiveBack(task_id, Trigger.LEASE_LOST, OWNER_DEADLINE_MS),)
    if task.phase is Phase.RETURNING:
        return _with(state, replace(task, phase=Phase.DROPPING)), ()
    return replace(state, task=None), (ForgetTask(task_id),)


def _stored(state: State, task: Task, checkpoint: Checkpoint) -> Step:
    if task.phase in _OVER or not fits(task, checkpoint):
        return state, ()
    state = _with(state, replace(task, checkpoint=checkpoint, mishaps=0))
    # At a give-back the checkpoint goes up with the task itself.
    return state, (UploadCheckpoint(task.lease, checkpoint),) if task.phase is Phase.RUNNING else ()


def _finished(state: State, task: Task, result: tuple[Blob, ...], metrics: tuple[tuple[str, float], ...]) -> Step:
    if task.phase not in _ON_GPU:
        return state, ()
    state = replace(state, crashed=())  # this machine can
    return sign(_with(state, replace(task, phase=Phase.DELIVERING, progress=None, result=result, metrics=metrics)))


def _failed(state: State, task: Task, detail: str, blameless: bool) -> Step:
    if task.phase not in (Phase.STARTING, Phase.RUNNING):
        return state, ()  # when it was being stopped anyway, GpuGivenBack follows
    crashes, mishaps = (task.crashes, task.mishaps + 1) if blameless else (task.crashes + 1, task.mishaps)
    # Again at once, but not again and again: what has not passed by now may pass in a few seconds.
    rest = state.now.timestamp() + rest_s(task.lease.manifest.task_id, crashes + mishaps)
    task = replace(task, phase=Phase.READY, progress=None, pid=0, crashes=crashes, mishaps=mishaps, rest_until=rest)
    if crashes > CRASHES_BORNE:
        state = struck(state, task.lease.manifest.task_id)
        state = notice(state, NoticeKind.TASK_FAILED, f"{task.lease.manifest.task_id}: {detail}")
        return hand_back(state, task, f"crashed {crashes} times: {detail}", fault=True)
    if mishaps > MISHAPS_BORNE:
        state = notice(state, NoticeKind.TROUBLE, detail)
        state = replace(state, cooldown=lengthened(state.cooldown, state.now))
        return hand_back(state, task, "this machine cannot run it now")
    return _with(state, task), ()


def _given_back(state: State, record: GiveBackRecord, checkpoint: Checkpoint | None) -> Step:
    if record in state.give_backs:
        return state, ()  # heard before; by now it could be taken for the end of the task's next run
    state = replace(state, give_backs=(record, *state.give_backs)[:GIVE_BACKS_KEPT])
    if record.task_id == benchmark.BENCHMARK:
        return benchmark.given_back(state)
    task = state.task
    if task is None or task.lease.manifest.task_id != record.task_id:
        return state, ()
    if task.phase is Phase.DROPPING:
        return replace(state, task=None), (ForgetTask(record.task_id),)
    if task.phase is not Phase.RETURNING:
        return state, ()
    if checkpoint is not None and fits(task, checkpoint):
        task = replace(task, checkpoint=checkpoint)
    return hand_back(state, task, "the owner needs the GPU")
