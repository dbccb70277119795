"""One part of the practice network as a process: started, looked after, ended. Called by the practice root."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from desktop_app.practice.lifeline import die_with_parent

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 20.0
END_PATIENCE_S = 3.0
MOST_LOG = 5_000_000
PORTS = range(20_000, 32_000)

_log = logging.getLogger(__name__)


class Part:
    """A child process with a log of its own. It is started again when it dies, later each time until it has stayed a while."""

    def __init__(self, name: str, command: tuple[str, ...], logs: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._command = command
        self._log = logs / f"{name}.log"
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._pause = FIRST_PAUSE_S
        self._again_at: float | None = None

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it. Call from the main thread, with whose end the kernel ends the child."""
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > MOST_LOG:
                self._log.replace(self._log.with_suffix(".old.log"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        self._began, self._again_at = self._clock(), None

    def look(self) -> None:
        """Start it again if it died and its pause is over."""
        if self._process is None or self._process.poll() is None:
            return
        now = self._clock()
        if self._again_at is None:
            self._let_go()
            self._pause = FIRST_PAUSE_S if now - self._began > STEADY_S else min(2 * self._pause, LONGEST_PAUSE_S)
            self._again_at = now + self._pause
            _log.warning("%s ended with %s; starting it again in %.1f s", self.name, self._process.returncode, self._pause)
        elif now >= self._again_at:
            self.start()

    def end(self) -> None:
        """Ask it to end, then make it."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def free_port(but: int = 0) -> int:
    """A port on loopback that nobody uses now, from below those that systems hand to outgoing connections.

    One of theirs could be in somebody's passing use when the network starts again and wants its old place back.
    """
    while (port := secrets.choice(PORTS)) == but or not is_free(port):
        continue
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
