"""A real market server for tests: the bundled nats-server on a free port, with the practice network's users."""

import contextlib
import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from desktop_app.adapters.market import Endpoint
from desktop_app.practice import nats
from tests.ports import free_port


class MarketServer:
    """Starts, kills and restarts on the same port with the same files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.logins = nats.make_logins(folder)
        self.config = nats.write_config(folder, self.port, self.logins)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(nats.server_binary()), "-c", str(self.config)], stdout=log, stderr=log, preexec_fn=_die_with_parent
            )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as probe:
                probe.recv(16)
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "nats.log").read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def endpoint(self, user: str) -> Endpoint:
        login = next(one for one in self.logins if one.user == user)
        return Endpoint((f"nats://127.0.0.1:{self.port}",), user, login.password)


@contextlib.contextmanager
def market_server(folder: Path) -> Iterator[MarketServer]:
    server = MarketServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


_prctl = ctypes.CDLL(None).prctl  # looked up here, since a fork may hold the loader's lock for ever


def _die_with_parent() -> None:
    _prctl(1, signal.SIGKILL)
