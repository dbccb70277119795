"""What a worker's own sandbox is tried against before it gets a task, and what it said of it.

The agent listens on addresses of its own loopback, keeps a secret file, and tells the probe in the sandbox (`probe`) where all
that is; the probe's report and the silence of the listeners decide whether the task is handed over. Used by `hosted` for every
worker, and by `selftest` for the long test at every start.
"""

import json
import os
import secrets
import select
import socket
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from desktop_app.adapters.supervisor.sandbox import VARIABLES, Bounds, nodes_of
from desktop_app.core.gpu import Device
from desktop_app.core.state import Check

_VARIABLE = "SUBLET_PROBE_WORD"
_REPORT_LIMIT = 1 << 16
_OWN_NAMESPACES = ("net", "pid", "ipc", "uts", "mnt", "user")
NOT_TRIED = "not tried: the probe ended early"
QUICK = frozenset({
    "no_network", "no_tcp", "no_udp", "no_unix_socket", "no_abstract_socket", "no_home", "no_canary", "no_runtime", "no_keys",
    "read_only", "little_room", "no_other_processes", "no_environment", "no_namespaces", "no_ptrace", "no_privileges",
    "own_namespaces", "no_devices", "no_descriptors", "bounded", "nothing_heard",
})  # fmt: skip
"""What is tried before each task."""


class Bait:
    """Listeners, a secret file and a secret word for a probe to find. `close` takes all of it away."""

    def __init__(self, bounds: Bounds, device: Device | None = None) -> None:
        self._bounds, self._device = bounds, device
        self._word = secrets.token_hex(16)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sublet-probe-")))
            self._canary, self._socket = folder / "canary", folder / "socket"
            self._canary.write_text(self._word)
            # of its own, so that a program which looks for another's port, or for one that was let go, does not come here by chance
            self._host = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}.{secrets.randbelow(253) + 2}"
            self._listeners = [stack.enter_context(_listener(family, kind, address)) for family, kind, address in (
                (socket.AF_INET, socket.SOCK_STREAM, (self._host, 0)),
                (socket.AF_INET, socket.SOCK_DGRAM, (self._host, 0)),
                (socket.AF_UNIX, socket.SOCK_STREAM, str(self._socket)),
                (socket.AF_UNIX, socket.SOCK_STREAM, f"\0sublet-{self._word}"),
            )]  # fmt: skip
            self._stack = stack.pop_all()

    def spec(self, descriptors: tuple[int, ...] = ()) -> dict[str, object]:
        """What the probe is told, as `probe.Spec`; `descriptors` are those the program inherits."""
        bounds, home = self._bounds, Path.home()
        return {
            "host": self._host, "tcp": self._listeners[0].getsockname()[1], "udp": self._listeners[1].getsockname()[1],
            "unix": str(self._socket), "abstract": f"sublet-{self._word}",
            "home": str(home), "canary": str(self._canary), "runtime": f"/run/user/{os.getuid()}",
            "keys": str(home / ".local/share/keyrings"), "variables": sorted(VARIABLES), "word": _word_in_environment(),
            "namespaces": {name: Path("/proc/self/ns", name).stat().st_ino for name in _OWN_NAMESPACES},
            "devices": list(nodes_of(self._device)), "descriptors": list(descriptors), "data_mb": bounds.data_mb,
            "ram_mb": bounds.ram_mb, "processes": bounds.processes, "file_mb": bounds.file_mb, "tmp_mb": bounds.tmp_mb,
        }  # fmt: skip

    def silence(self) -> Check:
        """Whether nothing has reached the listeners."""
        poll = select.poll()  # a pool has more descriptors than select can name
        for listener in self._listeners:
            poll.register(listener, select.POLLIN)
        return Check("nothing_heard", not poll.poll(0), "by the agent's listeners")

    def close(self) -> None:
        self._stack.close()


class Walls:
    """The trial of one sandbox: made before it is started, asked for its verdict when its program speaks for the first time."""

    def __init__(self, bounds: Bounds, device: Device | None, inherited: tuple[int, ...]) -> None:
        self._bait = Bait(bounds, device)
        self._report, self._report_end = os.pipe()
        os.set_blocking(self._report, False)
        self._spec = os.memfd_create("sublet-walls")
        os.write(self._spec, json.dumps(self._bait.spec((*inherited, self._report_end))).encode())
        os.lseek(self._spec, 0, os.SEEK_SET)
        self._verdict: tuple[Check, ...] | None = None

    @property
    def words(self) -> tuple[int, int]:
        """The descriptors of the spec and of the report, for `Sandbox.probe`; to be inherited."""
        return self._spec, self._report_end

    def started(self) -> None:
        """The sandbox has them: close them here."""
        os.close(self._spec)
        os.close(self._report_end)

    @property
    def judged(self) -> bool:
        """Whether the verdict is taken; the listeners are gone then, so that no stray visitor of later is laid to the sandbox."""
        return self._verdict is not None

    def fileno(self) -> int:
        """Of the report."""
        return self._report

    def fallen(self) -> tuple[Check, ...]:
        """What did not hold, or was not tried; empty when all is well. Asked when the program has spoken, or the report is closed."""
        if self._verdict is None:
            said = b""
            with suppress(BlockingIOError):
                while len(said) < _REPORT_LIMIT and (piece := os.read(self._report, _REPORT_LIMIT)):
                    said += piece
            self._verdict = (*judged(said, QUICK - {"nothing_heard"}), self._bait.silence())
            self._bait.close()
        return tuple(check for check in self._verdict if not check.held)

    def close(self) -> None:
        os.close(self._report)
        self._bait.close()


@cache
def _word_in_environment() -> str:
    """A variable of ours that no sandbox may show; set once, since changing the environment is not safe among threads."""
    os.environ[_VARIABLE] = secrets.token_hex(16)
    return f"{_VARIABLE}={os.environ[_VARIABLE]}"


def judged(said: bytes, expected: frozenset[str]) -> tuple[Check, ...]:
    """The lines of a probe as checks, with those that were expected and are missing as not held."""
    found = [check for check in map(_parsed, said.decode("utf-8", "replace").splitlines()) if check]
    missing = expected - {check.name for check in found}
    return (*found, *(Check(name, False, NOT_TRIED) for name in sorted(missing)))


def _parsed(line: str) -> Check | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or set(found) != {"name", "held", "seen"}:
        return None
    return Check(str(found["name"])[:100], found["held"] is True, str(found["seen"])[:300])


def _listener(family: int, kind: int, address: "tuple[str, int] | str") -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(1)
    return made
