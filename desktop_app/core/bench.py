"""The benchmark's plan, and what its figures say: a tier by measurement, never by name, and whether the name is believable.

`bench/1` in the worker takes the steps planned here; its metrics come back as `Measured`. Sources of the bounds: data sheets
against public measurements with torch (bfloat16, float32 accumulation): honest cards reach 0.35 to 1.15 of what their makers
say. Called by `core.cost`, by the kind, by `update`, which files a GPU, and by the market's attestor, who vouches for its tier.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from desktop_app.core.cards import card_of
from desktop_app.core.gpu import Device, DeviceKind, Tier, hardware_digest

CHUNKS = 64  # the memory is touched in so many parts
_SUSTAINED_PER_S = 20  # steps of at most 50 ms


class Part(StrEnum):
    """What a step of the benchmark measures."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    COPY = "copy"
    TO_DEVICE = "to_device"
    FROM_DEVICE = "from_device"
    TOUCH = "touch"
    VERIFY = "verify"
    SUSTAINED = "sustained"


_PLAN = (
    (Part.FP32, 14), (Part.BF16, 14), (Part.FP16, 14), (Part.COPY, 13), (Part.TO_DEVICE, 8), (Part.FROM_DEVICE, 8),
    (Part.TOUCH, CHUNKS), (Part.VERIFY, CHUNKS),
)  # fmt: skip
"""Steps of each part; the first of a multiplication looks for its size, and the next few only warm up."""


def bench_steps(seconds: int) -> int:
    """How many micro-steps a benchmark with so many sustained seconds has."""
    return sum(count for _, count in _PLAN) + seconds * _SUSTAINED_PER_S


def part_at(index: int) -> tuple[Part, int]:
    """What step `index` measures, and its place within that part."""
    for part, count in _PLAN:
        if index < count:
            return part, index
        index -= count
    return Part.SUSTAINED, index


@dataclass(frozen=True, slots=True)
class Measured:
    """A device's figures: TFLOPS by precision, the least of any sustained second, GB/s read plus written, MB that held what was written."""

    fp32_tflops: float
    bf16_tflops: float
    fp16_tflops: float
    sustained_tflops: float
    copy_gbps: float
    memory_mb: float

    @property
    def half_tflops(self) -> float:
        """Of the faster 16-bit type: older cards only emulate bfloat16."""
        return max(self.bf16_tflops, self.fp16_tflops)


def measured_of(metrics: Mapping[str, float]) -> Measured | None:
    """The figures that the kind reported, or None when one is missing or below nothing."""
    figures = {name: metrics.get(name, -1.0) for name in Measured.__dataclass_fields__}
    return Measured(**figures) if min(figures.values()) >= 0 else None


class Standing(StrEnum):
    """What the figures say about the name the device gave."""

    FITS = "fits"
    UNLISTED = "unlisted"  # no data sheet of ours names it
    UNVERIFIED = "unverified"  # its figures are not those of the card it says it is


@dataclass(frozen=True, slots=True)
class Verdict:
    """The tier a device is filed under (None: too small or too slow for any), and why its name is doubted."""

    tier: Tier | None
    standing: Standing
    doubts: tuple[str, ...] = ()


_FLOORS = (
    (Tier.DATACENTRE, 40_000, 150.0, 1000.0),
    (Tier.LARGE, 22_000, 45.0, 450.0),
    (Tier.MEDIUM, 11_000, 15.0, 200.0),
    (Tier.SMALL, 5_500, 4.0, 120.0),
)
"""Usable MB, sustained TFLOPS, GB/s: a tier asks for all three."""

_BELIEVABLE = (0.35, 1.15)


def verdict(device: Device, measured: Measured) -> Verdict:
    """Where the device belongs, by what was measured of it."""
    if device.kind is DeviceKind.PRACTICE:
        return Verdict(Tier.PRACTICE, Standing.FITS)
    return _filed(device.name, measured)


def _filed(name: str, measured: Measured) -> Verdict:
    tier = next((tier for tier, *floors in _FLOORS if _reaches(measured, *floors)), None)
    card = card_of(name)
    if card is None:
        return Verdict(tier, Standing.UNLISTED)
    pairs = (
        ("memory", measured.memory_mb / 1000, card.memory_gb),
        ("memory bandwidth", measured.copy_gbps, card.gbps),
        ("float32 speed", measured.fp32_tflops, card.fp32),
        ("16-bit speed", measured.half_tflops, card.half),
    )
    low, high = _BELIEVABLE
    doubts = tuple(f"{what}: {seen:.1f} where {told:g} is specified" for what, seen, told in pairs if not low <= seen / told <= high)
    return Verdict(tier, Standing.UNVERIFIED if doubts else Standing.FITS, doubts)


def _reaches(measured: Measured, memory_mb: float, tflops: float, gbps: float) -> bool:
    sustained = min(measured.sustained_tflops, measured.half_tflops)
    return measured.memory_mb >= memory_mb and sustained >= tflops and measured.copy_gbps >= gbps


@dataclass(frozen=True, slots=True)
class BenchmarkRecord:
    """What is kept of a benchmark, ready to be signed: figures in thousandths, the GPU by what names it in the registry."""

    hardware: str
    name: str
    driver: str
    engine: str  # "torch 2.13.0"
    seed: int
    ended: int  # unix seconds
    figures: tuple[tuple[str, int], ...]
    tier: str  # "" when none
    standing: str
    watts: int | None = None  # what the load draws on top of the idle card; None where the card does not say


@dataclass(frozen=True, slots=True)
class SignedBenchmark:
    """A record and the operator key's signature over its bytes (EIP-191, hex)."""

    record: BenchmarkRecord
    signature: str


AGAIN_MOST = timedelta(hours=1)


class TrialPhase(StrEnum):
    """Where the benchmark stands."""

    RESTING = "resting"  # done, not needed, or not now
    RUNNING = "running"
    RETURNING = "returning"  # the owner wants the GPU; the measurement will be begun anew
    SIGNING = "signing"


@dataclass(frozen=True, slots=True)
class Trial:
    """The benchmark under way, if one is, and when the next try may be made. Watts are the card's own, None where it does not say."""

    phase: TrialPhase = TrialPhase.RESTING
    seed: int = 0
    idle_watts: int | None = None
    peak_watts: int | None = None
    record: BenchmarkRecord | None = None  # to be signed
    failures: int = 0
    again: datetime | None = None
    pid: int = 0  # of its worker, once it started


def waiting(trial: Trial, now: datetime) -> datetime | None:
    """Until when the next try waits, if it does. A pause longer than the longest is left over from a clock that was set back."""
    again = trial.again
    return again if again is not None and again - AGAIN_MOST <= now < again else None


def benchmark_record(device: Device, measured: Measured, engine: str, seed: int, ended: int, watts: int | None = None) -> BenchmarkRecord:
    """The record of one run."""
    filed = verdict(device, measured)
    return BenchmarkRecord(
        hardware=hardware_digest(device.uuid),
        name=device.name,
        driver=device.driver or "",
        engine=engine,
        seed=seed,
        ended=ended,
        figures=tuple((name, round(1000 * value)) for name, value in sorted(asdict(measured).items())),
        tier=filed.tier.value if filed.tier else "",
        standing=filed.standing.value,
        watts=watts,
    )


def of_device(record: BenchmarkRecord, device: Device) -> bool:
    """Whether it was measured of this very device, with the driver it has now."""
    return record.hardware == hardware_digest(device.uuid) and record.driver == (device.driver or "")


def tier_in(record: BenchmarkRecord) -> Tier | None:
    """The tier that the record's own figures make, whatever it calls itself; None when they make none."""
    measured = measured_of({name: value / 1000 for name, value in record.figures})
    return _filed(record.name, measured).tier if measured else None


def attestor_refusal(record: BenchmarkRecord, hardware: str, tier: Tier) -> str | None:
    """Why an attestor does not vouch that this hardware is of this tier, in words, or None. The signature is checked elsewhere."""
    if record.hardware != hardware:
        return "the benchmark is another GPU's"
    measured = measured_of({name: value / 1000 for name, value in record.figures})
    if measured is None:
        return "the benchmark's figures are not whole"
    filed = _filed(record.name, measured)
    if filed.tier is not tier:
        return f"the benchmark's figures are those of the tier {filed.tier or 'none'}, not of {tier}"
    if filed.standing is Standing.UNVERIFIED:
        return f"the benchmark's figures are not those of a {record.name}: {'; '.join(filed.doubts)}"
    return None


def record_bytes(record: BenchmarkRecord) -> bytes:
    """The bytes that are signed and hashed: JSON, sorted keys, no spaces."""
    return json.dumps(asdict(record), sort_keys=True, separators=(",", ":")).encode()
