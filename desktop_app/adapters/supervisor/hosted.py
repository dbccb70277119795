"""One worker in its sandbox with everything around it: arena, channel, log. Started, listened to, ended.

Used by the session, which knows about leases and give-backs, by `run_sandboxed`, which knows neither, and by `warm`, which
starts one before there is a task for it.
"""

import os
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from desktop_app.adapters.supervisor.arena import Arena
from desktop_app.adapters.supervisor.cage import END_S, Cage, spawn
from desktop_app.adapters.supervisor.channel import Breach, Channel, Closed
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.adapters.supervisor.sandbox import Bounds, Sandbox
from desktop_app.adapters.supervisor.shelf import IN, Shelf
from desktop_app.adapters.supervisor.walls import Walls
from desktop_app.core.gpu import Device, DeviceKind
from desktop_app.core.state import Check
from desktop_app.wire import ipc

_CHECKPOINT = ".checkpoint"  # no role begins with a dot
_LINGER_S = 2.0  # between hanging up and ending


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to compute. `steps` 0: as many as the kind makes of it. Files are given by their place outside."""

    kind: str
    inputs: Mapping[str, Path]
    params: Mapping[str, int | float | str]
    seed: int
    steps: int = 0
    first_step: int = 0
    checkpoint: Path | None = None
    checkpoint_every: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    device: Device | None = None
    slot_bytes: int = 256 << 20  # pages that nobody writes take no memory
    output_bytes: int = 256 << 20
    script: Path | None = None  # a program other than the worker's


@dataclass(frozen=True, slots=True)
class Exited:
    """The sandbox ended by itself, with this status."""

    status: int


Event = ipc.FromWorker | Exited


class HostedWorker:
    """Built and started on the thread that stays; everything else may be called by another one, `close_gate` and `wake` by any.

    With a `shelf` it is started without a task: of `order` only the bounds, the device and the program count, and `take_on`
    gives it the real one.
    """

    def __init__(self, order: Order, log: WorkerLog, shelf: Shelf | None = None) -> None:
        self._order, self._log, self._shelf = order, log, shelf
        self.arena = Arena() if shelf else Arena(order.slot_bytes, order.output_bytes)
        self._channel = Channel()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._walls: Walls | None = None
        try:
            self._walls = Walls(order.bounds, order.device, (self._channel.worker_fd, self.arena.fd))
            self.cage: Cage = spawn(self._sandbox(self._walls.words))
        except BaseException:
            self._close_own()
            raise
        finally:
            os.close(self._channel.worker_fd)
            if self._walls:
                self._walls.started()
        self._hung_up: float | None = None
        self._poll = select.poll()
        for descriptor in (self._channel.fileno(), self._wake, self.cage.log, self.cage.outer_fd):
            self._poll.register(descriptor, select.POLLIN)

    def take_on(self, order: Order, log: WorkerLog) -> None:
        """Give a worker that was started without one its task: its bounds, its memory, its files. `load` is still to be said.

        Raises OSError where this machine cannot do that; the worker is then good for nothing but `end`.
        """
        assert self._shelf is not None  # noqa: S101 - it is for workers that were started with one
        self.cage.tighten(order.bounds)
        self.arena.lay_out(order.slot_bytes, order.output_bytes)
        for name, place in _files(order):
            self._shelf.put(name, place)
        self._order, self._log = order, log
        self.cage.come_forward()

    def say(self, message: ipc.ToWorker) -> None:
        self._channel.send(message)

    def fallen(self) -> tuple[Check, ...]:
        """What of its own sandbox did not hold, when it tried just now; asked at Hello. With any of it the worker gets no task."""
        return self._walls.fallen() if self._walls else ()

    def load(self) -> None:
        """Answer to Hello, once nothing has `fallen`: the task."""
        order = self._order
        inputs = {role: f"{IN}/{role}" for role in order.inputs}
        checkpoint = f"{IN}/{_CHECKPOINT}" if order.checkpoint else None
        self.say(
            ipc.Load(
                order.kind, inputs, dict(order.params), order.seed, order.steps, order.first_step, checkpoint, order.checkpoint_every,
                order.bounds.data_mb if self._shelf else 0,
            )
        )

    def wake(self) -> None:
        """Make `wait` return."""
        with suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def ended_while_waiting(self, timeout_s: float) -> bool:
        """Whether it ended before it was given a task; False when the time is over or somebody woke us. What it says is left for `wait`."""
        poll = select.poll()
        for descriptor in (self._wake, self.cage.log, self.cage.outer_fd):
            poll.register(descriptor, select.POLLIN)
        trial = self._walls if self._walls and not self._walls.judged else None
        if trial:
            poll.register(trial, 0)  # its report is complete when the other end is closed, which needs no asking for
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        if self.cage.log in ready:
            self._read_log()
        if trial and trial.fileno() in ready:
            trial.fallen()
        return self.cage.outer_fd in ready

    def wait(self, timeout_s: float) -> list[Event]:
        """What happened until something did, or the time was over. Raises Breach."""
        ready = {descriptor for descriptor, _ in self._poll.poll(max(0.0, timeout_s) * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        if self.cage.log in ready:
            self._read_log()
        events: list[Event] = []
        if self._channel.fileno() in ready:
            try:
                events += self._channel.receive()
            except Closed:
                self._poll.unregister(self._channel.fileno())
                self._hung_up = time.monotonic()
        if not events and self.cage.outer_fd in ready:  # what it said before it ended comes first
            events.append(Exited(self.cage.outer.wait()))
        elif self._hung_up is not None and time.monotonic() - self._hung_up > _LINGER_S:
            raise Breach("it hung up and lives on")
        return events

    def end(self) -> bool:
        """Kill everything in the sandbox and wait until it is gone; whether it is."""
        self.cage.kill()
        return self.cage.wait_gone(END_S)

    def close(self) -> None:
        """After `end`: let go of everything."""
        self._read_log()
        self.cage.close()
        self._close_own()

    def _sandbox(self, probe: tuple[int, int]) -> Sandbox:
        order = self._order
        nvidia = order.device is not None and order.device.kind is DeviceKind.NVIDIA
        inputs = [(IN, self._shelf.place)] if self._shelf else [(f"{IN}/{name}", place) for name, place in _files(order)]
        words = (
            "--ipc", str(self._channel.worker_fd), "--arena", str(self.arena.fd),
            "--device", "cuda" if nvidia else "cpu", "--threads", str(order.bounds.threads),
            *(("--warm",) if self._shelf else ()),
        )  # fmt: skip
        inherited = (self._channel.worker_fd, self.arena.fd, *probe)
        return Sandbox(words, order.bounds, tuple(inputs), order.device, order.script, inherited, probe)

    def _read_log(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(16):  # a flood must not keep us from listening to the rest
                printed = os.read(self.cage.log, 65536)
                if not printed:
                    with suppress(KeyError):
                        self._poll.unregister(self.cage.log)
                    return
                self._log.feed(printed)

    def _close_own(self) -> None:
        self._channel.close()
        self.arena.close()
        os.close(self._wake)
        if self._walls:
            self._walls.close()
        if self._shelf:
            self._shelf.clear()


def _files(order: Order) -> list[tuple[str, Path]]:
    """What the task reads, by the names it has inside."""
    return [*order.inputs.items(), *([(_CHECKPOINT, order.checkpoint)] if order.checkpoint else [])]
