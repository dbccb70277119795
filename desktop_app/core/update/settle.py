"""What follows from the verdict: give back, start, offer, withdraw, register, leave. Called by `update` after every message.

Nothing here depends on which message came, only on how things stand, so that a missed message is made good by the next.
"""

from dataclasses import replace
from datetime import timedelta

from desktop_app.core.effects import (
    Effect,
    GiveBack,
    KeepAwake,
    OfferGpu,
    Quit,
    RegisterGpu,
    StartTask,
    TestSandbox,
    WithdrawOffer,
)
from desktop_app.core.policy import No, Verdict, asking, decide, owner_wants_gpu, registered
from desktop_app.core.signals import marked
from desktop_app.core.state import (
    OWNER_DEADLINE_MS,
    SCHEDULE_DEADLINE_MS,
    Level,
    Reason,
    State,
    Trigger,
    Why,
)
from desktop_app.core.task import Phase
from desktop_app.core.update import benchmark
from desktop_app.core.update.cooldown import lengthened, settle_cooldown
from desktop_app.core.update.keeping import settle_vouchers
from desktop_app.core.update.owner import PATIENCE_AT_QUIT
from desktop_app.core.update.segment import hand_back
from desktop_app.core.update.supervision import no_room_for, settle_power, settle_warmth

REGISTER_AGAIN = timedelta(seconds=30)
ASK_AFTER_SALE = timedelta(minutes=10)  # a GPU in another tier, or in the owner's other wallet, may be registered anew
REST_MOST_S = 60.0  # a longer rest is left over from a clock that has since gone back
TEST_AGAIN = timedelta(seconds=60)  # a probe can die by accident, and an owner can mend what was missing
_OWNERS_OWN = (Trigger.CLICK, Trigger.SNOOZE, Trigger.QUIT, Trigger.SCHEDULE)
AWAKE_AFTER = timedelta(seconds=30)  # so that the machine does not fall asleep between one task and the next

_UNTESTED = (Reason.SANDBOX_TESTING, Reason.NO_RUNTIME, Reason.SANDBOX_NOT_READY)
_WAITING = (Phase.FETCHING, Phase.READY)

Step = tuple[State, tuple[Effect, ...]]


def settle(state: State) -> Step:
    """Bring the world in line with the verdict."""
    effects: tuple[Effect, ...] = ()
    state = settle_cooldown(marked(state))
    for settle_one in (_take_back, benchmark.take_back, _give_up, _start, _stay_awake, _leave, settle_vouchers):
        state, more = settle_one(state)
        effects += more
    verdict = decide(state)
    for prepare in (_test, benchmark.begin, _register):
        state, more = prepare(state, verdict)
        effects += more
    for follow in (_offer, settle_warmth):
        state, more = follow(state, verdict)
        effects += more
    state, cap = settle_power(state)
    return replace(state, why=_why(state, verdict)), cap + effects  # the cap before the start


def _take_back(state: State) -> Step:
    task, no = state.task, owner_wants_gpu(state)
    if task is None or no is None or no.trigger is None:
        return state, ()
    if task.phase in _WAITING:
        return hand_back(state, task, "the owner needs the GPU")
    deadline = SCHEDULE_DEADLINE_MS if no.trigger is Trigger.SCHEDULE else OWNER_DEADLINE_MS
    hurried = task.phase is Phase.RETURNING and deadline < task.deadline_ms
    if task.phase not in (Phase.STARTING, Phase.RUNNING) and not hurried:
        return state, ()
    # A rule's give-back is followed by a pause that grows; the owner's own word, and what it hurries along, by none.
    cooldown = state.cooldown if hurried or no.trigger in _OWNERS_OWN else lengthened(state.cooldown, state.now)
    state = replace(state, task=replace(task, phase=Phase.RETURNING, deadline_ms=deadline), cooldown=cooldown)
    return state, (GiveBack(task.lease.manifest.task_id, no.trigger, deadline),)


def _give_up(state: State) -> Step:
    """Return a task that was kept over a restart and cannot go on here: the machine is no longer what it was."""
    task, ready, gpu = state.task, state.readiness, state.gpu
    if task is None or task.phase not in _WAITING:
        return state, ()
    if ready.runtime is False or ready.level not in (None, Level.ISOLATED) or (gpu.device is not None and not registered(state)):
        return hand_back(state, task, "this machine cannot run tasks any more")
    return state, ()


def _start(state: State) -> Step:
    task, ready = state.task, state.readiness
    fit = state.looked and ready.level is Level.ISOLATED and ready.runtime and state.gpu.device is not None
    if task is None or task.phase is not Phase.READY or not fit or 0 < task.rest_until - state.now.timestamp() <= REST_MOST_S:
        return state, ()
    reason = no_room_for(state, task.lease.manifest) if task.crashes + task.mishaps == 0 else None
    if reason is not None:
        return hand_back(replace(state, cooldown=lengthened(state.cooldown, state.now)), task, reason)
    return replace(state, task=replace(task, phase=Phase.STARTING)), (StartTask(task.lease, task.checkpoint),)


def _stay_awake(state: State) -> Step:
    """Keep the machine from sleeping while a task runs, and a little longer, on mains power only."""
    allowed = state.settings.keep_awake and state.presence.on_battery is False
    end, at_work = state.awake_until, state.task is not None and state.task.phase in (Phase.STARTING, Phase.RUNNING)
    until = state.now + AWAKE_AFTER if at_work else end if end is not None and state.now < end <= state.now + AWAKE_AFTER else None
    state = replace(state, awake_until=until if allowed else None)
    if (end is None) == (state.awake_until is None):
        return state, ()
    return state, (KeepAwake(state.awake_until is not None),)


def _leave(state: State) -> Step:
    sharing = state.sharing
    if sharing.finishing and state.task is None:
        state = replace(state, sharing=replace(sharing, on=False, finishing=False))
    if sharing.quitting and (state.task is None or _late(state)):
        return state, (Quit(),)
    return state, ()


def _late(state: State) -> bool:
    """Whether the patience at quitting is over, by a clock that may have been set back meanwhile."""
    by = state.sharing.quit_by
    return by is not None and not state.now < by <= state.now + PATIENCE_AT_QUIT


def _test(state: State, verdict: Verdict) -> Step:
    ready = state.readiness
    wanted = isinstance(verdict, No) and verdict.why.reason in _UNTESTED
    lately = ready.tested is not None and state.now - ready.tested < TEST_AGAIN
    if not wanted or ready.testing or lately:
        return state, ()
    return replace(state, readiness=replace(ready, testing=True)), (TestSandbox(),)


def _register(state: State, verdict: Verdict) -> Step:
    gpu = state.gpu
    reason = verdict.why.reason if isinstance(verdict, No) else None
    pause = ASK_AFTER_SALE if reason is Reason.GPU_SOLD else REGISTER_AGAIN
    asked_lately = gpu.asked is not None and gpu.asked <= state.now < gpu.asked + pause
    wanted = reason in (Reason.REGISTERING, Reason.GPU_SOLD) and state.task is None
    if not wanted or asked_lately or gpu.device is None or gpu.tier is None:
        return state, ()
    state = replace(state, gpu=replace(gpu, asked=state.now))
    owner = state.settings.payout_address or state.wallet.address
    return state, (RegisterGpu(gpu.device, gpu.tier, owner, state.wallet.operator, gpu.benchmark),)


def _offer(state: State, verdict: Verdict) -> Step:
    gpu, floor = state.gpu, asking(state)
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
