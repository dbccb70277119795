"""Whether the sandbox holds on this machine, found out by trying from the inside, and what to do where it does not.

The agent listens on addresses and keeps secrets of a kind made for this; `probe` in the sandbox tries to reach them.
Run at every start, before anything is offered. Called by `Supervisor.self_test`.
"""

import json
import os
import secrets
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from desktop_app.adapters.supervisor.advice import fix_for
from desktop_app.adapters.supervisor.cage import Cage, spawn
from desktop_app.adapters.supervisor.sandbox import VARIABLES, Bounds, Sandbox
from desktop_app.core.errors import AppError
from desktop_app.core.state import Check, Level

_T = TypeVar("_T")
_PROBE = Path(__file__).with_name("probe.py")
_BOUNDS = Bounds(ram_mb=128, processes=24, file_mb=2, tmp_mb=8, threads=1, nice=10)
_TIME_S = 20.0
_RUNTIME_S = 120.0
_OUTPUT_LIMIT = 1 << 16
EXPECTED = frozenset({
    "no_network", "no_tcp", "no_udp", "no_unix_socket", "no_abstract_socket", "no_home", "no_canary", "no_runtime", "no_keys",
    "read_only", "little_room", "no_other_processes", "no_environment", "no_namespaces", "no_ptrace", "no_privileges",
    "few_processes", "small_files", "no_core_dumps", "bounded_private_memory", "bounded_memory", "nothing_heard",
})  # fmt: skip


class Call(Protocol):
    """Runs something on the thread that stays."""

    def __call__(self, work: Callable[[], _T]) -> _T: ...


@dataclass(frozen=True, slots=True)
class Tested:
    """What was found; `fix` is what the owner can do when the level is NONE."""

    level: Level
    checks: tuple[Check, ...]
    fix: str


def run(call: Call) -> Tested:
    """Start a sandbox with the probe in it and read what it met. Takes one to two seconds."""
    try:
        with ExitStack() as stack:
            spec, heard = stack.enter_context(_bait())
            sandbox = Sandbox((json.dumps(spec),), _BOUNDS, script=_PROBE)
            cage = call(lambda: spawn(sandbox))
            stack.callback(_finish, cage)
            said, complaint = _listen(cage)
            checks = [*_checks(said), Check("nothing_heard", not heard(), "by the agent's listeners")]
    except (AppError, OSError) as error:
        return Tested(Level.NONE, (), str(error))
    if not said:
        return Tested(Level.NONE, (Check("sandbox_starts", False, complaint[-300:]),), fix_for(complaint))
    missing = EXPECTED - {check.name for check in checks}
    checks += [Check(name, False, "not tried: the probe ended early") for name in sorted(missing)]
    held = all(check.held for check in checks)
    return Tested(Level.ISOLATED if held else Level.NONE, tuple(checks), "" if held else _advice(checks))


def runtime_present(call: Call) -> bool:
    """Whether a worker can import torch and safetensors: tried in the sandbox, where it will have to."""
    try:
        cage = call(lambda: spawn(Sandbox(("--check-runtime",), Bounds(nice=10))))
    except (AppError, OSError):
        return False
    try:
        return bool(select.select([cage.outer_fd], [], [], _RUNTIME_S)[0]) and cage.outer.wait() == 0
    finally:
        _finish(cage)


@contextmanager
def _bait() -> "Iterator[tuple[dict[str, object], Callable[[], bool]]]":
    """Listeners, a secret file and a secret word for the probe to find, and whether anything reached the listeners."""
    word = secrets.token_hex(16)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sublet-probe-")))
        canary = folder / "canary"
        canary.write_text(word)
        listeners = [stack.enter_context(_listener(family, kind, address)) for family, kind, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0sublet-{word}"),
        )]  # fmt: skip
        os.environ["SUBLET_PROBE_WORD"] = word
        stack.callback(os.environ.pop, "SUBLET_PROBE_WORD", None)
        spec: dict[str, object] = {
            "tcp": listeners[0].getsockname()[1], "udp": listeners[1].getsockname()[1],
            "unix": str(folder / "socket"), "abstract": f"sublet-{word}",
            "home": str(Path.home()), "canary": str(canary), "runtime": f"/run/user/{os.getuid()}",
            "keys": str(Path.home() / ".local/share/keyrings"), "variables": sorted(VARIABLES), "word": "SUBLET_PROBE_WORD=" + word,
            "ram_mb": _BOUNDS.ram_mb, "processes": _BOUNDS.processes, "file_mb": _BOUNDS.file_mb, "tmp_mb": _BOUNDS.tmp_mb,
        }  # fmt: skip
        yield spec, lambda: bool(select.select(listeners, [], [], 0)[0])


def _listener(family: int, kind: int, address: "tuple[str, int] | str") -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(1)
    return made


def _listen(cage: Cage) -> tuple[list[dict[str, object]], str]:
    """The probe's lines, and whatever else was printed. Plays the watchdog for memory meanwhile."""
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
    said: list[dict[str, object]] = []
    rest: list[str] = []
    for line in printed.decode("utf-8", "replace").splitlines():
        parsed = _parsed(line)
        if parsed is None:
            rest.append(line)
        else:
            said.append(parsed)
    return said, "\n".join(rest)


def _parsed(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and set(found) == {"name", "held", "seen"} else None


def _checks(said: list[dict[str, object]]) -> list[Check]:
    """The probe's attempts; that it was ended in the last one is how that one held."""
    checks = [Check(str(one["name"]), one["held"] is True, str(one["seen"])) for one in said]
    begun = [check for check in checks if check.name == "memory_begins"]
    rest = [check for check in checks if check.name != "memory_begins"]
    if begun and not any(check.name == "bounded_memory" for check in rest):
        rest.append(Check("bounded_memory", True, "ended at the limit"))
    return rest


def _advice(checks: list[Check]) -> str:
    failed = ", ".join(check.name for check in checks if not check.held)
    return f"The sandbox started, but does not hold: {failed}. Please report this with the output of: {sys.argv[0] or 'sublet'} doctor"


def _finish(cage: Cage) -> None:
    cage.kill()
    cage.wait_gone(10)
    cage.close()
