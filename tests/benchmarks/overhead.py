"""What supervision and sandbox cost: `python -m tests.benchmarks.overhead [pairs] [seconds]`, 20 pairs of 6 s by default.

Two processes hold the same training task with the same data, seed and number of threads: one is a plain Python loop over
the kind's steps, the other the real worker, in its sandbox, watched and committing its state. They never run at the same
time: while one is measured the other is stopped (SIGSTOP), in ABBA order, so that drift of the machine falls on both alike.
Both have the same weight at the processor, the greatest one for root, since what else the machine runs is not the sandbox's doing.
`overhead_train` is the median over pairs of (steps/s supervised) / (steps/s bare), with the 95 % interval of the median from
order statistics; `overhead_train_processor` is the same per second of processor time, which a busy machine disturbs less.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

from desktop_app.adapters.supervisor import Supervisor, Tuning
from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.core import messages as m
from tests.benchmarks import work

_NICES = (-20, 19)  # as first as we may be, else as last as the worker is
_SETTLE_S = 0.5
_TOLD_S = 0.25
_PATIENT = Patience(start_s=600, silence_s=3600, stall_s=3600)  # the worker is stopped half of the time


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


def bare() -> None:
    """The loop anybody would write: no gate, no commits, no supervisor; says where it is as often as the worker does."""
    import torch

    from desktop_app.worker.kinds.registry import load

    torch.set_num_threads(work.THREADS)
    kind = load("train.classifier/1", {"data": work.DATA}, work.PARAMS, work.SEED, "cpu")
    said = 0.0
    for index in range(kind.steps):
        kind.step(index)
        now = time.perf_counter()
        if now - said >= _TOLD_S:
            print(index + 1, now, flush=True)
            said = now


def main(pairs: int, seconds: float) -> None:
    posted = SimpleQueue[m.Message]()
    with tempfile.TemporaryDirectory(prefix="sublet-overhead-") as folder:
        root = Path(folder)
        tuning = Tuning(threads=work.THREADS, patience=_PATIENT)
        supervisor = Supervisor(posted.put, root / "blobs", root / "tasks", root / "logs", work.DEVICE, tuning=tuning)
        supervisor.start(work.lease(root / "blobs", "overhead"), None)
        managed = Side(_started(posted), lambda: _told(posted))
        os.kill(managed.pid, signal.SIGSTOP)
        with _bare_process() as process:
            plain = Side(process.pid, lambda: _printed(process))
            try:
                ratios = _compare(managed, plain, pairs, seconds)
            finally:
                process.kill()
        os.kill(managed.pid, signal.SIGCONT)
        supervisor.close()
    _report("overhead_train_processor", [processor for _, processor in ratios])
    _report("overhead_train", [clock for clock, _ in ratios])


def _weigh_alike(*pids: int) -> None:
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


def _compare(managed: Side, plain: Side, pairs: int, seconds: float) -> list[tuple[float, float]]:
    """The ratios of each pair; every second pair begins with the other side, so that drift cancels out."""
    plain.next_count()  # loaded, and running
    _weigh_alike(plain.pid, managed.pid)
    os.kill(plain.pid, signal.SIGSTOP)
    plain.rate(seconds / 2)  # both warm
    managed.rate(seconds / 2)
    ratios = []
    for pair in range(pairs):
        order = (managed, plain) if pair % 2 == 0 else (plain, managed)
        rates = {side.pid: side.rate(seconds) for side in order}
        (clock, processor), (bare_clock, bare_processor) = rates[managed.pid], rates[plain.pid]
        ratios.append((clock / bare_clock, processor / bare_processor))
        where = f"bare step {1000 / bare_clock:.1f} ms, load {psutil.getloadavg()[0]:.1f}"
        print(f"pair {pair + 1}: {ratios[-1][0]:.4f} by the clock, {ratios[-1][1]:.4f} by processor time ({where})", flush=True)
    return ratios


def _report(name: str, ratios: list[float]) -> None:
    low, high = interval(sorted(ratios))
    work.figure(f"{name}_low", low, "ratio")
    work.figure(f"{name}_high", high, "ratio")
    work.figure(name, statistics.median(ratios), "ratio")


def interval(ordered: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median by order statistics: free of any assumption on the shape of the noise."""
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


def _bare_process() -> "subprocess.Popen[str]":
    threads = str(work.THREADS)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = (sys.executable, "-m", "tests.benchmarks.overhead", "--bare")
    # a session of its own, as the worker has: the kernel shares the processor out between sessions first
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def _started(posted: "SimpleQueue[m.Message]") -> int:
    while True:
        message = posted.get(timeout=120)
        if isinstance(message, m.WorkerFailed):
            raise SystemExit(message.detail)
        if isinstance(message, m.WorkerStarted):
            return message.pid


def _told(posted: "SimpleQueue[m.Message]") -> tuple[int, float]:
    """The next progress that the supervisor posts; older ones are skipped."""
    while True:
        try:
            posted.get_nowait()
        except Empty:
            break
    while True:
        message = posted.get(timeout=120)
        if isinstance(message, m.WorkerFailed):
            raise SystemExit(message.detail)
        if isinstance(message, m.WorkerProgressed):
            return message.progress.step, time.perf_counter()


def _printed(process: "subprocess.Popen[str]") -> tuple[int, float]:
    """The next count that the bare loop prints; older ones are skipped."""
    asked = time.perf_counter()
    assert process.stdout is not None
    for line in process.stdout:
        step, at = line.split()
        if float(at) > asked:
            return int(step), float(at)
    raise SystemExit("the bare loop ended")


if __name__ == "__main__":
    if "--bare" in sys.argv:
        bare()
    else:
        words = [float(word) for word in sys.argv[1:]]
        main(int(words[0]) if words else 20, words[1] if len(words) > 1 else 6.0)
