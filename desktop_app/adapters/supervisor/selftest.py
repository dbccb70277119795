"""Whether the sandbox holds on this machine, found out by trying from the inside, and what to do where it does not.

The agent listens on addresses and keeps secrets of a kind made for this; `probe` in the sandbox tries to reach them.
Run at every start, before anything is offered. Called by `Supervisor.self_test`.
"""

import json
import os
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from desktop_app.adapters.supervisor.advice import fix_for, fix_for_walls
from desktop_app.adapters.supervisor.cage import Cage, spawn
from desktop_app.adapters.supervisor.sandbox import PROBE, Bounds, Sandbox
from desktop_app.adapters.supervisor.walls import NOT_TRIED, QUICK, Bait, judged
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Device
from desktop_app.core.state import Check, Level

_T = TypeVar("_T")
_BOUNDS = Bounds(ram_mb=128, processes=24, file_mb=2, tmp_mb=8, threads=1, nice=10)
_TIME_S = 20.0
_RUNTIME_S = 120.0
_OUTPUT_LIMIT = 1 << 16
EXPECTED = QUICK - {"bounded"} | {"few_processes", "small_files", "no_core_dumps", "bounded_private_memory", "bounded_memory"}


class Call(Protocol):
    """Runs something on the thread that stays."""

    def __call__(self, work: Callable[[], _T]) -> _T: ...


@dataclass(frozen=True, slots=True)
class Tested:
    """What was found; `fix` is what the owner can do when the level is NONE."""

    level: Level
    checks: tuple[Check, ...]
    fix: str


def run(call: Call, device: Device | None = None) -> Tested:
    """Start a sandbox with the probe in it, as for a task on this device, and read what it met. Takes one to two seconds."""
    try:
        with ExitStack() as stack:
            bait = Bait(_BOUNDS, device)
            stack.callback(bait.close)
            sandbox = Sandbox((json.dumps(bait.spec()),), _BOUNDS, device=device, script=PROBE)
            cage = call(lambda: spawn(sandbox))
            stack.callback(cage.end)
            printed = _listen(cage)
            checks = [*_checks(printed), bait.silence()]
    except (AppError, OSError) as error:
        return Tested(Level.NONE, (Check("sandbox_starts", False, str(error)[:300]),), str(error))
    if b'{"name"' not in printed:
        complaint = printed.decode("utf-8", "replace")
        return Tested(Level.NONE, (Check("sandbox_starts", False, complaint[-300:]),), fix_for(complaint))
    fallen = [check for check in checks if not check.held]
    return Tested(Level.NONE, tuple(checks), fix_for_walls(fallen)) if fallen else Tested(Level.ISOLATED, tuple(checks), "")


def runtime_present(call: Call) -> bool:
    """Whether a worker can import torch and safetensors: tried in the sandbox, where it will have to."""
    try:
        cage = call(lambda: spawn(Sandbox(("--check-runtime",), Bounds(nice=10))))
    except (AppError, OSError):
        return False
    try:
        return bool(select.select([cage.outer_fd], [], [], _RUNTIME_S)[0]) and cage.outer.wait() == 0
    finally:
        cage.end()


def _listen(cage: Cage) -> bytes:
    """What was printed: the probe's lines, or why there are none. Plays the watchdog for memory meanwhile."""
    printed, end = b"", time.monotonic() + _TIME_S
    while time.monotonic() < end and len(printed) < _OUTPUT_LIMIT:
        readable = select.select([cage.log], [], [], 0.1)[0]
        if readable:
            piece = os.read(cage.log, 65536)
            if not piece:
                break
            printed += piece
        if cage.memory_bytes() > 2 * _BOUNDS.ram_mb << 20:
            cage.kill()
    return printed


def _checks(printed: bytes) -> list[Check]:
    """The probe's attempts; that it was ended in the last one is how that one held."""
    checks = {check.name: check for check in judged(printed, EXPECTED - {"nothing_heard"})}
    if checks.pop("memory_begins", None) and checks["bounded_memory"].seen == NOT_TRIED:
        checks["bounded_memory"] = Check("bounded_memory", True, "ended at the limit")
    return list(checks.values())
