"""One builder for each main type, with sound defaults, so that a test names only what it is about.

`a_state()` is a machine that could take a task this instant; the others fit it. Used by tests everywhere.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from desktop_app.core.bench import Measured, SignedBenchmark, benchmark_record
from desktop_app.core.cashout import CashOut, Quote, Stage
from desktop_app.core.gpu import Device, DeviceKind, Named, Reading, Tier
from desktop_app.core.keeping import Keeping
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.receipts import Receipt, SignedReceipt
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import (
    Check,
    Cooldown,
    GiveBackRecord,
    Gpu,
    JobAccount,
    Level,
    Mark,
    Market,
    Notice,
    Paid,
    Payout,
    Readiness,
    Sharing,
    State,
    TaskRecord,
    Trigger,
    Wallet,
    Why,
)
from desktop_app.core.task import Blob, Checkpoint, Lease, Limits, Manifest, Phase, Task

NOON = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)  # a Wednesday
ADDRESS = "0x" + "a1" * 20
OTHER_ADDRESS = "0x" + "b2" * 20
OPERATOR = "0x" + "c3" * 20
JOB = "0x" + "7a" * 32
CHAIN_ID = 7


def digest(of: object) -> str:
    """64 hexadecimal digits, the same for the same thing."""
    return hashlib.sha256(repr(of).encode()).hexdigest()


class _StateParts(TypedDict, total=False):
    now: datetime
    zone: Zone
    settings: Settings
    sharing: Sharing
    gpu: Gpu
    presence: Presence
    readiness: Readiness
    market: Market
    cooldown: Cooldown
    looked: bool
    signals: tuple[Mark, ...]
    programs: tuple[str, ...]
    awake_until: datetime | None
    why: Why
    offered: Rate | None
    task: Task | None
    outbox: tuple[SignedReceipt, ...]
    wallet: Wallet
    accounts: tuple[JobAccount, ...]
    cash_out: CashOut | None
    cash_outs_asked: tuple[str, ...]
    history: tuple[TaskRecord, ...]
    give_backs: tuple[GiveBackRecord, ...]
    notices: tuple[Notice, ...]


def a_state(**parts: Unpack[_StateParts]) -> State:
    """Sharing on, everything ready, the market connected and paying, no task: the verdict is Yes."""
    ready = State(
        now=NOON,
        settings=Settings(tariff=100_000),
        sharing=Sharing(on=True),
        gpu=a_gpu(),
        presence=Presence(idle_s=10_000.0, locked=False, full_screen=False),  # on mains it would be kept awake besides
        looked=True,
        readiness=a_readiness(),
        market=a_market(),
        wallet=a_wallet(),
    )
    return replace(ready, **parts)


def a_device(
    *,
    kind: DeviceKind = DeviceKind.NVIDIA,
    uuid: str = "GPU-1",
    name: str = "GeForce RTX 4090",
    memory_mb: int = 24_564,
    board_watts: int = 450,
) -> Device:
    """A graphics card of the large tier."""
    return Device(kind, uuid, name, memory_mb, board_watts)


def a_practice_device() -> Device:
    """The CPU, as the practice network rents it."""
    return a_device(kind=DeviceKind.PRACTICE, uuid="practice-1", name="Practice CPU", memory_mb=8_000, board_watts=20)


def a_reading(
    *, memory_used_mb: int | None = 1_000, utilisation: int | None = 3, temperature: int | None = 45, watts: int | None = 30
) -> Reading:
    """An idle, cool GPU."""
    return Reading(memory_used_mb, utilisation, temperature, watts)


def a_gpu(
    *,
    device: Device | None = None,
    reading: Reading | None = None,
    tier: Tier | None = Tier.LARGE,
    chain_id: int | None = CHAIN_ID,
    lost: bool = False,
    named: Named | None = None,
    benchmark: SignedBenchmark | None = None,
) -> Gpu:
    """A registered and measured device with a reading."""
    device = device or a_device()
    registered = "" if chain_id is None else device.uuid
    known = benchmark or (a_benchmark(device) if device.kind is DeviceKind.NVIDIA and tier is not None else None)
    return Gpu(device, reading or a_reading(), tier, chain_id, registered, lost=lost, named=named, benchmark=known)


RTX_4090 = Measured(fp32_tflops=80, bf16_tflops=165, fp16_tflops=165, sustained_tflops=150, copy_gbps=930, memory_mb=23_000)


def a_benchmark(
    device: Device | None = None, *, measured: Measured = RTX_4090, engine: str = "", watts: int | None = None, seed: int = 1
) -> SignedBenchmark:
    """What was measured of a card of the large tier, signed by nobody."""
    record = benchmark_record(device or a_device(), measured, engine, seed, int(NOON.timestamp()), watts)
    return SignedBenchmark(record, "0x" + "5e" * 65)


def a_readiness(
    *, level: Level | None = Level.ISOLATED, runtime: bool | None = True, disk_full: bool = False, fix: str = ""
) -> Readiness:
    """Tested, isolated, with torch."""
    return Readiness(level, (Check("network", held=True),), fix, runtime, disk_full)


def a_market(*, connected: bool = True, rate: int | None = 400_000, epoch: int = 3, fee_bps: int = 10) -> Market:
    """Connected, and paying forty cents an hour."""
    return Market(connected, None if rate is None else Rate(rate), epoch, fee_bps)


def a_wallet(
    *,
    ready: bool = True,
    balance: int | None = 5_000_000,
    paid: int = 0,
    payouts: tuple[Payout, ...] = (),
    by_day: tuple[tuple[str, int], ...] = (),
    block: int = 0,
) -> Wallet:
    """Open, with five dollars."""
    held = None if balance is None else MicroUsd(balance)
    return Wallet(
        ready, ADDRESS, OPERATOR, balance=held, paid=MicroUsd(paid), by_day=by_day, payouts=payouts, block=block, chain_ok=True
    )  # fmt: skip


def a_blob(role: str = "data", *, bytes_: int = 1_000, form: str = "safetensors") -> Blob:
    """An input or output."""
    return Blob(role, digest(("blob", role, bytes_)), bytes_, form)


def a_manifest(task_id: str = "task-1", *, job_id: str = JOB, steps: int = 100, units: int = 1_000, expires: int = 2**31) -> Manifest:
    """A small training task of a hundred steps, worth ten units each."""
    return Manifest(
        task_id=task_id,
        job_id=job_id,
        renter=OTHER_ADDRESS,
        kind="train.classifier/1",
        tier=Tier.LARGE,
        inputs=(a_blob(),),
        params=(("batch", 32), ("lr", 0.01), ("width", 64)),
        seed=1,
        steps=steps,
        units=Units(units),
        limits=Limits(vram_mb=2_000, ram_mb=2_000, disk_mb=100, wall_s=3_600, step_ms=50, output_mb=10),
        checkpoint_steps=10,
        expires=expires,
        sha256=digest(("manifest", task_id)),
    )


def a_checkpoint(step: int = 40) -> Checkpoint:
    """The state after `step` steps."""
    return Checkpoint(step, digest(("checkpoint", step)), 4_096)


def a_lease(
    manifest: Manifest | None = None,
    *,
    epoch: int = 1,
    rate: int = 400_000,
    checkpoint: Checkpoint | None = None,
    prev_receipt: str = "",
) -> Lease:
    """The right to run a task from its beginning, or from `checkpoint`."""
    return Lease(manifest or a_manifest(), epoch, f"$JS.ACK.TASKS.large.1.{epoch}.1.0.0", Rate(rate), checkpoint, prev_receipt)


def a_task(
    phase: Phase = Phase.RUNNING,
    *,
    lease: Lease | None = None,
    checkpoint: Checkpoint | None = None,
    first_step: int | None = None,
    result: tuple[Blob, ...] = (),
    crashes: int = 0,
    mishaps: int = 0,
) -> Task:
    """A task leased an hour before NOON."""
    lease = lease or a_lease()
    first = lease.checkpoint.step if lease.checkpoint else 0
    return Task(
        lease,
        phase,
        (NOON - timedelta(hours=1)).timestamp(),
        first_step=first if first_step is None else first_step,
        checkpoint=checkpoint or lease.checkpoint,
        result=result,
        crashes=crashes,
        mishaps=mishaps,
    )


def a_receipt(
    lease: Lease | None = None, *, first_step: int = 0, last_step: int = 40, units: int = 400, final: bool = False, gpu_id: int = CHAIN_ID
) -> Receipt:
    """The account of the first forty steps."""
    lease = lease or a_lease()
    return Receipt(
        task_id=lease.manifest.task_id,
        job_id=lease.manifest.job_id,
        gpu_id=gpu_id,
        manifest_sha256=lease.manifest.sha256,
        epoch=lease.epoch,
        first_step=first_step,
        last_step=last_step,
        units=Units(units),
        state_sha256="" if final else a_checkpoint(last_step).sha256,
        result_sha256=digest("result") if final else "",
        prev=lease.prev_receipt,
        final=final,
        started=int((NOON - timedelta(hours=1)).timestamp()),
        ended=int(NOON.timestamp()),
        device=a_device().name,
    )


def signed(receipt: Receipt | None = None) -> SignedReceipt:
    """The receipt with something where the signature goes."""
    return SignedReceipt(receipt or a_receipt(), "0x" + "51" * 65)


def a_give_back(task_id: str = "task-1", *, trigger: Trigger = Trigger.CLICK, at: float | None = None) -> GiveBackRecord:
    """A quick one."""
    return GiveBackRecord(task_id, trigger, NOON.timestamp() if at is None else at, 41.0, 230.0, 1, committed=True)


def a_record(
    task_id: str = "task-1",
    *,
    job_id: str = JOB,
    units: int = 1_000,
    amount: int = 111,
    paid: Paid = Paid.PENDING,
    transaction: str = "",
    voucher_units: int = 0,
) -> TaskRecord:
    """A line of history."""
    ended = NOON.timestamp()
    return TaskRecord(
        task_id, job_id, "train.classifier/1", ended - 60, ended, 0, 100, Units(units), Rate(400_000), MicroUsd(amount), paid, transaction,
        voucher_units=voucher_units,
    )  # fmt: skip


def an_account(
    job_id: str = JOB, *, rate: int = 3_600_000, fee_bps: int = 10, vouched: int = 0, redeemed: int = 0, keeping: Keeping | None = None
) -> JobAccount:
    """A job that pays one micro-dollar a unit."""
    kept = keeping or Keeping()
    return JobAccount(job_id, Rate(rate), fee_bps, Units(vouched), Units(redeemed), "0x" + "12" * 32, "0x" + "34" * 65, keeping=kept)


def a_payout(
    transaction: str = "0xt1", *, job_id: str = JOB, amount: int = 999, block: int = 5, time: int | None = None, gpu: int = 7
) -> Payout:
    """Money that arrived."""
    return Payout(job_id, MicroUsd(amount), transaction, block, int(NOON.timestamp()) if time is None else time, gpu)


def a_quote(*, amount: int = 5_000_000, fee: int = 20_000, valid_before: int | None = None) -> Quote:
    """The relayer's offer, good for ten minutes."""
    end = int(NOON.timestamp()) + 600 if valid_before is None else valid_before
    return Quote(MicroUsd(amount), MicroUsd(fee), "0x" + "5a" * 32, end)


def a_cash_out(
    stage: Stage = Stage.ASKED, *, id_: str = "c1", amount: int = 0, quote: Quote | None = None, own: bool = False
) -> CashOut:
    """A cash-out of everything; from QUOTED on it carries its quote, from SIGNED on its signature."""
    quoted = stage not in (Stage.ASKED,)
    done = stage in (Stage.SIGNED, Stage.SENT, Stage.CONFIRMED, Stage.FAILED)
    return CashOut(
        id_, OTHER_ADDRESS, MicroUsd(amount), stage, quote or (a_quote() if quoted else None), "0x" + "99" * 65 if done else "", own=own
    )


async def at_once() -> None:
    """What a market is told where nothing has to be written down first."""
