"""The loops that measure: clock, GPU, owner's presence. Called by `agent.life`; nothing is decided here.

While nothing is shared only the clock ticks: a GPU that is asked for its temperature cannot sleep.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from desktop_app.adapters.clock import Clock
from desktop_app.adapters.nvml import Nvml, practice_device, read_practice
from desktop_app.adapters.presence import PresenceSensor
from desktop_app.core.gpu import Device, DeviceKind
from desktop_app.core.messages import ClockTicked, GpuFound, GpuMeasured, GpuWentMissing, Message, PresenceSensed
from desktop_app.core.state import State

TICK_S = 1.0
LOOK_S = 0.25  # an owner is noticed within this time
LOOKS_PER_READING = 4
_MB = 1 << 20


class Senses:
    """`post` takes what was measured, `state` tells whether there is any need to."""

    def __init__(self, root: Path, clock: Clock, post: Callable[[Message], None], state: Callable[[], State]) -> None:
        self._root = root
        self._clock = clock
        self._post = post
        self._state = state
        self._nvml = Nvml()
        self._presence = PresenceSensor()
        self._device: Device | None = None

    def find(self) -> Device:
        """The first NVIDIA GPU, else the practice device; may take a second, so in a thread."""
        found = self._nvml.find()
        self._device = found[0] if found else practice_device(self._root)
        return self._device

    def vram_free(self) -> int | None:
        """Bytes of GPU memory that are free, for the read-back after a give-back; None where there is none to read."""
        device = self._device
        if device is None or device.kind is DeviceKind.PRACTICE:
            return None
        used = self._nvml.vram_used(device)
        return None if used is None else (device.memory_mb - used) * _MB

    async def tick(self) -> None:
        """Tell the time, every second."""
        while True:
            await asyncio.sleep(TICK_S)
            self._post(ClockTicked(self._clock.now(), self._clock.zone()))

    async def look(self) -> None:
        """Look for the owner and at the GPU while sharing is on."""
        if self._device is not None:
            self._post(GpuFound(self._device))
        turn = 0
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._state().sharing.on:
                self.let_go()
                continue
            self._post(PresenceSensed(await asyncio.to_thread(self._presence.sense)))
            if turn % LOOKS_PER_READING == 0 and self._device is not None:
                await self._measure(self._device)
            turn += 1

    def let_go(self) -> None:
        """Hold neither the screen nor the driver, so that the GPU can sleep."""
        self._presence.close()
        self._nvml.close()

    async def _measure(self, device: Device) -> None:
        if device.kind is DeviceKind.PRACTICE:
            self._post(GpuMeasured(device.uuid, await asyncio.to_thread(read_practice)))
            return
        await asyncio.to_thread(self._nvml.open)
        seen = await asyncio.to_thread(self._nvml.read, device)
        self._post(seen if isinstance(seen, GpuWentMissing) else GpuMeasured(device.uuid, seen))
