"""A worker for whoever wants one thing computed and waits for it: the renter's checks and the pool's replays.

The same sandbox and the same worker as on an owner's machine, without lease, checkpoints or give-back.
"""

import signal
import time
from collections.abc import Mapping
from pathlib import Path

from desktop_app.adapters.supervisor.advice import fix_for_walls
from desktop_app.adapters.supervisor.blobs import Incoming
from desktop_app.adapters.supervisor.channel import Breach
from desktop_app.adapters.supervisor.hosted import Exited, HostedWorker, Order
from desktop_app.adapters.supervisor.keeping import check_room, copy_result
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.core.errors import AppError
from desktop_app.wire import ipc

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the sandbox itself, or the program in it


def run_sandboxed(
    kind: str, inputs: Mapping[str, Path], params: Mapping[str, int | float | str], seed: int, workdir: Path, timeout_s: float
) -> tuple[dict[str, Path], dict[str, float]]:
    """Compute a task in a sandbox, in this thread; its result files by role, written to `workdir`, and its metrics.

    ValueError when the task failed (bad input, crash, time over: the text says what), AppError when no sandbox could be
    started or something outside killed it, which says nothing about the task, OSError when the disk refuses the results.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    try:
        worker = HostedWorker(Order(kind, inputs, params, seed), WorkerLog(workdir / "worker.log"))
    except OSError as error:
        raise AppError("The sandbox could not be started.", f"Run sublet doctor to see why. ({error})") from error
    try:
        finished = _await_result(worker, time.monotonic() + timeout_s)
        worker.end()
        check_room(worker.arena, finished.files)
        return {file.role: _write(worker, file, workdir) for file in finished.files}, dict(finished.metrics)
    finally:
        worker.end()
        worker.close()


def _await_result(worker: HostedWorker, end: float) -> ipc.Finished:
    while time.monotonic() < end:
        try:
            events = worker.wait(min(0.5, end - time.monotonic()))
        except Breach as breach:
            raise ValueError(str(breach)) from None
        for event in events:
            match event:
                case ipc.Hello():
                    fallen = worker.fallen()
                    if fallen:
                        raise AppError("The sandbox does not hold on this machine.", fix_for_walls(fallen))
                    worker.load()
                case ipc.Finished():
                    return event
                case ipc.Failed(kind, detail):
                    raise ValueError(f"{kind}: {detail}")
                case Exited(125):
                    raise AppError("The sandbox could not be started.", "Run sublet doctor to see why.")
                case Exited(status) if status in _KILLED:
                    raise AppError("A computation was killed from outside.", "Look for what ends programs here; memory may be short.")
                case Exited(status):
                    raise ValueError(f"the worker ended by itself with status {status}")
                case _:
                    pass
    raise ValueError("the worker took longer than it may")


def _write(worker: HostedWorker, file: ipc.OutputFile, workdir: Path) -> Path:
    place = workdir / f"{file.role}.{file.format}"
    with place.open("wb") as target:
        copy_result(worker.arena, file, Incoming(target.write, lambda _: place))
    return place
