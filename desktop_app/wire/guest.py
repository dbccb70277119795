"""A guest of the agent: connects to the local socket, posts the owner's words and reads the state, plainly and blocking.

Called by the command line and the tour; the tray has its own, event-driven end in `ui/bridge.py`.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from desktop_app.core.errors import AppError
from desktop_app.core.messages import OwnerMessage
from desktop_app.core.state import State
from desktop_app.wire import link

CONNECT_S = 5.0
ANSWER_S = 30.0  # a wallet's key is made slow to try on purpose


class NoAgent(AppError):
    """Nobody answers on the socket, or the one who did has gone, or speaks another version."""


def _none() -> NoAgent:
    return NoAgent("No agent is running.", "Start it with: sublet agent")


def _gone() -> NoAgent:
    return NoAgent("The agent has gone.", "Start it again with: sublet agent")


def _other() -> NoAgent:
    return NoAgent("The agent that is running is of another version.", "End it, then start it again with: sublet agent")


class Guest:
    """One connection. `state` is the newest snapshot; a context manager hangs up."""

    def __init__(self, path: Path) -> None:
        self._frames = link.Frames()
        self._answers: list[link.Answer] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CONNECT_S)
        self._state: State | None = None
        try:
            self._socket.connect(str(path))
            self._socket.sendall(link.encode_hello(os.getpid()))
            self._read_until(lambda: self._state is not None, CONNECT_S)
        except OSError:
            self._socket.close()
            raise _none() from None
        except NoAgent:
            self._socket.close()
            raise

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    @property
    def state(self) -> State:
        """The newest snapshot read so far."""
        if self._state is None:
            raise NoAgent("The agent did not say how things stand.", "Ask again in a moment.")
        return self._state

    def post(self, message: OwnerMessage) -> None:
        """Post an owner's message. Raises NoAgent when the agent has gone."""
        self._send(link.encode_message(message))

    def hand_over(self, purpose: str, secret: str) -> link.Answer:
        """Give a passphrase, and wait for the agent's word on it."""
        self._read_until(lambda: False, 0)
        self._answers.clear()  # what came too late for the last secret is no word on this one
        self._send(link.encode_secret(purpose, secret))
        if not self._read_until(lambda: bool(self._answers), ANSWER_S):
            return link.Answer(False, "the agent did not answer in time")
        return self._answers.pop()

    def next_state(self, timeout_s: float | None = None) -> State:
        """The next snapshot; the newest one again when none came in time."""
        seen = self._state
        self._read_until(lambda: self._state is not seen, timeout_s)
        return self.state

    def wait_for(self, reached: Callable[[State], bool], timeout_s: float) -> State | None:
        """The first snapshot that fits, or None when none came in time."""
        if self._read_until(lambda: self._state is not None and reached(self._state), timeout_s):
            return self.state
        return None

    def wait_for_end(self, timeout_s: float) -> bool:
        """Whether the agent hung up in time."""
        try:
            self._read_until(lambda: False, timeout_s)
        except NoAgent:
            return True
        return False

    def _send(self, frame: bytes) -> None:
        self._socket.settimeout(CONNECT_S)
        try:
            self._socket.sendall(frame)
        except OSError:
            raise _gone() from None

    def _read_until(self, reached: Callable[[], bool], timeout_s: float | None) -> bool:
        """Whether it was reached in time. What has come by then counts, also when whoever reads was itself held up."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not reached():
            self._socket.settimeout(None if end is None else max(0.0, end - time.monotonic()))
            try:
                data = self._socket.recv(1 << 16)
            except (TimeoutError, BlockingIOError):
                return False
            except OSError:
                raise _gone() from None
            if not data:
                raise _gone()
            self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        try:
            frames = self._frames.feed(data)
        except link.BrokenFrame:
            raise _other() from None
        for frame in frames:
            match frame:
                case link.Hello(version) if version != link.VERSION:
                    raise _other()
                case link.Snapshot(state):
                    self._state = state
                case link.Answer():
                    self._answers.append(frame)
                case _:
                    pass
