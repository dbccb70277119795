"""The program inside the sandbox: load one task, take its micro-steps, and have its state outside before it is asked for.

Started by the supervisor as `desktop_app.worker.main --ipc FD --arena FD …`, with both descriptors inherited. The gate in
the arena is read before every micro-step; when it is closed, the state is committed once more, that is said, and the worker
waits to be killed. It has nothing to tidy up: whatever it was doing when it dies, the last committed state is whole. With
`--warm` it makes itself ready first, since its task may come later.
"""

import argparse
import importlib.metadata
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from desktop_app.wire import ipc

if TYPE_CHECKING:
    import torch

    from desktop_app.worker.kinds import Kind
    from desktop_app.worker.snapshot import Arena, Commit

BEAT_S = 1.0
PROGRESS_S = 0.25


class Line:
    """The way to the supervisor: one packet per message, sent by any thread. When it is cut, this process ends."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)

    def say(self, message: ipc.FromWorker) -> None:
        try:
            self._socket.send(ipc.pack(message))
        except OSError:
            os._exit(0)

    def hear(self) -> ipc.ToWorker:
        """The next message, waited for."""
        try:
            frame = self._socket.recv(ipc.FRAME_LIMIT + 1)
        except OSError:
            os._exit(0)
        if not frame:  # the supervisor is gone
            os._exit(0)
        return ipc.parse_to_worker(frame)


def main(argv: list[str]) -> int:
    """Run one task to its end; the exit status. With --check-runtime only say whether torch can be imported."""
    words = _arguments(argv)
    if words.check_runtime:
        return _check_runtime()
    line = Line(words.ipc)
    line.say(ipc.Hello(ipc.PROTOCOL, os.getpid(), _engine()))
    if words.warm:
        _warm_up(words.threads)
    first = line.hear()
    if not isinstance(first, ipc.Load):
        return 2
    _hold_to(first.data_mb)
    for work, name in ((_beat, "beat"), (_listen, "listen")):
        threading.Thread(target=work, args=(line,), name=name, daemon=True).start()
    try:
        _run(line, first, words.arena, words.device, words.threads)
    except Exception as error:  # the last door of this process: whatever it was, the supervisor is told
        traceback.print_exc()
        line.say(ipc.Failed(_class_of(error), f"{type(error).__name__}: {error}"[:2000]))
        return 1
    return 0


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--ipc", type=int, default=-1)
    parser.add_argument("--arena", type=int, default=-1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--check-runtime", action="store_true")
    return parser.parse_args(argv)


def _warm_up(threads: int) -> None:
    """Import all that a task of any kind may need, which is most of its start, and touch no device: that would hold the GPU's memory."""
    import safetensors.torch  # noqa: F401
    import torch

    from desktop_app.worker import snapshot  # noqa: F401
    from desktop_app.worker.kinds import registry  # noqa: F401

    torch.set_num_threads(threads)


def _hold_to(data_mb: int) -> None:
    """Bound our own private memory, for good; 0: it was bounded at our start."""
    if data_mb:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (data_mb << 20, data_mb << 20))


def _run(line: Line, load: ipc.Load, arena_fd: int, device: str, threads: int) -> None:
    """Load the task, step through it, hand over the result."""
    import torch

    from desktop_app.worker.kinds import Fills, registry
    from desktop_app.worker.snapshot import Arena

    torch.set_num_threads(threads)
    inputs = {role: Path(place) for role, place in load.inputs.items()}
    kind = registry.load(load.kind, inputs, load.params, load.seed, device)
    if load.steps and kind.steps != load.steps:
        raise ValueError(f"the task says {load.steps} steps, its data and parameters make {kind.steps}")
    arena = Arena(arena_fd)
    if isinstance(kind, Fills):
        kind.output.move_to(arena.room(kind.output.length))
    if load.checkpoint is not None:
        kind.restore(_checkpoint(Path(load.checkpoint), load.first_step))
    line.say(ipc.Ready())
    _step_through(line, kind, arena, load.first_step, load.checkpoint_every)
    _deliver(line, kind, arena)


def _step_through(line: Line, kind: "Kind", arena: "Arena", first: int, at_latest: int) -> None:
    from desktop_app.worker.snapshot import Cadence

    cadence = Cadence(at_latest or kind.steps, _commit_bytes(kind, first))
    said, loss, ended = 0.0, None, time.perf_counter()
    for index in range(first, kind.steps):
        if not arena.may_begin(index):
            _yield(line, kind, arena, index)
        begun = ended
        loss = kind.step(index)
        ended = time.perf_counter()
        if cadence.stepped(ended - begun):
            cadence.committed(_commit(kind, arena, index + 1).seconds)
            ended = time.perf_counter()
        if ended - said >= PROGRESS_S:
            line.say(ipc.Progress(index + 1, kind.steps, loss, 1000 * (ended - begun)))
            said = ended
    if not arena.may_begin(kind.steps):
        _yield(line, kind, arena, kind.steps)
    line.say(ipc.Progress(kind.steps, kind.steps, loss, None))


def _yield(line: Line, kind: "Kind", arena: "Arena", step: int) -> NoReturn:
    """The owner wants the GPU: commit, say so, and wait for the end."""
    done = _commit(kind, arena, step)
    line.say(ipc.Committed(done.slot, done.seq, done.step))
    while True:
        time.sleep(3600)


def _commit(kind: "Kind", arena: "Arena", step: int) -> "Commit":
    from desktop_app.worker.kinds import Fills

    return arena.commit(kind.state(), step, kind.output.rows(step) if isinstance(kind, Fills) else None)


def _commit_bytes(kind: "Kind", step: int) -> int:
    """What the first commit has to copy when it begins at this step."""
    from desktop_app.worker.kinds import Fills

    whole = sum(tensor.nbytes for tensor in kind.state().values())
    return whole * kind.output.rows(step) // kind.output.rows(kind.steps) if isinstance(kind, Fills) else whole


def _deliver(line: Line, kind: "Kind", arena: "Arena") -> None:
    files, metrics = kind.result()
    placed = [ipc.OutputFile(role, _format(data), *arena.output(data)) for role, data in sorted(files.items())]
    line.say(ipc.Finished(placed, metrics))


def _checkpoint(place: Path, first_step: int) -> Mapping[str, "torch.Tensor"]:
    """The tensors of a checkpoint. ValueError when it is not one, or of another step than the lease says."""
    import safetensors.torch
    from safetensors import SafetensorError

    from desktop_app.wire import arena

    try:
        state = safetensors.torch.load_file(place)
    except SafetensorError as error:
        raise ValueError(f"the checkpoint is not safetensors: {error}") from error
    step = state.pop(arena.STEP_TENSOR, None)
    if step is None or step.numel() != 1 or int(step) != first_step:
        raise ValueError(f"the checkpoint is not of step {first_step}")
    return state


def _beat(line: Line) -> None:
    while True:
        line.say(ipc.Beat())
        time.sleep(BEAT_S)


def _listen(line: Line) -> None:
    """The gate says all there is to say while a task runs; what is heard here is the line being cut."""
    while True:
        line.hear()


def _format(data: bytes | memoryview) -> Literal["safetensors", "jsonl"]:
    """Kinds give safetensors or JSON lines; only the former begins with a length."""
    return "jsonl" if data[:1] in (b"{", b"") else "safetensors"


def _class_of(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "bad_input"
    return "memory" if isinstance(error, MemoryError) or "memory" in str(error) else "crash"


def _engine() -> str:
    try:
        return "torch " + importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "no torch"


def _check_runtime() -> int:
    try:
        import safetensors.torch  # noqa: F401
        import torch

        return 0 if int(torch.ones(2).sum()) == 2 else 1
    except Exception:  # a runtime that is broken in whatever way is none
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
