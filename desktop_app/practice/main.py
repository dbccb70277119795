"""`sublet practice`: a whole market on this machine: server, chain, pool and renter, kept running, ended together.

Starts all parts at once, since each waits for what it needs; restarts what dies, with growing patience, on the same ports,
so that everybody finds it again. Holds the other end of every part's standard input, so that they end with it however it
ended. Called by `__main__`, by hand or (`--attached`) by the agent, whose pipe it watches in turn.
"""

import argparse
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from desktop_app.core.errors import AppError
from desktop_app.practice import nats
from desktop_app.practice.folder import Folder
from desktop_app.practice.lifeline import end_with_parent
from desktop_app.practice.parts import Part, free_port, is_free
from desktop_app.practice.renewal import renew
from desktop_app.wire.profile import default

LOOK_EVERY_S = 0.2
PORT_PATIENCE_S = 3.0  # a part of the last run may take as long to let go
HOST = "127.0.0.1"


class Ports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server and the chain listen, this time and, if they are free, the next."""

    nats: int
    chain: int


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop, or until the parent ends."""
    parser = argparse.ArgumentParser(prog="sublet practice", description="A whole market on this machine, with test money.")
    parser.add_argument("folder", nargs="?", type=Path, help="where it keeps its things; the profile's practice folder by default")
    parser.add_argument("--attached", action="store_true", help="end when standard input closes")
    chosen = parser.parse_args(arguments)
    folder = Folder((chosen.folder or default().practice).absolute())
    folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if chosen.attached:
        end_with_parent()
    with only_one(folder):
        renew(folder)
        run(folder, stop)
    return 0


def run(folder: Folder, stop: threading.Event) -> None:
    """Start the parts and keep them until `stop`; call from the main thread, whose end ends them.

    A port is free when it is chosen and taken only later; where somebody else was quicker, all begins anew on other ports.
    """
    while not stop.is_set():
        _run_on(folder, choose_ports(folder), stop)


def _run_on(folder: Folder, ports: Ports, stop: threading.Event) -> None:
    """Until `stop`, or until a part has died and its port is another's."""
    parts = _parts(folder, ports)
    listening = tuple(zip(parts, (ports.nats, ports.chain), strict=False))
    try:
        for part in parts:
            part.start()
        while not stop.wait(LOOK_EVERY_S) and not any(part.pid is None and not is_free(port) for part, port in listening):
            for part in parts:
                part.look()
    finally:
        for part in reversed(parts):
            part.end()


def choose_ports(folder: Folder) -> Ports:
    """The ports of last time if they are free, else others; and then the old addresses are forgotten."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        before = msgspec.json.decode(folder.ports.read_bytes(), type=Ports)
        end = time.monotonic() + PORT_PATIENCE_S
        while not (free := is_free(before.nats) and is_free(before.chain)) and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        if free:
            return before
    folder.network.unlink(missing_ok=True)
    chosen = Ports(market := free_port(), free_port(but=market))
    new = folder.ports.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(chosen))
    new.replace(folder.ports)
    return chosen


@contextlib.contextmanager
def only_one(folder: Folder) -> Iterator[None]:
    """One practice network per profile; the lock goes with the process."""
    with folder.lock.open("wb") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise AppError("This profile's practice network is running already.", "Stop the other one with: sublet quit") from error
        yield


def _parts(folder: Folder, ports: Ports) -> tuple[Part, ...]:
    config = nats.write_config(folder.root, ports.nats, nats.make_logins(folder.root))
    python = (sys.executable, "-m", "desktop_app")
    root = str(folder.root)
    return (
        Part("market", (str(nats.server_binary()), "-c", str(config)), folder.logs),
        Part("chain", (*python, "practice-evm", root, str(ports.chain)), folder.logs),
        Part("pool", (*python, "practice-pool", root, f"http://{HOST}:{ports.chain}", f"nats://{HOST}:{ports.nats}"), folder.logs),
        Part("renter", (*python, "practice-renter", root), folder.logs),
    )


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
