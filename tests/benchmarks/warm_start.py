"""How soon a task begins with the worker that waits: `python -m tests.benchmarks.warm_start [pairs]`, 15 pairs by default.

A pair is one task started on the real supervisor, whose waiting worker has torch imported already, and one bare
`python train.py` of the same task: the same data, network, seed and number of threads, no more imports than it needs. Both
are timed from the order to the end of the first step, by one clock; they take turns in beginning, and never run together.
`warm_start_ratio` is the median over pairs. `cold_start_ms` is what a task takes whose sandbox has to be started first.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import psutil

from desktop_app.adapters.supervisor import Supervisor
from desktop_app.core import messages as m
from desktop_app.core.state import Trigger
from tests.benchmarks import work

_SETTLED_S = 0.5
_PATIENCE_S = 120.0
_COLD = 5
_TRAIN = """
import sys, time
from pathlib import Path
import torch
from desktop_app.worker.kinds.train_classifier import TrainClassifier
from tests.benchmarks import work
torch.set_num_threads(work.THREADS)
kind = TrainClassifier({"data": work.DATA}, work.PARAMS, work.SEED, torch.device("cpu"))
kind.step(0)
print(time.monotonic(), flush=True)
"""


@dataclass
class Stage:
    """The supervisor, and what it says with the time at which it was said."""

    root: Path

    def __post_init__(self) -> None:
        self.said = SimpleQueue[tuple[float, m.Message]]()
        self.supervisor: Supervisor = work.supervisor(self.root, self)  # type: ignore[arg-type]
        self.runs = 0

    def put(self, message: m.Message) -> None:
        self.said.put((time.monotonic(), message))

    def start(self) -> float:
        """Milliseconds from the order to the first step."""
        self.runs += 1
        task_id = f"warm-{self.runs}"
        lease = work.lease(self.root / "blobs", task_id)
        begun = time.monotonic()
        self.supervisor.start(lease, None)
        ended = self._until(m.WorkerProgressed)
        self.supervisor.give_back(task_id, Trigger.CLICK, 200)
        self._until(m.GpuGivenBack)
        self.supervisor.forget(task_id)
        return 1000 * (ended - begun)

    def warm(self) -> None:
        """Have a worker wait, and wait until it has nothing more to do."""
        self.supervisor.warm()
        end, used, before = time.monotonic() + _PATIENCE_S, 0.0, -1.0
        while used < 0.5 or used - before > 0.01:
            if time.monotonic() > end:
                raise SystemExit("the worker that waits does not come to rest")
            _hasten()
            time.sleep(_SETTLED_S)
            before, used = used, _worker_s()

    def _until(self, kind: type[m.Message]) -> float:
        while True:
            at, message = self.said.get(timeout=_PATIENCE_S)
            if isinstance(message, m.WorkerFailed):
                raise SystemExit(message.detail)
            if isinstance(message, kind):
                return at


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sublet-warm-") as folder:
        train = Path(folder) / "train.py"
        train.write_text(_TRAIN)
        stage = Stage(Path(folder))
        try:
            stage.start()  # every file is in memory now, for both
            _bare(train)
            warm, bare = _compare(stage, train, pairs)
            cold = [stage.start() for _ in range(_COLD)]
        finally:
            stage.supervisor.close()
    work.figure("warm_start_ms", statistics.median(warm), "ms")
    work.figure("bare_start_ms", statistics.median(bare), "ms")
    work.figure("cold_start_ms", statistics.median(cold), "ms")
    work.figure("warm_start_ratio", statistics.median(one / other for one, other in zip(warm, bare, strict=True)), "ratio")


def _compare(stage: Stage, train: Path, pairs: int) -> tuple[list[float], list[float]]:
    warm: list[float] = []
    bare: list[float] = []
    for pair in range(pairs):
        stage.warm()
        if pair % 2:
            bare.append(_bare(train))
        warm.append(stage.start())
        if pair % 2 == 0:
            bare.append(_bare(train))
        print(f"pair {pair + 1}: {warm[-1]:.0f} ms warm, {bare[-1]:.0f} ms bare (load {psutil.getloadavg()[0]:.1f})", flush=True)
    return warm, bare


def _bare(train: Path) -> float:
    """Milliseconds from the order to the first step of a program of its own."""
    begun = time.monotonic()
    done = subprocess.run((sys.executable, str(train)), stdout=subprocess.PIPE, text=True, check=True, env=_environment())
    return 1000 * (float(done.stdout) - begun)


def _environment() -> dict[str, str]:
    threads = str(work.THREADS)
    return {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PATH": "/usr/bin:/bin"}


def _hasten() -> None:
    """Lift the worker that gets ready from the very last place: on a busy machine we would wait for minutes, and it is not measured."""
    for process in psutil.Process().children(recursive=True):
        with suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text("0")


def _worker_s() -> float:
    """Processor seconds of everything that this process started and that still runs."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        used += times.user + times.system
    return used


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
