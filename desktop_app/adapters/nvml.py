"""The GPUs of this machine, asked through NVIDIA's management library; and the practice device, which is the CPU.

A figure that the driver does not give is None, and a GPU that is gone is a message, never an exception. The library is held
only between `open` and `close`: whoever holds it keeps a laptop's GPU awake. Called by the agent's senses and, to see the
memory come free, by the supervisor; from any thread.
"""

import hashlib
import platform
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pynvml

from desktop_app.core.gpu import Device, DeviceKind, Reading
from desktop_app.core.messages import GpuWentMissing

_T = TypeVar("_T")
_MB = 1 << 20
_GONE = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    }
)
UNTOLD_BOARD_WATTS = 350
"""For a board that does not say: as much as the largest common cards, so that sharing at a loss is the less likely mistake."""

PRACTICE_WATTS = 65
"""A desktop processor's rated power; the practice device draws what the CPU draws."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One user of a GPU. `memory_mb` is None where the driver does not say (Windows)."""

    pid: int
    memory_mb: int | None
    graphics: bool


class Nvml:
    """The management library. Every question can also be asked while it is closed; it is then opened for that question only."""

    def __init__(self) -> None:
        self._held = False

    def open(self) -> bool:
        """Hold the library, so that questions are quick. False where there is no driver."""
        if not self._held:
            try:
                pynvml.nvmlInit()
            except pynvml.NVMLError:
                return False
            self._held = True
        return True

    def close(self) -> None:
        """Let the GPU sleep. Twice is once."""
        if self._held:
            self._held = False
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()

    def find(self) -> list[Device]:
        """Every NVIDIA GPU that answers, in the driver's order; none without a driver."""
        with suppress(pynvml.NVMLError), self._open():
            driver = _told(pynvml.nvmlSystemGetDriverVersion)
            found = [_device(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
            return [device for device in found if device is not None]
        return []

    def read(self, device: Device) -> Reading | GpuWentMissing:
        """What the GPU says of itself now."""
        try:
            with self._open():
                return _reading(pynvml.nvmlDeviceGetHandleByUUID(device.uuid))
        except pynvml.NVMLError as error:
            return GpuWentMissing(device.uuid, str(error))

    def vram_used(self, device: Device) -> int | None:
        """Megabytes in use by anybody, without what the driver reserves; None if it cannot be told."""
        with suppress(pynvml.NVMLError), self._open():
            return _used_mb(pynvml.nvmlDeviceGetHandleByUUID(device.uuid))
        return None

    def processes(self, device: Device) -> tuple[GpuProcess, ...] | None:
        """Who uses the GPU; None if it cannot be told."""
        try:
            with self._open():
                handle = pynvml.nvmlDeviceGetHandleByUUID(device.uuid)
                compute = [_process(one, graphics=False) for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
                graphics = [_process(one, graphics=True) for one in pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)]
        except pynvml.NVMLError:
            return None
        return (*compute, *graphics)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """The library counts its own openings, so that one question's never ends another's."""
        pynvml.nvmlInit()
        try:
            yield
        finally:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()


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


def _told(question: Callable[[], _T]) -> _T | None:
    """The answer, or None where the driver has none; a GPU that is gone is still an error."""
    try:
        return question()
    except pynvml.NVMLError as error:
        if error.value in _GONE:
            raise
        return None


def _device(index: int, driver: str | None) -> Device | None:
    """The GPU at `index`; None if it does not answer, so that one broken card does not hide the others."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Device(
            kind=DeviceKind.NVIDIA,
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            name=pynvml.nvmlDeviceGetName(handle),
            memory_mb=pynvml.nvmlDeviceGetMemoryInfo(handle).total // _MB,
            board_watts=_board_watts(handle),
            index=index,
            driver=driver,
        )
    except pynvml.NVMLError:
        return None


def _board_watts(handle: object) -> int:
    milliwatts = _told(lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)) or _told(
        lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    )
    return round(milliwatts / 1000) if milliwatts else UNTOLD_BOARD_WATTS


def _reading(handle: object) -> Reading:
    load = _told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    milliwatts = _told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
    return Reading(
        memory_used_mb=_told(lambda: _used_mb(handle)),
        utilisation=None if load is None else int(load.gpu),
        temperature=_told(lambda: int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))),
        watts=None if milliwatts is None else round(milliwatts / 1000),
        fan=_told(lambda: int(pynvml.nvmlDeviceGetFanSpeed(handle))),
    )


def _used_mb(handle: object) -> int:
    """Without the driver's own share where the driver (since 510) tells it apart."""
    precise = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
    memory = precise if precise is not None else pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(memory.used) // _MB


def _process(one: "pynvml.c_nvmlProcessInfo_v3_t", *, graphics: bool) -> GpuProcess:
    return GpuProcess(int(one.pid), None if one.usedGpuMemory is None else int(one.usedGpuMemory) // _MB, graphics)


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
