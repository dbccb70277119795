"""How hard and how hot the card may run: its power limit, which may be changed with the right to, and its heat limits.

Used by `nvml.library`.
"""

from dataclasses import dataclass

import pynvml

from desktop_app.adapters.nvml.told import told


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """Watts. `now` is in force; `usual` is the maker's; `least` and `most` are what the driver lets anybody set."""

    now: int
    usual: int | None
    least: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class HeatLimits:
    """Degrees Celsius at which the card slows itself down, and turns itself off. None: the driver does not say."""

    slowdown: int | None
    shutdown: int | None


def power_limits(handle: object) -> PowerLimits:
    """Raises NVMLError where the card has no limit to tell."""
    usual = told(lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle))
    span = told(lambda: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle))
    return PowerLimits(
        now=_watts(pynvml.nvmlDeviceGetPowerManagementLimit(handle)),
        usual=None if usual is None else _watts(usual),
        least=None if span is None else -(-span[0] // 1000),
        most=None if span is None else span[1] // 1000,
    )


def heat_limits(handle: object) -> HeatLimits:
    """Raises NVMLError where the card is gone."""
    return HeatLimits(
        slowdown=told(lambda: int(pynvml.nvmlDeviceGetTemperatureThreshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN))),
        shutdown=told(lambda: int(pynvml.nvmlDeviceGetTemperatureThreshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN))),
    )


def _watts(milliwatts: int) -> int:
    return round(milliwatts / 1000)
