"""The market's language: subjects, streams, buckets, and every struct that crosses NATS, with its limits.

The road of one task, and who writes what:

1. The renter asks `pool.open` (terms and an EIP-3009 signature) and gets a job on chain, puts blobs into the object store
   `blobs` under their sha256, and asks `pool.submit` for each signed manifest. The pool admits it: a `LeaseRecord` in the
   bucket `leases`, a `PostedTask` on `tasks.<tier>` of the work-queue stream `TASKS`.
2. An agent that offers its GPU (`offers.<gpu>`, kept alive by repetition) pulls from the tier's durable consumer. The
   message is only an invitation: the lease is won by a compare-and-swap of the record, which raises its fencing epoch and
   adds a `Grant`. While it is held the agent says in-progress on the message; silence redelivers it, to whoever pulls.
3. Checkpoints go into `blobs`; the record names the newest. A give-back publishes the task again as a new copy and acks the old one, so
   that it never counts as a failed delivery; a stale holder finds a higher epoch and stops.
4. Receipts go to `receipts.<job>.<task>`, the renter answers on `verdicts.<gpu>.<job>`: a voucher or a rejection. The
   pool keeps the newest voucher (`wire.pooling`) and redeems it; the agent keeps it too, and can do the same.

The rate of each tier is in the bucket `prices`, one epoch after another. Requests to the pool (`pool.*`) are answered with
a value or a `Refusal`. Everything is JSON; unknown keys, wrong ranges and oversize messages are refused at the door.
Imported by the market adapter, the pool, the renter and the practice network.
"""

from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec

from desktop_app.core.bench import SignedBenchmark
from desktop_app.core.gpu import Tier
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.task import Blob, Checkpoint
from desktop_app.wire.bundle import MOST_MANIFEST
from desktop_app.wire.eip712 import Terms

TASKS, RECEIPTS, VERDICTS = "TASKS", "RECEIPTS", "VERDICTS"
PRICES, OFFERS, LEASES = "prices", "offers", "leases"
JOBS: Final = "jobs"  # how much of each job's escrow is spoken for
RENTERS: Final = "renters"  # what a renter must not forget
BLOBS: Final = "blobs"

MOST_MESSAGE: Final = 384 * 1024  # a manifest, escaped, and what goes with it
MOST_RECORD: Final = 64 * 1024
MOST_SHEET: Final = 512 * 1024

ACK_WAIT_S: Final = 30.0
HEARTBEAT_S: Final = 8.0
MOST_DELIVERIES: Final = 20
MOST_RETURNS: Final = 25  # returned unrun so often, a task is given up
MOST_FAULTS: Final = 3  # returned for its own fault so often, a task is given up
OFFER_EVERY_S: Final = 10.0
OFFER_LASTS_S: Final = 30.0

_Bytes32 = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]
_Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
_Signature = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{2,4096}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Number = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_GpuAccount = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]  # a GPU's account in the registry: its id until it is sold
_Reason = Annotated[str, msgspec.Meta(max_length=500)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
_Ids = Annotated[tuple[_Id, ...], msgspec.Meta(max_length=1_000)]


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all structs here share."""


class Price(_Wire, frozen=True):
    """A tier's rate (micro-dollars per GPU-hour) in one epoch, and the market's fee."""

    rate: _Number
    epoch: _Count
    fee_bps: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Offer(_Wire, frozen=True):
    """A GPU that is offered, or at work (`busy`)."""

    tier: Tier
    floor: _Count
    busy: bool


class Standing(StrEnum):
    """How a task stands with the market."""

    QUEUED = "queued"
    HELD = "held"
    DONE = "done"
    DEAD = "dead"  # given up; the record's reason says why


class Grant(_Wire, frozen=True):
    """One lease that was given: the epoch, the GPU, and where it began (`sha256` of the checkpoint, "" for the beginning)."""

    epoch: _Number
    gpu_id: _GpuAccount
    step: _Count
    sha256: str
    prev_receipt: str


class LeaseRecord(_Wire, frozen=True):
    """All the market knows of one task. Changed only by compare-and-swap, so that two holders cannot both believe."""

    standing: Standing
    epoch: _Count = 0
    gpu_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    sequence: _Count = 0  # of the message the holder holds
    copies: _Count = 0
    returns: _Count = 0
    faults: _Count = 0
    checkpoint: Checkpoint | None = None  # where the next holder begins: what the receipts cover
    uploaded: Checkpoint | None = None  # the newest that the holder stored, not yet covered by a receipt
    prev_receipt: str = ""
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(max_length=256)] = ()
    reason: _Reason = ""


class JobRecord(_Wire, frozen=True):
    """Units of a job that its admitted tasks are worth, by task."""

    tasks: dict[_Id, _Number] = {}


class PostedTask(_Wire, frozen=True):
    """A task on the queue: the canonical manifest as text, its renter's signature, and the rate its job locked."""

    task_id: _Id
    manifest: Annotated[str, msgspec.Meta(max_length=MOST_MANIFEST)]
    signature: _Signature
    rate: _Number


class DeliveredReceipt(_Wire, frozen=True):
    """A receipt as the renter gets it. `result` comes with the final one of a task."""

    signed: SignedReceipt
    result: Annotated[tuple[Blob, ...], msgspec.Meta(max_length=64)] = ()


class VoucherVerdict(_Wire, frozen=True, tag="voucher"):
    """The renter pays: cumulative `units` for (job, GPU), and the tasks that this voucher newly covers."""

    job_id: _Bytes32
    gpu_id: _GpuAccount
    units: _Number
    rate: _Number
    fee_bps: _Count
    root: _Bytes32
    signature: _Signature
    task_ids: _Ids


class Rejection(_Wire, frozen=True, tag="rejection"):
    """The renter does not pay for a task, and says why."""

    job_id: _Bytes32
    gpu_id: _GpuAccount
    task_id: _Id
    reason: _Reason


Verdict = VoucherVerdict | Rejection


class Refusal(_Wire, frozen=True, tag="refusal"):
    """The pool's no, in words. `own`: the pool's own trouble (no ether, a limit, a silent chain), so that the asker may do it itself.

    `under_way`: it is no no yet; the very same request may be asked again.
    """

    reason: _Reason
    own: bool = False
    under_way: bool = False


class RegisterGpu(_Wire, frozen=True):
    """Put a GPU into the registry. `hardware` is the digest that names the physical GPU."""

    owner: _Address
    operator: _Address
    hardware: _Bytes32
    tier: Tier
    benchmark: SignedBenchmark | None = None  # by which the tier is vouched for; the practice tier needs none


class Registered(_Wire, frozen=True, tag="registered"):
    gpu_id: _GpuAccount


class AskQuote(_Wire, frozen=True):
    """What would it cost to send `amount` (micro-dollars; 0: everything) of `sender`'s money to `to`?"""

    sender: _Address
    to: _Address
    amount: _Count


class Quoted(_Wire, frozen=True, tag="quoted"):
    amount: _Count
    fee: _Count
    salt: _Bytes32
    valid_before: _Number


class SendCashOut(_Wire, frozen=True):
    """Bring a signed cash-out on chain. Asked twice, it is done once."""

    sender: _Address
    to: _Address
    amount: _Number
    fee: _Count
    salt: _Bytes32
    valid_before: _Number
    signature: _Signature


class OpenJob(_Wire, frozen=True):
    """Open and fund a job on the renter's EIP-3009 signature."""

    terms: Terms
    valid_before: _Number
    signature: _Signature


class Opened(_Wire, frozen=True, tag="opened"):
    job_id: _Bytes32


class SubmitTask(_Wire, frozen=True):
    """Queue a task: its canonical manifest as text, signed by the renter of its job."""

    manifest: Annotated[str, msgspec.Meta(max_length=MOST_MANIFEST)]
    signature: _Signature


class Submitted(_Wire, frozen=True, tag="submitted"):
    task_id: _Id


class Redeem(_Wire, frozen=True):
    """Redeem a voucher on chain now."""

    job_id: _Bytes32
    gpu_id: _GpuAccount
    units: _Number
    root: _Bytes32
    signature: _Signature


class Sent(_Wire, frozen=True, tag="sent"):
    """It is on chain, in this transaction ("" when it was there before and nobody remembers)."""

    transaction: str


class ReportTask(_Wire, frozen=True):
    """An agent turned a task down for the task's own fault."""

    task_id: _Id
    reason: _Reason


class Noted(_Wire, frozen=True, tag="noted"):
    pass


Answer = Refusal | Registered | Quoted | Opened | Submitted | Sent | Noted

_T = TypeVar("_T")


def pack(value: object) -> bytes:
    """The struct's bytes."""
    return msgspec.json.encode(value)


def unpack(raw: bytes, kind: type[_T], most: int = MOST_MESSAGE) -> _T | Refusal:
    """The struct in `raw`, or why it is none."""
    if len(raw) > most:
        return Refusal(f"a message of {len(raw)} bytes; at most {most} are taken")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(str(error)[:500])


def task_subject(tier: Tier) -> str:
    return f"tasks.{tier.value}"


def task_consumer(tier: Tier) -> str:
    """The durable consumer that all GPUs of a tier pull from."""
    return f"tier-{tier.value}"


def receipt_subject(job_id: str, task_id: str) -> str:
    return f"receipts.{job_id}.{task_id}"


def verdict_subject(gpu_id: int, job_id: str) -> str:
    return f"verdicts.{gpu_id}.{job_id}"
