"""Comparing two processes that compute the same, fairly: one runs while the other is stopped, in turns, and both weigh alike.

Called by `overhead` and, for its interval, by `lora`.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_NICES = (-20, 19)  # as first as we may be, else as last as the worker is
_SETTLE_S = 0.4


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: the process that computes, and a way to wait for its next (step, time)."""

    pid: int
    next_count: Callable[[], tuple[int, float]]

    def rate(self, seconds: float) -> tuple[float, float]:
        """Steps per second of the clock, and per second of processor time, while this side alone runs."""
        os.kill(self.pid, signal.SIGCONT)
        time.sleep(_SETTLE_S)
        first, begun = self.next_count()
        last, ended, used = first, begun, self._processor_s()
        while ended - begun < seconds:
            last, ended = self.next_count()
        used = self._processor_s() - used
        os.kill(self.pid, signal.SIGSTOP)
        return (last - first) / (ended - begun), (last - first) / used

    def _processor_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@dataclass(frozen=True, slots=True)
class Ratios:
    """What one side does in the time in which the other does one: by the clock, and by processor time."""

    clock: float
    processor: float


def compare(managed: Side, plain: Side, pairs: int, seconds: float) -> Ratios:
    """The medians over pairs; both are running. Every second pair begins with the other side, so that drift cancels out."""
    weigh_alike(plain.pid, managed.pid)
    for side in (plain, managed):
        os.kill(side.pid, signal.SIGSTOP)
    for side in (plain, managed):  # warm
        side.rate(seconds / 2)
    clocks, processors = [], []
    for pair in range(pairs):
        order = (managed, plain) if pair % 2 == 0 else (plain, managed)
        rates = {side.pid: side.rate(seconds) for side in order}
        (clock, processor), (bare_clock, bare_processor) = rates[managed.pid], rates[plain.pid]
        clocks.append(clock / bare_clock)
        processors.append(processor / bare_processor)
    return Ratios(statistics.median(clocks), statistics.median(processors))


def weigh_alike(*pids: int) -> None:
    """Give both the same weight at the processor: before everything else where we may, so that the machine's other work counts less."""
    for nice in _NICES:
        try:
            for pid in pids:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)
                with suppress(FileNotFoundError):
                    Path(f"/proc/{pid}/autogroup").write_text(str(nice))
            return
        except PermissionError:
            continue


def interval(ordered: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the median by order statistics: free of any assumption on the shape of the noise.

    Of fewer than six values it is all of them, which promises less.
    """
    count = len(ordered)
    rank = next((rank for rank in range(count // 2, 0, -1) if _coverage(count, rank) >= 0.95), 1)
    return ordered[rank - 1], ordered[count - rank]


def _coverage(count: int, rank: int) -> float:
    """How likely the median lies between the `rank`-th smallest and the `rank`-th largest of `count` values."""
    total, term = 0.0, 0.5**count
    for below in range(count + 1):
        if rank <= below <= count - rank:
            total += term
        term = term * (count - below) / (below + 1)
    return total
