"""The management library itself, held while it is asked often. Called by the agent's senses and the supervisor; from any thread."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import pynvml

from desktop_app.adapters.nvml.faults import Listener
from desktop_app.adapters.nvml.power import HeatLimits, PowerLimits, heat_limits, power_limits
from desktop_app.adapters.nvml.processes import GpuProcess, users, with_others
from desktop_app.adapters.nvml.told import device_at, reading, told, used_mb
from desktop_app.core.gpu import Device, Reading
from desktop_app.core.messages import GpuWentMissing

CLOSE_S = 0.05  # a driver that hangs keeps its question for ever


class Nvml:
    """The management library. Every question can also be asked while it is closed; it is then opened for that question only."""

    def __init__(self) -> None:
        self._held = False
        self._listeners: dict[str, Listener | None] = {}  # None: this card's driver reports no errors
        self._lock = threading.Lock()

    def open(self) -> bool:
        """Hold the library, so that questions are quick. False where there is no driver."""
        with self._lock:
            if not self._held:
                try:
                    pynvml.nvmlInit()
                except pynvml.NVMLError:
                    return False
                self._held = True
            return True

    def close(self) -> None:
        """Let the GPU sleep. Twice is once; and it is the next time where another thread's question is under way."""
        if not self._lock.acquire(timeout=CLOSE_S):
            return
        try:
            if self._held:
                self._held = False
                for listener in self._listeners.values():
                    if listener is not None:
                        listener.close()
                self._listeners.clear()
                with suppress(pynvml.NVMLError):
                    pynvml.nvmlShutdown()
        finally:
            self._lock.release()

    def find(self) -> list[Device]:
        """Every NVIDIA GPU that answers, in the driver's order; none without a driver."""
        with suppress(pynvml.NVMLError), self._open():
            driver = told(pynvml.nvmlSystemGetDriverVersion)
            found = [device_at(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
            return [device for device in found if device is not None]
        return []

    def read(self, device: Device, own: Collection[int] = ()) -> Reading | GpuWentMissing:
        """What the GPU says of itself now, and what others than `own` (the pids of our worker and its children) do on it."""
        try:
            with self._card(device) as handle:
                return with_others(reading(handle), handle, own)
        except pynvml.NVMLError as error:
            return GpuWentMissing(device.uuid, str(error))

    def faults(self, device: Device) -> list[int]:
        """The XIDs that the driver reported since this was last asked, oldest first, and none from before the library was opened."""
        with self._lock:
            if not self._held:
                return []
            if device.uuid not in self._listeners:
                self._listeners[device.uuid] = None
                with suppress(pynvml.NVMLError):
                    self._listeners[device.uuid] = Listener(pynvml.nvmlDeviceGetHandleByUUID(device.uuid))
            listener = self._listeners[device.uuid]
            return [] if listener is None else listener.heard()

    def vram_used(self, device: Device) -> int | None:
        """Megabytes in use by anybody, without what the driver reserves; None if it cannot be told."""
        with suppress(pynvml.NVMLError), self._card(device) as handle:
            return used_mb(handle)
        return None

    def processes(self, device: Device) -> tuple[GpuProcess, ...] | None:
        """Who uses the GPU; None if it cannot be told."""
        with suppress(pynvml.NVMLError), self._card(device) as handle:
            return users(handle)
        return None

    def power_limits(self, device: Device) -> PowerLimits | None:
        """The power limit in force and what it may be; None if it cannot be told."""
        with suppress(pynvml.NVMLError), self._card(device) as handle:
            return power_limits(handle)
        return None

    def set_power_limit_w(self, device: Device, watts: int) -> bool:
        """Whether the limit is `watts` now. The driver refuses who is no administrator, and watts outside the card's span.

        The limit outlives this process: whoever lowers it sets it back.
        """
        with suppress(pynvml.NVMLError), self._card(device) as handle:
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, watts * 1000)
            return True
        return False

    def heat_limits(self, device: Device) -> HeatLimits | None:
        """Where the card slows itself down and turns itself off; None if it is gone."""
        with suppress(pynvml.NVMLError), self._card(device) as handle:
            return heat_limits(handle)
        return None

    @contextmanager
    def _card(self, device: Device) -> Iterator[object]:
        with self._open():
            yield pynvml.nvmlDeviceGetHandleByUUID(device.uuid)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """The library counts its own openings, so that one question's never ends another's."""
        pynvml.nvmlInit()
        try:
            yield
        finally:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()
