"""What only a real GPU can tell, in ten minutes: `python -m tests.benchmarks.gpu_plan [--card N] [parts]`, all parts by default.

    cuinit     cuInit and one kernel in the sandbox, which shows the rented card's nodes and no others
    kill       from SIGKILL of a sandbox that holds 1, 8 and 40 GB of the card to its memory read back free; medians of three
    snapshot   a state's commit from the card into the arena's memfd, as it is and registered with CUDA (pinned)
    overhead   the supervised, sandboxed task against the bare loop, as in `overhead`
    lora       `train.lora/1` against peft, as in `lora`
    bench      `bench/1` as the agent orders it, in the sandbox

Each part is a process of its own with a time limit, together ten minutes; what is over its limit is ended and said. Exits with 0
when all was measured, 1 when a part was not, 2 where there is no GPU. Nothing here saves and restores a process' GPU state
(cuda-checkpoint): killing a restored process has hung whole machines.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

import psutil

from desktop_app.adapters.nvml import Nvml
from desktop_app.adapters.supervisor import Supervisor
from desktop_app.adapters.supervisor.arena import Arena
from desktop_app.adapters.supervisor.cage import Cage, spawn
from desktop_app.adapters.supervisor.sandbox import Bounds, Sandbox
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device, Reading
from desktop_app.core.money import Rate
from desktop_app.core.task import Lease
from desktop_app.core.update.benchmark import order
from tests.benchmarks import work

NONE_HERE = "No NVIDIA GPU answers on this machine, so nothing of the plan can be measured here."
SLACK_MB = 64  # what the driver and the desktop may take meanwhile
_KERNEL = Path(__file__).parents[1] / "adapters/one_kernel.py"
_ROOT = Path(__file__).parents[2]
_HELD_GB = (1, 8, 40)
_CONTEXT_MB = 1500
_STATES_MB = (64, 1024, 8192)
_WARM, _COMMITS, _KILLS = 2, 5, 3
_UNITS = {"tflops": "TFLOPS", "gbps": "GB/s", "mb": "MB"}


@dataclass(frozen=True, slots=True)
class Said:
    """What `one_kernel` said from inside; milliseconds. `refused` is empty where the driver let it in."""

    nodes: list[str]
    init_ms: float
    made: list[int]
    refused: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the plan: what measures it, how many seconds it may take, whether torch must know CUDA for it."""

    measure: Callable[[Device], None]
    limit_s: float
    cuda: bool = True


@contextmanager
def asked(card: Device, *words: str) -> Iterator[tuple[Said, Cage]]:
    """What the driver answers in a sandbox with this card, and that sandbox; RuntimeError where nothing was answered."""
    cage = spawn(Sandbox(words, Bounds(ram_mb=work.CUDA_RAM_MB), device=card, script=_KERNEL))
    try:
        yield said(cage.log, 60), cage
    finally:
        cage.end()


def said(log: int, seconds: float) -> Said:
    """The line that `one_kernel` printed; RuntimeError with what was printed when it is none."""
    printed, end = b"", time.monotonic() + seconds
    while b"\n" not in printed and select.select([log], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(log, 65536)
        if not piece:
            break
        printed += piece
    try:
        return Said(**json.loads(printed.splitlines()[0]))
    except (IndexError, ValueError, TypeError):
        raise RuntimeError(f"the sandbox told nothing of the card: {printed.decode('utf-8', 'replace')[-300:]!r}") from None


def free_again(used_mb: Callable[[], int | None], baseline_mb: int, seconds: float) -> bool:
    """Whether no more than the baseline is in use before the time is over; asked every 5 ms."""
    end = time.monotonic() + seconds
    while (used := used_mb()) is None or used > baseline_mb + SLACK_MB:
        if time.monotonic() >= end:
            return False
        time.sleep(0.005)
    return True


def snapshot_gbps(device: str, megabytes: int, *, pinned: bool) -> float:
    """GB/s of committing a state of so many MiB from torch's `device` into an arena, by the worker's own code; the median."""
    import torch

    from desktop_app.worker.snapshot import Arena as Slots

    owner = Arena((megabytes << 20) + (64 << 10))
    try:
        slots = Slots(owner.fd)
        memory = torch.frombuffer(slots._memory, dtype=torch.uint8)
        runtime = torch.cuda.cudart() if pinned else None  # type: ignore[no-untyped-call]
        if runtime:
            torch.cuda.check_error(int(runtime.cudaHostRegister(memory.data_ptr(), memory.numel(), 0)))
        state = {"weights": torch.randint(256, (megabytes << 20,), dtype=torch.uint8, device=device)}
        took = [slots.commit(state, step).seconds for step in range(_WARM + _COMMITS)]
        if runtime:
            torch.cuda.check_error(int(runtime.cudaHostUnregister(memory.data_ptr())))
        return (megabytes << 20) / 1e9 / statistics.median(took[_WARM:])
    finally:
        owner.close()


def guarded(name: str, command: list[str], limit_s: float, environment: dict[str, str]) -> bool:
    """Run one part; whether it ended well. Past its limit it is killed with all it started, sandboxes included."""
    process = subprocess.Popen(command, cwd=_ROOT, env=os.environ | environment, start_new_session=True)
    try:
        ended = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        print(f"{name} was not measured: it took longer than {limit_s:g} s", flush=True)
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if ended != 0:
        print(f"{name} was not measured: see above", flush=True)
    return ended == 0


def _cuinit(card: Device) -> None:
    with asked(card) as (answer, _):
        if answer.refused or answer.made != [2 * number for number in range(32)]:
            raise SystemExit(f"cuInit and a kernel in the sandbox: {answer.refused or answer.made}")
    print(f"nodes in the sandbox: {', '.join(answer.nodes)}")
    work.figure("cuinit_sandboxed_ms", answer.init_ms, "ms")


def _kill(card: Device) -> None:
    nvml = Nvml()
    nvml.open()
    for size in _HELD_GB:
        if card.memory_mb - (nvml.vram_used(card) or 0) < size * 1024 + _CONTEXT_MB:
            print(f"kill at {size} GB: it does not fit on this card")
            continue
        times = [_killed(nvml, card, size) for _ in range(_KILLS)]
        work.figure(f"kill_{size}gb_gone_ms", statistics.median(gone for gone, _ in times), "ms")
        work.figure(f"kill_{size}gb_free_ms", statistics.median(free for _, free in times), "ms")
    nvml.close()


def _killed(nvml: Nvml, card: Device, size: int) -> tuple[float, float]:
    """Milliseconds from the kill to the processes gone, and to the memory free."""
    before = nvml.vram_used(card)
    with asked(card, "hold", str(size << 30)) as (answer, cage):
        held = nvml.vram_used(card)
        if answer.refused or before is None or held is None or held - before < size * 1000:
            raise SystemExit(f"{size} GB were not held: {answer.refused or held}")
        begun = time.monotonic()
        cage.kill()
        cage.wait_gone(10)
        gone = time.monotonic()
        if not free_again(lambda: nvml.vram_used(card), before, 10):
            raise SystemExit(f"{size} GB were not free ten seconds after the kill")
        return 1000 * (gone - begun), 1000 * (time.monotonic() - begun)


def _snapshot(card: Device) -> None:
    for size in _STATES_MB:
        if 4 * size << 20 > psutil.virtual_memory().available or 2 * size > card.memory_mb:
            print(f"snapshot of {size} MB: there is no room for it")
            continue
        for pinned in (False, True):
            how = "pinned" if pinned else "pageable"
            work.figure(f"snapshot_{size}mb_{how}_gbps", snapshot_gbps("cuda", size, pinned=pinned), "GB/s")


def _overhead(card: Device) -> None:
    from tests.benchmarks.overhead import both
    from tests.benchmarks.pairing import compare

    with tempfile.TemporaryDirectory(prefix="sublet-gpu-") as place:
        for name in work.TASKS:
            with both(name, Path(place), 0, card) as (managed, plain):
                found = compare(managed, plain, 30, 0.3)
            work.figure(f"gpu_overhead_{name}", found.clock, "ratio")


def _lora(_card: Device) -> None:
    from tests.benchmarks import lora

    lora.main(8, 24, "cuda")


def _bench(card: Device) -> None:
    nvml, posted = Nvml(), SimpleQueue[m.Message]()
    reading = nvml.read(card)
    ordered = order(card, reading if isinstance(reading, Reading) else Reading(), 0, work.SEED)
    with tempfile.TemporaryDirectory(prefix="sublet-gpu-") as place:
        root = Path(place)
        supervisor = Supervisor(posted.put, root / "blobs", root / "tasks", root / "logs", card)
        try:
            supervisor.start(Lease(ordered, 0, "", Rate(0)), None)
            while not isinstance(message := posted.get(timeout=120), m.WorkerFinished):
                if isinstance(message, m.WorkerFailed):
                    raise SystemExit(message.detail)
        finally:
            supervisor.close()
    for name, value in message.metrics:
        work.figure(f"bench_{name}", value, _UNITS[name.rsplit("_", 1)[1]])


PARTS = {
    "cuinit": Part(_cuinit, 40, cuda=False),
    "kill": Part(_kill, 120, cuda=False),
    "snapshot": Part(_snapshot, 80),
    "overhead": Part(_overhead, 140),
    "lora": Part(_lora, 100),
    "bench": Part(_bench, 120),
}


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu_plan")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all of them by default")
    parser.add_argument("--card", type=int, default=0, help="its place in the driver's list")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)  # the process that measures one part
    read = parser.parse_args(words)
    for unknown in set(read.parts) - set(PARTS):
        parser.error(f"there is no part {unknown!r}: choose from {', '.join(PARTS)}")
    return read


def main(words: list[str]) -> int:
    read = arguments(words)
    card = next((one for one in Nvml().find() if one.index == read.card), None)
    if card is None:
        print(NONE_HERE, file=sys.stderr)
        return 2
    if read.inside:
        _measure(PARTS[read.inside], card)
        return 0
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {card.name}, {card.memory_mb} MB, driver {card.driver}", flush=True)
    command = [sys.executable, "-m", "tests.benchmarks.gpu_plan", "--card", str(read.card), "--inside"]
    sees = {"CUDA_VISIBLE_DEVICES": card.uuid}
    chosen = [name for name in PARTS if name in (read.parts or PARTS)]
    done = [guarded(name, [*command, name], PARTS[name].limit_s, sees) for name in chosen]
    return 0 if all(done) else 1


def _measure(part: Part, card: Device) -> None:
    if part.cuda:
        import torch

        if torch.version.cuda is None:
            raise SystemExit("This torch is built without CUDA.")
    part.measure(card)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
