"""What keeps workers and card in order: the worker that waits, the cap on power, pauses between tries, and doubts about the machine.

Called by `settle`, `work` and `senses`. Decided from how things stand, so that a missed message is made good by the next.
"""

import hashlib
from dataclasses import replace
from datetime import timedelta

from desktop_app.core.bench import TrialPhase
from desktop_app.core.effects import CapPower, CoolWorker, Effect, GiveBack, WarmWorker
from desktop_app.core.faults import HELD, ends_a_run, is_the_cards
from desktop_app.core.gpu import DeviceKind
from desktop_app.core.policy import No, Verdict
from desktop_app.core.state import OWNER_DEADLINE_MS, NoticeKind, State, Trigger
from desktop_app.core.task import Manifest, Phase
from desktop_app.core.update.cooldown import lengthened
from desktop_app.core.update.owner import notice

WARM_FROM_MB = 1_536  # free memory with which a worker is started ahead; it takes some 300
WARM_DOWN_TO_MB = 768  # with less it makes room
WARM_AGAIN = timedelta(seconds=60)
STRIKES = 3  # different tasks in a row that crashed here: then the machine itself is in doubt
REST_FIRST_S = 5.0
_UNSTARTED = (Phase.FETCHING, Phase.READY, Phase.STARTING)

Step = tuple[State, tuple[Effect, ...]]


def settle_warmth(state: State, verdict: Verdict) -> Step:
    """Keep a worker started while the GPU waits for a task and for as long as that task has not begun; else none."""
    warmth = state.warmth
    if _has_use(state, verdict) and _has_room(state):
        if warmth.kept or state.task is not None:
            return state, ()
        return replace(state, warmth=replace(warmth, kept=True, again=None)), (WarmWorker(),)
    if not warmth.kept:
        return state, ()
    again = None if _has_room(state) else state.now + WARM_AGAIN
    return replace(state, warmth=replace(warmth, kept=False, again=again)), (CoolWorker(),)


def cooled(state: State) -> State:
    """The worker that waited ended by itself: not again at once."""
    return replace(state, warmth=replace(state.warmth, kept=False, again=state.now + WARM_AGAIN))


def _has_use(state: State, verdict: Verdict) -> bool:
    if state.task is not None:
        return state.task.phase in _UNSTARTED
    return not isinstance(verdict, No)


def _has_room(state: State) -> bool:
    """By the memory last measured; where none was, no worker is kept."""
    warmth = state.warmth
    # A pause further off than the longest one is left over from a clock that has since gone back.
    if warmth.free_mb is None or (warmth.again is not None and state.now < warmth.again <= state.now + WARM_AGAIN):
        return False
    return warmth.free_mb >= (WARM_DOWN_TO_MB if warmth.kept else WARM_FROM_MB)


def settle_power(state: State) -> Step:
    """Hold the card's power down while a stranger's work is on it, and no longer: an owner who wants the GPU wants all of it."""
    device, task = state.gpu.device, state.task
    working = state.gpu.trial.phase is TrialPhase.RUNNING or (task is not None and task.phase in (Phase.STARTING, Phase.RUNNING))
    cappable = device is not None and device.kind is DeviceKind.NVIDIA
    watts = state.settings.power_cap_watts if working and cappable else 0
    return (state, ()) if watts == state.capped_watts else (replace(state, capped_watts=watts), (CapPower(watts),))


def rest_s(task_id: str, failures: int) -> float:
    """The pause after a task's n-th failure here: none after the first, then five seconds, doubling, a quarter more or less.

    The quarter comes from the task's name, so that machines that failed together do not all try again together.
    """
    if failures <= 1:
        return 0.0
    share = int.from_bytes(hashlib.sha256(f"{task_id} {failures}".encode()).digest()[:4]) / 2**32
    return float(REST_FIRST_S * 2 ** (failures - 2) * (0.75 + 0.5 * share))


def struck(state: State, task_id: str) -> State:
    """A task was returned for its crashes. When another and another were before it, the machine is tested before it takes a next one."""
    crashed = (*(one for one in state.crashed if one != task_id), task_id)[-STRIKES:]
    state = replace(state, crashed=crashed)
    if len(crashed) < STRIKES:
        return state
    state = notice(state, NoticeKind.TROUBLE, "different tasks crashed here one after the other; the sandbox is tested anew")
    readiness = replace(state.readiness, level=None, runtime=None, tested=None)
    return replace(state, readiness=readiness, cooldown=lengthened(state.cooldown, state.now))


def faulted(state: State, xid: int) -> Step:
    """The driver reported an error. One of the card stops everything; one of a program ends the run, whosever program it was."""
    if is_the_cards(xid):
        held = "the driver still holds the memory of a task that is gone"
        said = held if xid == HELD else f"the driver reported an error of the graphics card (XID {xid})"
        state = notice(state, NoticeKind.TROUBLE, said)
        return replace(state, gpu=replace(state.gpu, fault=xid)), ()
    task = state.task
    if not ends_a_run(xid) or task is None or task.phase not in (Phase.STARTING, Phase.RUNNING):
        return state, ()
    task_id = task.lease.manifest.task_id
    state = notice(state, NoticeKind.TASK_FAILED, f"{task_id}: a program on the GPU failed (XID {xid})")
    task = replace(task, phase=Phase.RETURNING, deadline_ms=OWNER_DEADLINE_MS)
    state = replace(state, task=task, cooldown=lengthened(state.cooldown, state.now))
    return state, (GiveBack(task_id, Trigger.GPU_FAULT, OWNER_DEADLINE_MS),)


def no_room_for(state: State, manifest: Manifest) -> str | None:
    """Why the task does not fit the memory that is free now, less what is kept for the owner; None if it fits or cannot be told."""
    device, reading = state.gpu.device, state.gpu.reading
    used = reading.memory_used_mb if reading.foreign_mb is None else reading.foreign_mb  # what a worker of ours held is free by now
    if device is None or device.kind is DeviceKind.PRACTICE or used is None:
        return None
    free = device.memory_mb - used - state.settings.vram_reserve_mb
    if manifest.limits.vram_mb <= free:
        return None
    return f"it may take {manifest.limits.vram_mb} MB of GPU memory; {max(0, free)} MB are free beside what is kept for the owner"

