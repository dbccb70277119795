"""What follows from the verdict: give back, start, offer, withdraw, register, leave. Called by `update` after every message.

Nothing here depends on which message came, only on how things stand, so that a missed message is made good by the next.
"""

from dataclasses import replace
from datetime import timedelta

from desktop_app.core.effects import (
    Effect,
    GiveBack,
    OfferGpu,
    Quit,
    RegisterGpu,
    TestSandbox,
    WithdrawOffer,
)
from desktop_app.core.policy import No, Verdict, decide, owner_wants_gpu
from desktop_app.core.state import (
    OWNER_DEADLINE_MS,
    SCHEDULE_DEADLINE_MS,
    Cooldown,
    Level,
    Reason,
    State,
    Trigger,
    Why,
)
from desktop_app.core.task import Phase
from desktop_app.core.update.work import hand_back, start_effect

REGISTER_AGAIN = timedelta(seconds=30)
COOLDOWN_FIRST = timedelta(seconds=60)
COOLDOWN_MOST = timedelta(minutes=15)
_OWNERS_OWN = (Trigger.CLICK, Trigger.SNOOZE, Trigger.QUIT)

Step = tuple[State, tuple[Effect, ...]]


def settle(state: State) -> Step:
    """Bring the world in line with the verdict."""
    verdict = decide(state)
    effects: tuple[Effect, ...] = ()
    for settle_one in (_take_back, _start, _leave):
        state, more = settle_one(state)
        effects += more
    for prepare in (_test, _register):
        state, more = prepare(state, verdict)
        effects += more
    state, more = _offer(state, verdict)
    return replace(state, why=_why(state, verdict)), effects + more


def _take_back(state: State) -> Step:
    task, no = state.task, owner_wants_gpu(state)
    if task is None or no is None or no.trigger is None:
        return state, ()
    if task.phase in (Phase.FETCHING, Phase.READY):
        return hand_back(state, task)
    if task.phase not in (Phase.STARTING, Phase.RUNNING):
        return state, ()
    deadline = SCHEDULE_DEADLINE_MS if no.trigger is Trigger.SCHEDULE else OWNER_DEADLINE_MS
    state = replace(state, task=replace(task, phase=Phase.RETURNING), cooldown=_cooldown(state, no.trigger))
    return state, (GiveBack(task.lease.manifest.task_id, no.trigger, deadline),)


def _cooldown(state: State, trigger: Trigger) -> Cooldown:
    """A rule's give-back is followed by a pause that doubles; the owner's own word by none."""
    if trigger in _OWNERS_OWN:
        return state.cooldown
    times = state.cooldown.times
    pause = min(COOLDOWN_FIRST * 2 ** min(times, 10), COOLDOWN_MOST)
    return Cooldown(state.now + pause, times + 1)


def _start(state: State) -> Step:
    task, ready = state.task, state.readiness
    if task is None or task.phase is not Phase.READY or ready.level is not Level.ISOLATED or not ready.runtime:
        return state, ()
    return replace(state, task=replace(task, phase=Phase.STARTING)), (start_effect(task),)


def _leave(state: State) -> Step:
    sharing = state.sharing
    if sharing.finishing and state.task is None:
        state = replace(state, sharing=replace(sharing, on=False, finishing=False))
    on_gpu = state.task is not None and state.task.phase in (Phase.STARTING, Phase.RUNNING, Phase.RETURNING, Phase.DROPPING)
    late = sharing.quit_by is not None and state.now >= sharing.quit_by
    if sharing.quitting and not on_gpu and (state.task is None or late):
        return state, (Quit(),)
    return state, ()


def _test(state: State, verdict: Verdict) -> Step:
    if not (isinstance(verdict, No) and verdict.why.reason is Reason.SANDBOX_TESTING) or state.readiness.testing:
        return state, ()
    return replace(state, readiness=replace(state.readiness, testing=True)), (TestSandbox(),)


def _register(state: State, verdict: Verdict) -> Step:
    gpu = state.gpu
    asked_lately = gpu.asked is not None and state.now - gpu.asked < REGISTER_AGAIN
    if not (isinstance(verdict, No) and verdict.why.reason is Reason.REGISTERING) or asked_lately:
        return state, ()
    if gpu.device is None or gpu.tier is None:
        return state, ()
    state = replace(state, gpu=replace(gpu, asked=state.now))
    owner = state.settings.payout_address or state.wallet.address
    return state, (RegisterGpu(gpu.device, gpu.tier, owner, state.wallet.operator),)


def _offer(state: State, verdict: Verdict) -> Step:
    gpu, floor = state.gpu, state.settings.floor
    willing = not isinstance(verdict, No) and state.task is None
    if willing and state.offered != floor and gpu.chain_id is not None and gpu.tier is not None:
        return replace(state, offered=floor), (OfferGpu(gpu.chain_id, gpu.tier, floor),)
    if not willing and state.offered is not None:
        return replace(state, offered=None), (WithdrawOffer(),)
    return state, ()


def _why(state: State, verdict: Verdict) -> Why:
    if isinstance(verdict, No) and (state.task is None or verdict.trigger is not None):
        return verdict.why
    if state.task is None:
        return Why(Reason.WAITING_FOR_TASK)
    return Why(Reason.FINISHING if state.sharing.finishing else Reason.WORKING)
