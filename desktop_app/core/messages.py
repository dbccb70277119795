"""What can happen, speaker first. Every message may arrive twice; the second changes nothing more.

Adapters, the tray and the command line post them; `update` is the only reader. None carries a secret.
"""

from dataclasses import dataclass
from datetime import datetime

from desktop_app.core.bench import SignedBenchmark
from desktop_app.core.gpu import Device, Reading
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.money_messages import (
    CarrierFailed,
    CashOutConfirmed,
    CashOutFailed,
    CashOutQuoted,
    CashOutRefused,
    CashOutSent,
    CashOutSigned,
    ChainClosedJob,
    ChainLost,
    ChainNamedGpu,
    ChainPaid,
    ChainSaid,
    ChainSaidJob,
    RedeemFailed,
)
from desktop_app.core.presence import Presence
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Value
from desktop_app.core.state import Check, GiveBackRecord, Level, NoticeKind
from desktop_app.core.task import Blob, Checkpoint, Lease, Progress


@dataclass(frozen=True, slots=True)
class OwnerTurnedSharing:
    on: bool


@dataclass(frozen=True, slots=True)
class OwnerSnoozed:
    until: datetime | None  # None: snooze over


@dataclass(frozen=True, slots=True)
class OwnerAskedFinish:
    """Finish this task, then stop."""


@dataclass(frozen=True, slots=True)
class OwnerChangedSettings:
    changes: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class OwnerAskedCashOut:
    id: str
    to: str
    amount: MicroUsd  # 0: everything


@dataclass(frozen=True, slots=True)
class OwnerConfirmedCashOut:
    id: str


@dataclass(frozen=True, slots=True)
class OwnerCancelledCashOut:
    id: str


@dataclass(frozen=True, slots=True)
class OwnerAskedPrograms:
    """Which programs run now that could be put on the list of those that get the GPU?"""


@dataclass(frozen=True, slots=True)
class OwnerDismissedNotices:
    pass


@dataclass(frozen=True, slots=True)
class OwnerQuit:
    pass


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """The first message of every run, after the saved state was loaded."""

    now: datetime
    zone: Zone


@dataclass(frozen=True, slots=True)
class ClockTicked:
    now: datetime
    zone: Zone
    since_s: float = 0.0  # seconds since the tick before, asleep ones not counted


@dataclass(frozen=True, slots=True)
class TroubleArose:
    """An adapter met a broken world that the owner should know of."""

    kind: NoticeKind
    detail: str


@dataclass(frozen=True, slots=True)
class GpuFound:
    device: Device


@dataclass(frozen=True, slots=True)
class GpuMeasured:
    uuid: str
    reading: Reading
    since_s: float = 0.0  # seconds since the reading before: what is new in this one arose within them


@dataclass(frozen=True, slots=True)
class GpuWentMissing:
    uuid: str
    detail: str
    since_s: float = 0.0  # as of a reading


@dataclass(frozen=True, slots=True)
class GpuFaulted:
    """The driver reported an error of the card: NVIDIA's XID, its number; or `core.faults.HELD`, what the supervisor found."""

    uuid: str
    xid: int


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """How much of the machine's memory programs could still have, rounded: a figure that moves at every look is told at every look."""

    free_mb: int


@dataclass(frozen=True, slots=True)
class PresenceSensed:
    presence: Presence
    since_s: float = 0.0  # seconds since the look before: what is new in this one arose within them


@dataclass(frozen=True, slots=True)
class ProgramsListed:
    """Programs that have a window or use the GPU now, the one in front first."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxTested:
    level: Level
    checks: tuple[Check, ...]
    fix: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeFound:
    """Whether torch can be imported by a worker, and which one it is."""

    present: bool
    engine: str = ""


@dataclass(frozen=True, slots=True)
class DiskFilled:
    full: bool


@dataclass(frozen=True, slots=True)
class WalletLocked:
    """The keys wait for a passphrase; `address` is "" until the wallet was made."""

    address: str
    operator: str


@dataclass(frozen=True, slots=True)
class WalletOpened:
    """The operator key is open. `needs_passphrase`: a cash-out will ask for one."""

    address: str
    operator: str
    needs_passphrase: bool


@dataclass(frozen=True, slots=True)
class PracticeFounded:
    """The practice network is there; `escrow` is the address of its escrow, which another founding would have elsewhere."""

    escrow: str


@dataclass(frozen=True, slots=True)
class MarketConnected:
    fee_bps: int


@dataclass(frozen=True, slots=True)
class MarketLost:
    detail: str


@dataclass(frozen=True, slots=True)
class MarketPriced:
    rate: Rate
    epoch: int


@dataclass(frozen=True, slots=True)
class MarketRegisteredGpu:
    uuid: str
    chain_id: int


@dataclass(frozen=True, slots=True)
class MarketLeased:
    lease: Lease


@dataclass(frozen=True, slots=True)
class MarketRefusedTask:
    """A task this machine turned down at the door, for a reason that is the task's fault and not the owner's."""

    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BundleFetched:
    task_id: str


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Another machine holds the task now, or its job ended. Once the GPU's part is over it changes nothing: the receipt counts."""

    task_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReceiptSigned:
    signed: SignedReceipt


@dataclass(frozen=True, slots=True)
class ReceiptDelivered:
    """The market has the receipt and everything it names; the lease is over."""

    task_id: str
    last_step: int


@dataclass(frozen=True, slots=True)
class VoucherArrived:
    """A voucher that was checked against signature and escrow. Units are cumulative for (job, this GPU)."""

    job_id: str
    units: Units
    rate: Rate
    fee_bps: int
    root: str
    signature: str
    task_ids: tuple[str, ...]
    gpu: int = 0  # the account it pays; 0: the one this machine is registered under


@dataclass(frozen=True, slots=True)
class RenterRejectedResult:
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    task_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerProgressed:
    task_id: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class CheckpointStored:
    task_id: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class WorkerFinished:
    task_id: str
    result: tuple[Blob, ...]
    metrics: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The worker died or was stopped for breaking a rule. `blameless`: the machine's doing, not the task's."""

    task_id: str
    detail: str
    blameless: bool = False


@dataclass(frozen=True, slots=True)
class WorkerCooled:
    """The worker that was kept started for the next task ended by itself."""

    detail: str


@dataclass(frozen=True, slots=True)
class GpuGivenBack:
    """Worker gone and, on a real GPU, its memory read back free."""

    record: GiveBackRecord
    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class BenchmarkSigned:
    signed: SignedBenchmark


Message = (
    OwnerTurnedSharing | OwnerSnoozed | OwnerAskedFinish | OwnerChangedSettings | OwnerAskedCashOut
    | OwnerConfirmedCashOut | OwnerCancelledCashOut | OwnerAskedPrograms | OwnerDismissedNotices | OwnerQuit
    | AgentStarted | ClockTicked | TroubleArose | GpuFound | GpuMeasured | GpuWentMissing | GpuFaulted | MemoryMeasured
    | PresenceSensed | ProgramsListed
    | SandboxTested | RuntimeFound | DiskFilled | WalletLocked | WalletOpened
    | PracticeFounded | MarketConnected | MarketLost | MarketPriced | MarketRegisteredGpu | MarketLeased | MarketRefusedTask
    | BundleFetched | LeaseLost | ReceiptSigned | ReceiptDelivered | VoucherArrived | RenterRejectedResult
    | WorkerStarted | WorkerProgressed | CheckpointStored | WorkerFinished | WorkerFailed | WorkerCooled | GpuGivenBack | BenchmarkSigned
    | ChainPaid | ChainSaid | ChainLost | ChainNamedGpu | ChainSaidJob | ChainClosedJob | RedeemFailed | CarrierFailed
    | CashOutQuoted | CashOutRefused | CashOutSigned | CashOutSent | CashOutConfirmed | CashOutFailed
)

OwnerMessage = (
    OwnerTurnedSharing | OwnerSnoozed | OwnerAskedFinish | OwnerChangedSettings | OwnerAskedCashOut
    | OwnerConfirmedCashOut | OwnerCancelledCashOut | OwnerAskedPrograms | OwnerDismissedNotices | OwnerQuit
)
"""The only messages a tray or a command line may post."""
