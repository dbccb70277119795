"""A Wayland compositor's socket for tests: speaks the real wire protocol, as much of it as a client that asks for idle needs.

Strict as libwayland is: a request on an unknown object, a number out of turn or a wrong length is a protocol error, kept in
`errors`. The test says when the owner stops and starts touching things.
"""

import select
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

DISPLAY, REGISTRY = 1, 2


class Compositor:
    """Listens until closed. `seats` and `version` (of ext_idle_notifier_v1, 0: none) are what it offers."""

    def __init__(self, place: Path, *, version: int = 2, seats: int = 1, silent: bool = False, noise: bytes = b"") -> None:
        self.errors: list[str] = []
        self.timeouts: list[int] = []
        self.connections = 0
        self.silent = silent
        self._noise = noise
        self._globals = {10 + number: ("wl_seat", 8) for number in range(seats)} | {1: ("wl_compositor", 6), 2: ("wl_shm", 1)}
        if version:
            self._globals[30] = ("ext_idle_notifier_v1", version)
        self._clients: list[_Client] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compositor")
        self._thread.start()

    @property
    def clients(self) -> int:
        """How many are connected now."""
        return len(self._clients)

    def idled(self, seat: int = 0) -> None:
        """Nobody has touched the seat for the time asked for."""
        self._tell(seat, 0)

    def resumed(self, seat: int = 0) -> None:
        """Somebody touched it."""
        self._tell(seat, 1)

    def drop(self, seat: int = 0) -> None:
        """Take a seat away."""
        for client in self._clients:
            client.send(REGISTRY, 1, struct.pack("=I", 10 + seat))
        del self._globals[10 + seat]

    def say(self, noise: bytes) -> None:
        """Anything, to all clients."""
        for client in self._clients:
            with suppress(OSError):
                client.socket.sendall(noise)

    def close(self) -> None:
        """Dead, with all connections."""
        self._end.set()
        self._thread.join()
        self._listener.close()
        for client in self._clients:
            client.socket.close()

    def _tell(self, seat: int, event: int) -> None:
        for client in self._clients:
            for notification, name in client.notifications.items():
                if name == 10 + seat:
                    client.send(notification, event)

    def _run(self) -> None:
        while not self._end.is_set():
            waiting = [self._listener, *(client.socket for client in self._clients)]
            for ready in select.select(waiting, [], [], 0.02)[0]:
                if ready is self._listener:
                    self._clients.append(_Client(self, self._listener.accept()[0]))
                    self.connections += 1
                elif not self.silent:
                    self._serve(next(client for client in self._clients if client.socket is ready))

    def _serve(self, client: "_Client") -> None:
        data = b""
        with suppress(OSError):
            data = client.socket.recv(4096)
        if not data:
            client.socket.close()
            self._clients.remove(client)
            return
        if self._noise:
            with suppress(OSError):
                client.socket.sendall(self._noise)
            return
        client.take(data, self._globals)


class _Client:
    def __init__(self, compositor: Compositor, connection: socket.socket) -> None:
        self.socket = connection
        self.notifications: dict[int, int] = {}
        self._compositor = compositor
        self._objects: dict[int, str] = {DISPLAY: "wl_display"}
        self._names: dict[int, int] = {}
        self._buffer = b""

    def send(self, sender: int, event: int, arguments: bytes = b"") -> None:
        with suppress(OSError):
            self.socket.sendall(struct.pack("=II", sender, (8 + len(arguments)) << 16 | event) + arguments)

    def take(self, data: bytes, offered: dict[int, tuple[str, int]]) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            target, word = struct.unpack_from("=II", self._buffer)
            size = word >> 16
            if len(self._buffer) < size:
                return
            arguments, self._buffer = self._buffer[8:size], self._buffer[size:]
            request = (self._objects.get(target, "nothing"), word & 0xFFFF)
            try:
                self._handle(request, target, arguments, offered)
            except (ValueError, struct.error, KeyError) as error:
                self._compositor.errors.append(f"{request}: {error!r}")
                self.send(DISPLAY, 0, struct.pack("=III", target, 0, 4) + b"bad\0")

    def _handle(self, request: tuple[str, int], target: int, arguments: bytes, offered: dict[int, tuple[str, int]]) -> None:
        if request == ("wl_display", 0):
            (callback,) = struct.unpack("=I", arguments)
            self._new(callback, "wl_callback")
            self.send(callback, 0, struct.pack("=I", 7))
            del self._objects[callback]
            self.send(DISPLAY, 1, struct.pack("=I", callback))
        elif request == ("wl_display", 1):
            (registry,) = struct.unpack("=I", arguments)
            self._new(registry, "wl_registry")
            for name, (interface, version) in offered.items():
                self.send(registry, 0, struct.pack("=I", name) + _string(interface) + struct.pack("=I", version))
        elif request == ("wl_registry", 0):
            self._bind(arguments, offered)
        elif request == ("ext_idle_notifier_v1", 2):
            new_id, timeout, seat = struct.unpack("=III", arguments)
            if self._objects[seat] != "wl_seat":
                raise ValueError("not a seat")
            self._new(new_id, "ext_idle_notification_v1")
            self.notifications[new_id] = self._names[seat]
            self._compositor.timeouts.append(timeout)
        else:
            raise ValueError(f"no such request on {target}")

    def _bind(self, arguments: bytes, offered: dict[int, tuple[str, int]]) -> None:
        name, length = struct.unpack_from("=II", arguments)
        interface = arguments[8 : 8 + length - 1].decode()
        version, new_id = struct.unpack("=II", arguments[8 + (length + 3) // 4 * 4 :])
        if offered[name][0] != interface or not 0 < version <= offered[name][1] or arguments[8 + length - 1]:
            raise ValueError(f"{interface} {version} is not what {name} is")
        self._new(new_id, interface)
        self._names[new_id] = name
        if interface == "wl_seat":
            self.send(new_id, 0, struct.pack("=I", 3))  # its capabilities

    def _new(self, number: int, interface: str) -> None:
        if number in self._objects or number > max(self._objects) + 1 + (3 not in self._objects):
            raise ValueError(f"{number} is not the next object")
        self._objects[number] = interface


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("=I", len(data)) + data.ljust((len(data) + 3) // 4 * 4, b"\0")
