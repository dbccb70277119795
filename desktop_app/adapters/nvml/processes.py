"""Who uses the GPU: all its processes, and of those the ones that are not ours. Used by `nvml.library`."""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

import psutil
import pynvml

from desktop_app.adapters.nvml.told import MB, told
from desktop_app.core.gpu import Reading

WINDOW_S = 1.0
"""The driver keeps samples of each process's load; older ones are no news."""

_NOBODY = frozenset({pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND})
"""The driver's ways to say that no process used the card."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One user of a GPU. `memory_mb` is None where the driver does not say (Windows)."""

    pid: int
    memory_mb: int | None
    graphics: bool


def users(handle: object) -> tuple[GpuProcess, ...]:
    """Everybody who uses the card; who draws and computes is listed twice. Raises NVMLError."""
    compute = [_process(one, graphics=False) for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
    graphics = [_process(one, graphics=True) for one in pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle)]
    return (*compute, *graphics)


def with_others(seen: Reading, handle: object, own: Collection[int]) -> Reading:
    """The reading with what others than `own` (pids) do on the card. Raises NVMLError where it is gone."""
    everybody = told(lambda: users(handle))
    if everybody is None:
        return seen
    others = [one for one in everybody if one.pid not in own]
    loads = _loads(handle)
    drawing = {one.pid: loads.get(one.pid, 0) for one in others if one.graphics} if loads is not None else {}
    busiest = max(drawing, key=lambda pid: drawing[pid], default=0)
    return replace(
        seen,
        foreign_mb=_memory(others),
        foreign_load=None if loads is None else drawing.get(busiest, 0),
        foreign_name=_name(busiest) if drawing.get(busiest) else "",
    )


def _memory(others: list[GpuProcess]) -> int | None:
    """Of all together, each counted once; None where the driver does not say for one of them."""
    sizes: dict[int, int] = {}
    for one in others:
        if one.memory_mb is None:
            return None
        sizes[one.pid] = max(one.memory_mb, sizes.get(one.pid, 0))
    return sum(sizes.values())


def _loads(handle: object) -> dict[int, int] | None:
    """Percent of the processors by pid, from each one's newest sample; None where the driver does not say."""
    samples = told(lambda: _samples(handle))
    return None if samples is None else {pid: load for _, pid, load in sorted(samples)}


def _samples(handle: object) -> list[tuple[int, int, int]]:
    """Time, pid and load. Raises NVMLError."""
    try:
        found = pynvml.nvmlDeviceGetProcessUtilization(handle, int((time.time() - WINDOW_S) * 1e6))
    except pynvml.NVMLError as error:
        if error.value in _NOBODY:
            return []
        raise
    return [(int(one.timeStamp), int(one.pid), int(one.smUtil)) for one in found]


def _name(pid: int) -> str:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).name()
    return ""


def _process(one: "pynvml.c_nvmlProcessInfo_v3_t", *, graphics: bool) -> GpuProcess:
    return GpuProcess(int(one.pid), None if one.usedGpuMemory is None else int(one.usedGpuMemory) // MB, graphics)
