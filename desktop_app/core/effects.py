"""What to do to the world, in the imperative. `update` returns them; `agent.perform` is their only reader.

Each must be safe to perform twice: after a crash, `AgentStarted` asks again for everything the saved state still owes.
"""

from dataclasses import dataclass, field

from desktop_app.core.bench import BenchmarkRecord, SignedBenchmark
from desktop_app.core.cashout import CashOut
from desktop_app.core.gpu import Device, Tier
from desktop_app.core.money import Rate
from desktop_app.core.receipts import Receipt, SignedReceipt
from desktop_app.core.state import JobAccount, Trigger
from desktop_app.core.task import Blob, Checkpoint, Lease, Manifest


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Take the GPU back from the task within `deadline_ms`. Performed before anything is saved, and waits for nothing.

    Always answered by `GpuGivenBack`, at once when no worker of that task was ever started.
    """

    task_id: str
    trigger: Trigger
    deadline_ms: int
    late_ms: float = field(default=0.0, compare=False)  # how long before this the signal arose, at most; the engine fills it in


@dataclass(frozen=True, slots=True)
class TestSandbox:
    """Find out whether a worker can run here, and how well it is shut in."""


@dataclass(frozen=True, slots=True)
class WarmWorker:
    """Keep a worker started, in its sandbox and without a task, so that the next task begins at once. Twice is once."""


@dataclass(frozen=True, slots=True)
class CoolWorker:
    """End the worker that waits, if one does."""


@dataclass(frozen=True, slots=True)
class CapPower:
    """Let the GPU draw no more than this; 0: as much as its owner lets it. Where that is not permitted the owner is told."""

    watts: int


@dataclass(frozen=True, slots=True)
class OfferGpu:
    """Begin asking the market for tasks of this tier, at rates of `floor` (electricity included) and above."""

    gpu_id: int
    tier: Tier
    floor: Rate


@dataclass(frozen=True, slots=True)
class WithdrawOffer:
    pass


@dataclass(frozen=True, slots=True)
class RegisterGpu:
    device: Device
    tier: Tier
    owner: str
    operator: str
    benchmark: SignedBenchmark | None = None  # by which the attestor vouches for the tier


@dataclass(frozen=True, slots=True)
class RunBenchmark:
    """Measure the device as `manifest`, an order of our own, says: in the sandbox, and taken back as a task is."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class SignBenchmark:
    record: BenchmarkRecord


@dataclass(frozen=True, slots=True)
class FetchBundle:
    """Bring every blob of the lease to this machine and check it."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class ResumeLease:
    """After a restart: go on holding a lease taken before it."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class ReturnLease:
    """Give a task back unrun, with the reason; nothing is owed. `fault`: the task itself is to blame."""

    lease: Lease
    reason: str
    fault: bool = False


@dataclass(frozen=True, slots=True)
class StartTask:
    """Start the worker in its sandbox, from `checkpoint` if there is one."""

    lease: Lease
    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class UploadCheckpoint:
    """Put a checkpoint where the next holder of the task will find it."""

    lease: Lease
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class SignReceipt:
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class HandBack:
    """Publish the task again with its checkpoint and receipt, then end this lease; the receipt goes out even if the lease is lost."""

    lease: Lease
    checkpoint: Checkpoint
    receipt: SignedReceipt


@dataclass(frozen=True, slots=True)
class DeliverResult:
    """Upload the result, publish the receipt, end the lease; the receipt goes out even if the lease is lost."""

    lease: Lease
    result: tuple[Blob, ...]
    receipt: SignedReceipt


@dataclass(frozen=True, slots=True)
class ForgetTask:
    """Remove the task's files from this machine."""

    task_id: str


@dataclass(frozen=True, slots=True)
class RedeemVouchers:
    """Have what `accounts` are owed paid out: by the market's relayer, or by this wallet (`own`). The chain pays it once."""

    accounts: tuple[JobAccount, ...]
    own: bool = False


@dataclass(frozen=True, slots=True)
class QuoteCashOut:
    """Redeem what `accounts` are owed, say the new balance (`ChainSaid`), then ask what the cash-out costs.

    The market's relayer is asked, or, if the cash-out is to be carried by this wallet (`own`), the chain.
    """

    cash_out: CashOut
    accounts: tuple[JobAccount, ...]


@dataclass(frozen=True, slots=True)
class SignCashOut:
    cash_out: CashOut


@dataclass(frozen=True, slots=True)
class SendCashOut:
    """Send the kept bytes (again), by the carrier that the cash-out names; the chain takes them once."""

    cash_out: CashOut


@dataclass(frozen=True, slots=True)
class WatchCashOut:
    cash_out: CashOut


@dataclass(frozen=True, slots=True)
class ListPrograms:
    """Look once which programs have a window or use the GPU, and tell (`ProgramsListed`)."""


@dataclass(frozen=True, slots=True)
class KeepAwake:
    """Keep the machine from going to sleep by itself, or let it again."""

    on: bool


@dataclass(frozen=True, slots=True)
class Quit:
    """Everything is given back and saved: leave."""


Effect = (
    GiveBack | TestSandbox | RunBenchmark | SignBenchmark | OfferGpu | WithdrawOffer | RegisterGpu | FetchBundle | ResumeLease
    | ReturnLease | StartTask | UploadCheckpoint | SignReceipt | HandBack | DeliverResult | ForgetTask
    | RedeemVouchers | QuoteCashOut | SignCashOut | SendCashOut | WatchCashOut | ListPrograms | KeepAwake
    | WarmWorker | CoolWorker | CapPower | Quit
)
