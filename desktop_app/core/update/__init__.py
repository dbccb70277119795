"""The one door through which the state changes: `update(state, message) -> (state, effects)`.

Each speaker has a file: the owner, the senses (clock, GPU, presence, sandbox), the work (market and worker), the money
(vouchers, chain, cash-out). After each message `settle` asks the policy for the verdict and does what follows from it.
Called by the engine alone.
"""

from desktop_app.core import messages as m
from desktop_app.core.bench import TrialPhase
from desktop_app.core.effects import Effect, FetchBundle, RunBenchmark, StartTask
from desktop_app.core.messages import Message
from desktop_app.core.state import State
from desktop_app.core.task import Phase
from desktop_app.core.update import money, owner, senses, work
from desktop_app.core.update.settle import settle

Step = tuple[State, tuple[Effect, ...]]

_OWNER = (
    m.OwnerTurnedSharing | m.OwnerSnoozed | m.OwnerAskedFinish | m.OwnerChangedSettings
    | m.OwnerAskedPrograms | m.OwnerDismissedNotices | m.OwnerQuit
)
_SENSES = (
    m.AgentStarted | m.ClockTicked | m.TroubleArose | m.GpuFound | m.GpuMeasured | m.GpuWentMissing
    | m.GpuFaulted | m.MemoryMeasured | m.PresenceSensed | m.ProgramsListed
    | m.SandboxTested | m.RuntimeFound | m.DiskFilled | m.WalletLocked | m.WalletOpened
    | m.PracticeFounded | m.MarketConnected | m.MarketLost | m.MarketPriced | m.MarketRegisteredGpu
)
_WORK = (
    m.MarketLeased | m.MarketRefusedTask | m.BundleFetched | m.LeaseLost | m.ReceiptSigned | m.ReceiptDelivered
    | m.WorkerStarted | m.WorkerProgressed | m.CheckpointStored | m.WorkerFinished | m.WorkerFailed | m.WorkerCooled | m.GpuGivenBack
    | m.BenchmarkSigned
)


def update(state: State, message: Message) -> Step:
    """The state after `message`, and what to do about it. Deterministic; a message that comes twice changes nothing more."""
    if isinstance(message, _OWNER):
        state, effects = owner.hear(state, message)
    elif isinstance(message, _SENSES):
        state, effects = senses.hear(state, message)
    elif isinstance(message, _WORK):
        state, effects = work.hear(state, message)
    else:
        state, effects = money.hear(state, message)
    state, more = settle(state)
    return state, tuple(effect for effect in (*effects, *more) if still_due(state, effect))


def still_due(state: State, effect: Effect) -> bool:
    """Whether an effect is still wanted. A give-back overtakes a fetch or a start that waits to be performed; those are dropped."""
    match effect:
        case StartTask(lease):
            phase = Phase.STARTING
        case FetchBundle(lease):
            phase = Phase.FETCHING
        case RunBenchmark(manifest):
            return state.gpu.trial.phase is TrialPhase.RUNNING and state.gpu.trial.seed == manifest.seed
        case _:
            return True
    return state.task is not None and state.task.phase is phase and state.task.lease == lease
