"""Single figures of a GPU, each None where the driver has none. Used by the other modules of this folder."""

from collections.abc import Callable
from typing import TypeVar

import pynvml

from desktop_app.core.gpu import Device, DeviceKind, Reading

_T = TypeVar("_T")
MB = 1 << 20
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

_REASONS = (
    (pynvml.nvmlClocksEventReasonSwPowerCap, "SwPowerCap"),
    (pynvml.nvmlClocksEventReasonHwSlowdown, "HwSlowdown"),
    (pynvml.nvmlClocksEventReasonSwThermalSlowdown, "SwThermal"),
    (pynvml.nvmlClocksEventReasonHwThermalSlowdown, "HwThermal"),
    (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, "PowerBrake"),
)
"""Why clocks are held down against the work's wish; idle clocks and settings of the owner's are no such reasons."""


def told(question: Callable[[], _T]) -> _T | None:
    """The answer, or None where the driver has none; a GPU that is gone is still an error."""
    try:
        return question()
    except pynvml.NVMLError as error:
        if error.value in _GONE:
            raise
        return None


def device_at(index: int, driver: str | None) -> Device | None:
    """The GPU at `index`; None if it does not answer, so that one broken card does not hide the others."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Device(
            kind=DeviceKind.NVIDIA,
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            name=pynvml.nvmlDeviceGetName(handle),
            memory_mb=pynvml.nvmlDeviceGetMemoryInfo(handle).total // MB,
            board_watts=_board_watts(handle),
            index=index,
            driver=driver,
        )
    except pynvml.NVMLError:
        return None


def _board_watts(handle: object) -> int:
    milliwatts = told(lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)) or told(
        lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    )
    return round(milliwatts / 1000) if milliwatts else UNTOLD_BOARD_WATTS


def reading(handle: object) -> Reading:
    """What the card says of itself, without who else uses it. Raises NVMLError where it is gone."""
    load = told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    milliwatts = told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
    return Reading(
        memory_used_mb=told(lambda: used_mb(handle)),
        utilisation=None if load is None else int(load.gpu),
        temperature=told(lambda: int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))),
        watts=None if milliwatts is None else round(milliwatts / 1000),
        fan=told(lambda: int(pynvml.nvmlDeviceGetFanSpeed(handle))),
        energy_mj=told(lambda: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
        slowed=_slowed(handle),
    )


def _slowed(handle: object) -> tuple[str, ...] | None:
    """Drivers before 535 know the question by its older name only."""
    reasons = told(lambda: pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    if reasons is None:
        reasons = told(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    return None if reasons is None else tuple(name for bit, name in _REASONS if reasons & bit)


def used_mb(handle: object) -> int:
    """Without the driver's own share where the driver (since 510) tells it apart."""
    precise = told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
    memory = precise if precise is not None else pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(memory.used) // MB
