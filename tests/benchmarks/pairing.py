"""Comparing two processes that compute the same, fairly: one runs while the other is stopped, in turns, and both weigh alike.

Called by `overhead` and, for its interval, by `lora`.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_NICES = (-20, 19)  # as first as we may be, else as last as the worker is


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: the process that computes, and how many steps it has taken."""

    pid: int
    count: Callable[[], int]

    def run(self, seconds: float) -> float:
        """Let this side alone go on for so long; the seconds that it really was."""
        begun = time.perf_counter()
        os.kill(self.pid, signal.SIGCONT)
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGSTOP)
        return time.perf_counter() - begun

    def processor_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@dataclass(frozen=True, slots=True)
class Ratios:
    """What one side does in the time in which the other does one: by the clock, and by processor time."""

    clock: float
    processor: float


def compare(managed: Side, plain: Side, turns: int, seconds: float) -> Ratios:
    """All steps of all turns; both are running. Every second turn begins with the other side, so that drift cancels out.

    Short turns: what disturbs the machine lasts longer than one and falls on both alike. They are summed and not sorted, or what
    happens in few of them, a commit, would not count.
    """
    weigh_alike(plain.pid, managed.pid)
    sides = (managed, plain)
    for side in sides:
        os.kill(side.pid, signal.SIGSTOP)
    for side in sides:
        side.run(1.0)  # warm
    began = {side: (side.count(), side.processor_s()) for side in sides}
    clock = dict.fromkeys(sides, 0.0)
    for turn in range(turns):
        for side in sides if turn % 2 == 0 else sides[::-1]:
            clock[side] += side.run(seconds)
    steps = {side: side.count() - began[side][0] for side in sides}
    used = {side: side.processor_s() - began[side][1] for side in sides}
    by = [{side: steps[side] / spent[side] for side in sides} for spent in (clock, used)]
    return Ratios(*(rates[managed] / rates[plain] for rates in by))


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
