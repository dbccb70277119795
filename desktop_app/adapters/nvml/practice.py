"""The practice device: this machine's own processor, lent on the practice network where there is no GPU.

Called by the agent's senses.
"""

import hashlib
import platform
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

from desktop_app.core.gpu import Device, DeviceKind, Reading

_MB = 1 << 20

PRACTICE_WATTS = 65
"""A desktop processor's rated power; the practice device draws what the CPU draws."""


def practice_device(profile: Path) -> Device:
    """The CPU as a device to practise with. Its uuid is made from this machine and the profile's folder, and tells neither."""
    tag = hashlib.sha256(f"sublet practice device\0{_machine_id()}\0{profile}".encode()).hexdigest()
    return Device(
        kind=DeviceKind.PRACTICE,
        uuid=f"PRACTICE-{tag[:32]}",
        name=_cpu_name(),
        memory_mb=psutil.virtual_memory().total // _MB,
        board_watts=PRACTICE_WATTS,
    )


def read_practice() -> Reading:
    """What the CPU says of itself: load since the last question, memory in use, heat if the system tells."""
    memory = psutil.virtual_memory()
    return Reading(
        memory_used_mb=(memory.total - memory.available) // _MB,
        utilisation=round(psutil.cpu_percent()),
        temperature=_cpu_temperature(),
    )


def _machine_id() -> str:
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        with suppress(OSError):
            if text := path.read_text().strip():
                return text
    return f"{platform.node()} {uuid.getnode()}"


def _cpu_name() -> str:
    """The processor's name as people know it, else its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine() or "CPU"


def _cpu_temperature() -> int | None:
    if sys.platform != "linux":
        return None
    sensors = psutil.sensors_temperatures()
    for name in ("coretemp", "k10temp", "zenpower", "cpu_thermal", "acpitz"):
        if readings := sensors.get(name):
            return round(max(reading.current for reading in readings))
    return None
