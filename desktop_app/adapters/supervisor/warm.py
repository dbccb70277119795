"""A worker that is started before there is a task for it: in its sandbox, torch imported, the device untouched.

Importing torch is most of what a task's start takes. At most one worker waits; it serves one task and dies with it, as any
other does. What it was started with must be no more than the task may have: where it is, or where the machine cannot change
a bound afterwards, the task starts in a sandbox of its own, as if nobody had waited. Used by `Supervisor`. Linux only.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import replace

from desktop_app.adapters.supervisor.hosted import HostedWorker, Order
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.adapters.supervisor.sandbox import Bounds
from desktop_app.adapters.supervisor.stale import Stale
from desktop_app.core.errors import AppError

NOTE = ".warm"  # the name of its note among the tasks'; no task is called so
_LAST_NICE = 19
_LOOK_S = 60.0


def ahead(order: Order) -> Order:
    """What a worker is started with when the task is not known: the least of every bound that cannot be changed later.

    The bound on memory can, so that it begins with all the machine has: no stranger's byte is inside yet.
    """
    machine_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return replace(order, bounds=replace(order.bounds, ram_mb=machine_mb, tmp_mb=Bounds().tmp_mb))


def fits(waiting: Order, order: Order) -> bool:
    """Whether a worker that was started for `waiting` may have the task: nothing fixed at its start exceeds what the task may have."""
    had, may = waiting.bounds, order.bounds
    same = replace(had, ram_mb=may.ram_mb, tmp_mb=may.tmp_mb) == may and had.tmp_mb <= may.tmp_mb and may.ram_mb <= had.ram_mb
    return same and (waiting.device, waiting.script) == (order.device, order.script)


class _Waiting:
    """One worker and the thread that tends it until it is handed over or let go."""

    def __init__(self, start: Callable[[], HostedWorker], stale: Stale, ended: Callable[[str], None]) -> None:
        self._start, self._stale, self._ended = start, stale, ended
        self._lock = threading.Lock()
        self._wanted = True
        self._kept = False  # for whoever takes it
        self._worker: HostedWorker | None = None
        self.thread = threading.Thread(target=self._live, name="sublet-warm", daemon=True)

    def let_go(self, *, keep: bool = False) -> None:
        """End the tending, and with it the worker unless it is to be kept; at once."""
        with self._lock:
            self._wanted, self._kept = False, keep
            if self._worker is not None:
                self._worker.wake()

    def taken(self) -> HostedWorker | None:
        """The worker, alive and no longer tended; None if it has ended. Waits for a start that is under way."""
        self.let_go(keep=True)
        self.thread.join()
        return self._worker

    def _live(self) -> None:
        try:
            worker = self._start()
        except (OSError, AppError) as error:
            self._ended(f"it could not be started: {error}")
            return
        with self._lock:
            self._worker = worker
        self._stale.note(NOTE, worker.cage.outer.pid)
        ended = self._tend(worker)
        self._stale.clear(NOTE)
        if self._kept and not ended:
            return
        self._worker = None
        worker.end()
        worker.close()
        if ended:
            self._ended("it ended by itself")

    def _tend(self, worker: HostedWorker) -> bool:
        """Until it is not wanted any more, or has ended: then True."""
        noted = False
        while self._wanted:
            if worker.ended_while_waiting(_LOOK_S if noted else 0.05):
                return True
            if not noted and worker.cage.program_pid() is not None:
                noted = True
                self._stale.note(NOTE, worker.cage.outer.pid, worker.cage.inner_pid)
                worker.cage.stand_back(_LAST_NICE)
        return False


class Warmer:
    """Keeps at most one worker waiting. `keep` and `drop` return at once and may be called from any thread.

    `start` makes a worker on the thread that stays; `ended` is called when the one that waits does so no more, for no reason of ours.
    """

    def __init__(self, order: Order, start: Callable[[Order], HostedWorker], stale: Stale, ended: Callable[[str], None]) -> None:
        self._order, self._start, self._stale, self._ended = ahead(order), start, stale, ended
        self._lock = threading.Lock()
        self._waiting: _Waiting | None = None
        self._leaving: list[threading.Thread] = []

    def keep(self) -> None:
        """Have a worker wait."""
        with self._lock:
            if self._waiting is None or not self._waiting.thread.is_alive():
                self._waiting = _Waiting(lambda: self._start(self._order), self._stale, self._ended)
                self._waiting.thread.start()

    def drop(self) -> None:
        """Have none wait: end it."""
        waiting = self._take()
        if waiting is not None:
            waiting.let_go()

    def hand_over(self, order: Order, log: WorkerLog) -> HostedWorker | None:
        """The worker that waited, made ready for this task; None when there is none, or none that fits."""
        waiting = self._take()
        if waiting is None:
            return None
        if not fits(self._order, order):
            waiting.let_go()
            return None
        worker = waiting.taken()
        if worker is None:
            return None
        try:
            worker.take_on(order, log)
        except OSError:
            worker.end()
            worker.close()
            return None
        return worker

    def close(self) -> None:
        """End it and wait until it is gone."""
        self.drop()
        for thread in self._leaving:
            thread.join()

    def _take(self) -> _Waiting | None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
            self._leaving = [thread for thread in self._leaving if thread.is_alive()]
            if waiting is not None:
                self._leaving.append(waiting.thread)
            return waiting
