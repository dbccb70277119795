"""A task's life on this machine, from the lease to the receipt.

A task is data: a signed manifest naming a kind from our catalogue, and blobs named by hash. Here are the shapes of that
data once parsed, and the phases a task walks through. The update function moves tasks from phase to phase; the supervisor,
the market adapter and the screens read them.
"""

from dataclasses import dataclass
from enum import StrEnum

from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate, Units


class Phase(StrEnum):
    """Where a task stands. A task lives here only while this machine holds its lease."""

    FETCHING = "fetching"  # its blobs are on the way
    READY = "ready"  # its blobs are here; the sandbox is not, or not yet
    STARTING = "starting"  # sandbox and worker are being started
    RUNNING = "running"
    RETURNING = "returning"  # the GPU is being taken back
    HANDING_BACK = "handing_back"  # the GPU is free; the checkpoint goes back to the market
    DROPPING = "dropping"  # the lease is lost; the GPU is being taken back, nothing is owed
    DELIVERING = "delivering"  # finished; result and receipt are on the way to the market


@dataclass(frozen=True, slots=True)
class Blob:
    """One input or output: what it is for, its sha256 (hex), its size in bytes and its format."""

    role: str
    sha256: str
    bytes: int
    format: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the task may use at most."""

    vram_mb: int
    ram_mb: int
    disk_mb: int
    wall_s: int
    step_ms: int
    output_mb: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed, schema-checked task description. `params` is sorted (name, value) pairs; `units` is what all steps are worth."""

    task_id: str
    job_id: str  # 0x…, the escrow job that pays
    renter: str  # 0x…, who signed it
    kind: str  # "train.classifier/1"
    tier: Tier  # the class of GPU the units are counted for
    inputs: tuple[Blob, ...]
    params: tuple[tuple[str, int | float | str], ...]
    seed: int
    steps: int
    units: Units
    limits: Limits
    checkpoint_steps: int
    expires: int  # unix seconds
    sha256: str  # of the canonical bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State that lies outside the worker: how many steps are in it, and the blob that holds it."""

    step: int
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one task. `epoch` fences off a stale holder; `token` is the market's handle for ack and heartbeat."""

    manifest: Manifest
    epoch: int
    token: str
    rate: Rate
    checkpoint: Checkpoint | None = None
    prev_receipt: str = ""  # sha256 of the receipt this segment continues, "" for the first


@dataclass(frozen=True, slots=True)
class Progress:
    """The worker's own word on where it is; shown, never paid for."""

    step: int
    of: int
    loss: float | None = None
    step_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """The task this machine is working on."""

    lease: Lease
    phase: Phase
    started: float  # unix seconds
    first_step: int = 0  # the step this machine's segment began at
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None  # newest one stored on this machine
    result: tuple[Blob, ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()
    crashes: int = 0  # the task's own
    mishaps: int = 0  # the machine's, since the last checkpoint
    rest_until: float = 0.0  # unix seconds: not started again before
    pid: int = 0  # its worker, once it is at work
    deadline_ms: int = 0  # how long its worker was given to end, when the GPU was asked back


def segment_units(manifest: Manifest, first_step: int, last_step: int) -> Units:
    """What the committed steps [first_step, last_step) are worth; segments of one task add up to exactly its units."""
    if not 0 <= first_step <= last_step <= manifest.steps:
        raise ValueError("a segment lies within its task")
    upto = manifest.units * last_step // manifest.steps
    return Units(upto - manifest.units * first_step // manifest.steps)
