"""An engine's side of the socket, real frames over a real socket, with a state that the test chooses."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from desktop_app.core.state import State
from desktop_app.wire import link


class Engine:
    """Listens on `path`; every guest gets a hello and the state; what guests say is kept in `heard`."""

    def __init__(self, path: Path, state: State | None, hello: bytes | None = None) -> None:
        self._path, self._state = path, state
        self._hello = hello if hello is not None else link.encode_hello(os.getpid())
        self.heard: list[link.Frame] = []
        self._guests: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._mouth = threading.Lock()  # a guest that has been welcomed is one that `send` reaches

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self._path))
        self._server.listen()
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Gone as suddenly as a killed process: the socket's file stays."""
        self._hang_up(self._server)
        self._threads[0].join(5)  # it may hold a guest that it has not yet written down
        for guest in self._guests:
            self._hang_up(guest)
        for thread in self._threads:
            thread.join(5)

    @staticmethod
    def _hang_up(one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

    def send(self, frame: bytes) -> None:
        """A frame to every guest."""
        with self._mouth:
            for guest in self._guests:
                guest.sendall(frame)

    def publish(self, state: State) -> None:
        """Another state to every guest, and to those to come."""
        self._state = state
        self.send(link.encode_snapshot(state))

    def posted(self) -> list[object]:
        """The owner's messages so far."""
        return [frame.message for frame in self.heard if isinstance(frame, link.Post)]

    def secrets(self) -> list[tuple[str, str]]:
        """The secrets so far."""
        return [(frame.purpose, frame.secret) for frame in self.heard if isinstance(frame, link.Secret)]

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]  # a bound method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                guest, _ = self._server.accept()
            except OSError:
                return
            with self._mouth:
                with suppress(OSError):  # a guest may go as soon as it has come
                    guest.sendall(self._hello)
                    if self._state is not None:
                        guest.sendall(link.encode_snapshot(self._state))
                self._guests.append(guest)
            self._start(self._listen, guest)

    def _listen(self, guest: socket.socket) -> None:
        frames = link.Frames()
        while True:
            try:
                data = guest.recv(65_536)
            except OSError:
                return
            if not data:
                return
            self.heard += frames.feed(data)
