"""An owner's machine made to be attacked: listeners, a home with keys in it, a session's sockets, a word in the environment.

Used by `inside`; nothing here is real, and all of it goes with the test.
"""

import ctypes
import json
import os
import secrets
import select
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from desktop_app.adapters.supervisor.sandbox import Bounds
from tests.hostile.sandboxed.kit import World

BOUNDS = Bounds(ram_mb=192, processes=48, file_mb=8, tmp_mb=16, threads=1, nice=19)
INPUT = b"the task's own data"
_HOST = "127.83.76.84"  # of this loopback, too, but no other test's: who seeks a server that is gone does not come here
_SESSION = {
    "bus": "bus", "wayland": "wayland-0", "ssh": "ssh-agent", "keyring": "keyring/control", "sound": "pulse/native", "gpg": "gnupg/S.agent",
}  # fmt: skip
_FILES = {
    "ssh": ".ssh/id_ed25519", "keyring": ".local/share/keyrings/login.keyring", "keystore": ".local/share/sublet/keys/spending.json",
    "token": ".local/share/sublet/link.token", "state": ".local/share/sublet/state.db", "blob": ".local/share/sublet/blobs/" + "5a" * 32,
    "cookies": ".config/browser/Cookies", "authority": ".Xauthority", "note": "Documents/note.txt",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """What was laid out: the world as attackers are told of it, whether a listener was reached, and files to be compared afterwards."""

    world: World
    place: Path
    heard: Callable[[], list[str]]
    input: Path
    line: socket.socket  # the attackers' end of a socket whose other end is ours, as a worker's is


@contextmanager
def machine(root: Path) -> Iterator[Machine]:
    """Everything an attacker could want; the listeners are closed and the files gone at the end."""
    word, secret = secrets.token_hex(16), secrets.token_hex(16)
    held = ctypes.create_string_buffer(secret.encode())
    with ExitStack() as stack:
        home, runtime = root / "home", root / "run"
        files = {name: _written(home / path, word) for name, path in _FILES.items()}
        listeners = _listeners(stack, root, runtime, word)
        ours, line = (stack.enter_context(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        listeners["the worker's socket"] = ours
        os.environ["SUBLET_TEST_WORD"] = word
        stack.callback(os.environ.pop, "SUBLET_TEST_WORD", None)
        data = root / "input.bin"
        data.write_bytes(INPUT)
        world = World(
            host=_HOST,
            tcp=_port(listeners["tcp"]), tcp6=_port(listeners["tcp6"]), udp=_port(listeners["udp"]), udp6=_port(listeners["udp6"]),
            unix=str(root / "stream"), datagrams=str(root / "datagrams"), packets=f"sublet-packets-{word}", abstract=f"sublet-{word}",
            sockets={name: str(runtime / path) for name, path in _SESSION.items()}, x_number=_x_number(), files=files,
            folders={"home": str(home), "runtime": str(runtime), "profile": str(home / ".local/share/sublet"), "root": "/root"},
            word=word, pid=os.getpid(), line=line.fileno(), secret_at=ctypes.addressof(held), secret=secret,
            namespaces={place.name: place.stat().st_ino for place in Path("/proc/self/ns").iterdir()}, input=str(data),
            ram_mb=BOUNDS.ram_mb, processes=BOUNDS.processes, file_mb=BOUNDS.file_mb, tmp_mb=BOUNDS.tmp_mb,
        )  # fmt: skip
        place = root / "world.json"
        place.write_text(json.dumps(world))
        yield Machine(world, place, lambda: _heard(listeners), data, line)
        shutil.rmtree(root, ignore_errors=True)


def _written(place: Path, word: str) -> str:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.write_text(word)
    place.chmod(0o600)
    return str(place)


def _listeners(stack: ExitStack, root: Path, runtime: Path, word: str) -> dict[str, socket.socket]:
    tcp, udp, packets = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
    x_place = Path(f"/tmp/.X11-unix/X{_x_number()}")
    with suppress(FileExistsError):
        x_place.parent.mkdir()
        x_place.parent.chmod(0o1777)  # of a mode given to mkdir the umask leaves less, and other users are to bind there too
    stack.callback(x_place.unlink, missing_ok=True)
    wanted: dict[str, tuple[int, int, object]] = {
        "tcp": (socket.AF_INET, tcp, (_HOST, 0)), "udp": (socket.AF_INET, udp, (_HOST, 0)),
        "tcp6": (socket.AF_INET6, tcp, ("::1", 0)), "udp6": (socket.AF_INET6, udp, ("::1", 0)),
        "stream": (socket.AF_UNIX, tcp, str(root / "stream")), "datagrams": (socket.AF_UNIX, udp, str(root / "datagrams")),
        "abstract": (socket.AF_UNIX, tcp, f"\0sublet-{word}"), "packets": (socket.AF_UNIX, packets, f"\0sublet-packets-{word}"),
        "x": (socket.AF_UNIX, tcp, str(x_place)), "x abstract": (socket.AF_UNIX, tcp, f"\0{x_place}"),
    }  # fmt: skip
    for name, path in _SESSION.items():
        (runtime / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted[name] = (socket.AF_UNIX, tcp, str(runtime / path))
    return {name: stack.enter_context(_listener(*how)) for name, how in wanted.items()}


def _listener(family: int, kind: int, address: object) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)  # type: ignore[arg-type]
    if kind != socket.SOCK_DGRAM:
        made.listen(8)
    return made


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _x_number() -> int:
    """A display that nobody has: X numbers its own from zero up."""
    return 10_000 + os.getpid() % 50_000


def _heard(listeners: dict[str, socket.socket]) -> list[str]:
    """Whose listeners were reached since the last question; what arrived is taken off."""
    reached = []
    for name, listener in listeners.items():
        while select.select([listener], [], [], 0)[0]:
            reached.append(name)
            with suppress(OSError):
                if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listener.accept()[0].close()
                else:
                    listener.recv(1024)
    return reached
