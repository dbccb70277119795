"""What supervision and sandbox cost: `python -m tests.benchmarks.overhead [starts] [turns] [seconds]`; 20 of 16 of 0.3 s by default.

Two processes hold the same task with the same data, seed and number of threads: one is a plain Python loop over the kind's
steps, the other the real worker, in its sandbox, watched and committing its state. They never run at the same time (`pairing`).
Where a process' memory comes to lie is drawn at its start and weighs more than what supervision does, so both are started
anew many times. `overhead_train` and `overhead_infer` are the medians over starts of (steps/s supervised) / (steps/s bare),
with the 95 % interval of the median; `…_processor` are the same per second of processor time, which a busy machine disturbs
less. `snapshot_cost_percent` is the share of the worker's processor time that goes into commits, of the dearer kind, while nothing
stops the worker.
"""

import mmap
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import psutil

from desktop_app.adapters.supervisor import Supervisor, Tuning
from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device
from desktop_app.wire import arena
from tests.benchmarks import work
from tests.benchmarks.arenas import arenas, steps_done
from tests.benchmarks.pairing import Side, compare, interval

_ALONE_S = 15.0
_START_S = 120.0
_PATIENT = Patience(start_s=600, silence_s=3600, stall_s=3600)  # the worker is stopped half of the time
_WORKER = Path(__file__).with_name("counted_worker.py")


def bare(name: str, folder: Path, device: str, counter: Path) -> None:
    """The loop anybody would write: no gate, no commits, no supervisor; its count is kept where the worker's is, in shared memory."""
    import torch

    from desktop_app.worker.kinds.registry import load

    torch.set_num_threads(work.THREADS)
    task = work.TASKS[name]
    kind = load(task.kind, work.inputs(task, folder), task.params, work.SEED, device)
    with counter.open("r+b") as file, mmap.mmap(file.fileno(), arena.PAGE) as page:
        for index in range(kind.steps):
            kind.step(index)
            arena.STEPS.pack_into(page, arena.STEPS_AT, index + 1)


def main(starts: int, turns: int, seconds: float) -> None:
    shares = []
    with tempfile.TemporaryDirectory(prefix="sublet-overhead-") as place:
        folder = Path(place)
        for name in work.TASKS:
            found = []
            for start in range(starts):
                with both(name, folder, start) as (managed, plain):
                    found.append(compare(managed, plain, turns, seconds))
                    if start + 1 == starts:
                        shares.append(_share(managed, folder / f"{name}-{start}"))
                told = f"{found[-1].clock:.4f} by the clock, {found[-1].processor:.4f} by processor time"
                print(f"{name}, start {start + 1}: {told} (load {psutil.getloadavg()[0]:.1f})", flush=True)
            _report(f"overhead_{name}_processor", [one.processor for one in found])
            _report(f"overhead_{name}", [one.clock for one in found])
    work.figure("snapshot_cost_percent", 100 * max(shares), "%")


@contextmanager
def both(name: str, folder: Path, number: int, device: Device = work.DEVICE) -> Iterator[tuple[Side, Side]]:
    """Both sides of a task started anew on the device, managed and bare, and ended."""
    posted, root = SimpleQueue[m.Message](), folder / f"{name}-{number}"
    tuning = Tuning(threads=work.THREADS, patience=_PATIENT, script=_WORKER)
    lease = work.lease(root / "blobs", f"aaaa{number:04}", work.TASKS[name], 2048 if device is work.DEVICE else work.CUDA_RAM_MB)
    supervisor = Supervisor(posted.put, root / "blobs", root / "tasks", root / "logs", device, tuning=tuning)
    counter = root / "steps"
    counter.write_bytes(bytes(arena.PAGE))
    process = _bare_process(name, folder, "cpu" if device is work.DEVICE else "cuda", counter)
    try:
        supervisor.start(lease, None)
        managed = Side(_started(posted), lambda: steps_done(arenas(os.getpid())[0]))
        plain = Side(process.pid, lambda: steps_done(counter))
        _wait_for_steps(managed, plain)
        yield managed, plain
        _still_at_work(posted, process)
    finally:
        process.kill()
        process.communicate()
        supervisor.close()


def _wait_for_steps(*sides: Side) -> None:
    end = time.monotonic() + _START_S
    while not all(side.count() for side in sides):
        if time.monotonic() > end:
            raise SystemExit("one of the two has not begun its work")
        time.sleep(0.05)


def _still_at_work(posted: "SimpleQueue[m.Message]", process: "subprocess.Popen[bytes]") -> None:
    """What ended early was not measured."""
    while not posted.empty():
        message = posted.get()
        if isinstance(message, m.WorkerFailed | m.WorkerFinished):
            raise SystemExit(f"the worker ended: {message}")
    if process.poll() is not None:
        raise SystemExit("the bare loop ended")


def _share(managed: Side, root: Path) -> float:
    """The share of commits while the worker goes on, as it tells itself."""
    os.kill(managed.pid, signal.SIGCONT)
    told = []
    for _ in range(2):
        time.sleep(_ALONE_S)
        lines = [line.split() for line in (root / "logs" / "worker.log").read_text().splitlines() if "commits" in line]
        told.append((float(lines[-1][-3]), float(lines[-1][-1])))
    (before, begun), (after, ended) = told
    return (after - before) / (ended - begun)


def _report(name: str, ratios: list[float]) -> None:
    low, high = interval(sorted(ratios))
    work.figure(f"{name}_low", low, "ratio")
    work.figure(f"{name}_high", high, "ratio")
    work.figure(name, statistics.median(ratios), "ratio")


def _bare_process(name: str, folder: Path, device: str, counter: Path) -> "subprocess.Popen[bytes]":
    threads = str(work.THREADS)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = (sys.executable, "-m", "tests.benchmarks.overhead", "--bare", name, str(folder), device, str(counter))
    # a session of its own, as the worker has: the kernel shares the processor out between sessions first
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _started(posted: "SimpleQueue[m.Message]") -> int:
    while True:
        message = posted.get(timeout=120)
        if isinstance(message, m.WorkerFailed):
            raise SystemExit(message.detail)
        if isinstance(message, m.WorkerStarted):
            return message.pid


if __name__ == "__main__":
    if "--bare" in sys.argv:
        bare(sys.argv[2], Path(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
    else:
        words = [*(float(word) for word in sys.argv[1:]), *(20.0, 16.0, 0.3)[len(sys.argv) - 1 :]]
        main(int(words[0]), int(words[1]), words[2])
