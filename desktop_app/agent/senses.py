"""The loops that measure: clock, owner's presence, GPU. Called by `agent.life`; nothing is decided here.

While nothing is shared only the clock ticks: a GPU that is asked for its temperature cannot sleep. The GPU is asked in a loop
of its own, since a driver that hangs must not keep anybody from noticing the owner.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from desktop_app.adapters.clock import Clock
from desktop_app.adapters.memory import free_mb
from desktop_app.adapters.nvml import Nvml, practice_device, read_practice
from desktop_app.adapters.presence import PresenceSensor
from desktop_app.core.bench import TrialPhase
from desktop_app.core.gpu import Device, DeviceKind, Reading
from desktop_app.core.messages import (
    ClockTicked,
    GpuFaulted,
    GpuFound,
    GpuMeasured,
    GpuWentMissing,
    MemoryMeasured,
    Message,
    PresenceSensed,
)
from desktop_app.core.settings import app_names
from desktop_app.core.state import State

TICK_S = 1.0
REST_S = 0.5  # while nothing is shared, and nothing is looked at: how soon the first look follows the owner's click
LOOK_S = 0.2
LOOK_AT_WORK_S = 0.1  # while a task runs: a look costs a millisecond or two, and the owner gets it back as waiting saved
LOOKS_PER_READING = 5  # while no task runs
GPU_PATIENCE_S = 3.0  # a driver that says nothing for so long has lost its card
_MB = 1 << 20
_Seen = tuple[Reading | GpuWentMissing, list[int]]  # and the errors (XID) reported since the look before


class Pace:
    """Turns that begin a step apart however long each takes."""

    def __init__(self) -> None:
        self._before = self._began = time.monotonic()

    @property
    def since(self) -> float:
        """Seconds since the turn before this one began (asleep ones not counted): what is found now may be so old."""
        return time.monotonic() - self._before

    async def turn(self, step_s: float) -> float:
        """Wait for the next turn; the seconds since the one before began."""
        await asyncio.sleep(max(0.0, self._began + step_s - time.monotonic()))
        self._before, self._began = self._began, time.monotonic()
        return self._began - self._before


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

    def vram_users(self) -> frozenset[int] | None:
        """The processes that hold memory of the GPU, for the same; None where it cannot be told."""
        device = self._device
        users = None if device is None or device.kind is DeviceKind.PRACTICE else self._nvml.processes(device)
        return None if users is None else frozenset(user.pid for user in users)

    def programs(self) -> tuple[str, ...]:
        """Programs with a window, and those that draw with the GPU: one look, in a thread."""
        device = self._device
        users = None if device is None or device.kind is DeviceKind.PRACTICE else self._nvml.processes(device)
        return self._presence.candidates(user.pid for user in users or () if user.graphics)

    async def tick(self) -> None:
        """Tell the time on every second of the clock: an hour of the schedule ends when it ends."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S - self._clock.now().timestamp() % TICK_S)
            before, since = time.monotonic(), time.monotonic() - before
            self._post(ClockTicked(self._clock.now(), self._clock.zone(), since))
            free = free_mb() if self._state().sharing.on else None
            if free is not None and free != self._state().warmth.free_mb:
                self._post(MemoryMeasured(free))

    async def look(self) -> None:
        """Look for the owner while sharing is on."""
        pace = Pace()
        while True:
            await pace.turn(_step(self._state()))
            if self._state().sharing.on:
                apps = app_names(self._state().settings)
                seen = await asyncio.to_thread(self._presence.sense, apps)
                self._post(PresenceSensed(seen, pace.since))
            else:
                self._presence.close()

    async def measure(self) -> None:
        """Look at the GPU while sharing is on: at every look while a task runs, else once a second."""
        if self._device is None:
            return
        self._post(GpuFound(self._device))
        pace, turns, since, reading = Pace(), 0, 0.0, None
        while True:
            since += await pace.turn(_step(self._state()))
            if not self._state().sharing.on:
                turns = 0
                self._nvml.close()
            elif reading is None and turns % LOOKS_PER_READING and not _at_work(self._state()):
                turns += 1
            else:
                turns += 1
                reading = await self._read(self._device, since, reading)
                since = 0.0

    def let_go(self) -> None:
        """Hold neither the screen nor the driver, so that the GPU can sleep."""
        self._presence.close()
        self._nvml.close()

    async def _read(
        self, device: Device, since: float, reading: "asyncio.Future[_Seen] | None"
    ) -> "asyncio.Future[_Seen] | None":
        """Post one reading. A driver that does not answer has lost its card; its answer, late, is waited for at the next turn."""
        begun = time.monotonic()
        reading = reading or asyncio.ensure_future(asyncio.to_thread(self._ask, device, self._own()))
        done, _ = await asyncio.wait({reading}, timeout=GPU_PATIENCE_S)
        if not done:
            self._post(GpuWentMissing(device.uuid, "the driver does not answer", since))
            return reading
        seen, faults = reading.result()
        for xid in faults:
            self._post(GpuFaulted(device.uuid, xid))
        since += time.monotonic() - begun
        self._post(replace(seen, since_s=since) if isinstance(seen, GpuWentMissing) else GpuMeasured(device.uuid, seen, since))
        return None

    def _ask(self, device: Device, own: tuple[int, ...]) -> _Seen:
        if device.kind is DeviceKind.PRACTICE:
            return read_practice(), []
        self._nvml.open()
        return self._nvml.read(device, own), self._nvml.faults(device)

    def _own(self) -> tuple[int, ...]:
        """The worker's process, whose use of the GPU is nobody else's."""
        state = self._state()
        pids = (state.gpu.trial.pid, state.task.pid if state.task else 0)
        return tuple(pid for pid in pids if pid)


def _step(state: State) -> float:
    if not state.sharing.on:
        return REST_S
    return LOOK_AT_WORK_S if _at_work(state) else LOOK_S


def _at_work(state: State) -> bool:
    return state.task is not None or state.gpu.trial.phase is not TrialPhase.RESTING
