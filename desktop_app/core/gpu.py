"""What a GPU is to Sublet: a device that can be rented, what was measured of it, and the tier the market files it under.

Made by the NVML adapter (or the practice device, the CPU), read by the policy and the gauges. A figure the device cannot
give is None, never a zero.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class DeviceKind(StrEnum):
    """What stands behind the device."""

    NVIDIA = "nvidia"
    PRACTICE = "practice"  # the CPU, offered on the practice network only


class Tier(StrEnum):
    """The market's hardware classes; the number the chain stores is its place in TIER_NUMBERS."""

    PRACTICE = "practice"
    SMALL = "small"  # 6 GB and more
    MEDIUM = "medium"  # 12 GB and more
    LARGE = "large"  # 24 GB and more
    DATACENTRE = "datacentre"  # 40 GB and more


TIER_NUMBERS: dict[Tier, int] = {tier: number for number, tier in enumerate(Tier)}

_ID_BITS = 40
_FLOORS = ((40_000, Tier.DATACENTRE), (22_000, Tier.LARGE), (11_000, Tier.MEDIUM), (5_500, Tier.SMALL))


@dataclass(frozen=True, slots=True)
class Device:
    """One rentable device.

    `uuid` is the driver's, `memory_mb` its VRAM (RAM for the practice device), `board_watts` the tier's board power.
    """

    kind: DeviceKind
    uuid: str
    name: str
    memory_mb: int
    board_watts: int
    index: int = 0
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What the registry says of this machine's GPU: the account its work is paid to now, and what its co-owners hold together."""

    account: int
    co_bps: int = 0  # basis points


@dataclass(frozen=True, slots=True)
class Reading:
    """What the device said at one moment. None: it does not say."""

    memory_used_mb: int | None = None
    utilisation: int | None = None  # percent
    temperature: int | None = None  # degrees Celsius
    watts: int | None = None
    fan: int | None = None  # percent
    energy_mj: int | None = None  # millijoules since the driver was loaded
    slowed: tuple[str, ...] | None = None  # why its clocks are held down, in the driver's terms
    foreign_load: int | None = None  # percent of the card's processors that others' graphics programs use, the busiest one
    foreign_mb: int | None = None  # memory of all programs but ours
    foreign_name: str = ""  # the busiest of those graphics programs


FOREIGN_BUSY = 20  # percent; facts: an owner who plays is above it, a desktop at rest below
FOREIGN_BUSY_S = 0.25  # so long from one sample to another, in all of which it is: two samples at four a second
FOREIGN_GROWTH_MB = 500  # within a second: a game that loads


@dataclass(frozen=True, slots=True)
class Foreign:
    """What others did with the card in the last readings: since when it is busy with them, and how little they held each second."""

    busy_s: float | None = None  # from the first reading in a row that found it busy, counted up to FOREIGN_BUSY_S; None: it is not
    held: tuple[tuple[int, int], ...] = ()  # (unix second, least megabytes others held in it), oldest first
    grown: bool = False  # more than FOREIGN_GROWTH_MB came within the last second


def follow_foreign(before: Foreign, reading: Reading, second: int, since_s: float, *, settling: bool) -> Foreign:
    """What is known of others' use after one more reading, taken in the given unix second, `since_s` after the one before.

    `settling`: a worker of ours comes or goes, and the driver may still count its memory as a stranger's.
    """
    load, size = reading.foreign_load, reading.foreign_mb
    busy = None
    if load is not None and load >= FOREIGN_BUSY:
        busy = 0.0 if before.busy_s is None else min(FOREIGN_BUSY_S, before.busy_s + since_s)
    if size is None or settling:
        return Foreign(busy)
    recent = {at: least for at, least in before.held if 0 <= second - at <= 1}
    recent[second] = min(size, recent.get(second, size))
    return Foreign(busy, tuple(sorted(recent.items())), size - min(recent.values()) > FOREIGN_GROWTH_MB)


def tier_of(device: Device) -> Tier | None:
    """The tier a device is offered under, by usable memory until a benchmark says more; None when it is too small to rent."""
    if device.kind is DeviceKind.PRACTICE:
        return Tier.PRACTICE
    return next((tier for floor, tier in _FLOORS if device.memory_mb >= floor), None)


def number_of(account: int) -> int:
    """The GPU that an account of the registry belongs to: its token's id. Above it the account counts sales and changes of tier."""
    return account & ((1 << _ID_BITS) - 1)


def hardware_digest(uuid: str) -> str:
    """What names a physical GPU in the registry: a hash, since the driver's uuid is nobody else's business."""
    return "0x" + hashlib.sha256(f"sublet gpu {uuid}".encode()).hexdigest()
