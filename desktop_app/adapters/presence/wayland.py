"""How long no key or mouse was touched in a Wayland session, by the protocol ext-idle-notify-v1.

A small client of its own, since the libraries there are wait without limits and have no wheels for every machine. Of the
protocol's two notifications only version 2's is asked for, the one for input: the plain one is held off by every video and
by our own wish to stay awake. Used by `presence.linux`.

Wire format: https://wayland.freedesktop.org/docs/html/ch04.html; ext-idle-notify: wayland-protocols, staging.
"""

import select
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

IDLE_MS = 1000
"""No touch for so long is idle; until then the owner counts as there."""

STALE_S = 1.0  # a compositor that has not answered by then hangs
PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
SEND_S = 0.005
_READ = 4096
_MOST_SEATS, _MOST_GLOBALS, _MOST_BUFFERED = 8, 1000, 64 << 10

_DISPLAY, _REGISTRY, _CALLBACK, _NOTIFIER, _FIRST_SEAT = 1, 2, 3, 4, 5
_SYNC, _GET_REGISTRY, _BIND, _GET_INPUT_IDLE = 0, 1, 0, 2  # requests
_ERROR, _DELETE_ID, _GLOBAL, _REMOVED, _IDLED, _RESUMED = 0, 1, 0, 1, 0, 1  # events


class Wayland:
    """Opened when first looked at, and again, after a pause that grows, when the compositor hung, died or talked nonsense."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._session: _Session | None = None
        self._retry_at = float("-inf")
        self._pause = PAUSE_S

    def idle(self, patience: float) -> float | None:
        """Seconds without a touch, counted from the first look on; None if the compositor does not say. Never raises."""
        try:
            if self._session is None:
                if time.monotonic() < self._retry_at:
                    return None
                self._session = _Session(self._path)
            idle = self._session.idle(patience)
        except (OSError, ValueError, struct.error):
            self.close()
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, MOST_PAUSE_S)
            return None
        if idle is not None:
            self._pause = PAUSE_S
        return idle

    def close(self) -> None:
        """Let go of the compositor. Twice is once."""
        if self._session is not None:
            self._session.close()
            self._session = None


def socket_of(environment: Mapping[str, str]) -> str | None:
    """Where the session's compositor listens; None without a Wayland session."""
    name, runtime = environment.get("WAYLAND_DISPLAY"), environment.get("XDG_RUNTIME_DIR", "")
    if not name or not (name.startswith("/") or runtime.startswith("/")):
        return None
    return str(PurePosixPath(runtime) / name)


class _Session:
    """One connection. The object numbers are given by hand: registry, callback, notifier, then a seat and its notification each."""

    def __init__(self, path: str) -> None:
        self._buffer = bytearray()
        self._notifier: int | None = None  # the global's name
        self._seats: list[int] = []
        self._globals = 0
        self._bound = False
        self._idle_since: dict[int, float | None] = {}
        self._callback_free = True
        self._sync_sent_at = time.monotonic()
        self._poll = select.poll()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(SEND_S)
            self._socket.connect(path)
            self._poll.register(self._socket, select.POLLIN)
            self._request(_DISPLAY, _GET_REGISTRY, struct.pack("=I", _REGISTRY))
        except BaseException:
            self.close()
            raise

    def idle(self, patience: float) -> float | None:
        """Raises OSError where the compositor hangs or is gone, ValueError where it talks nonsense."""
        until = time.monotonic() + patience
        self._synchronise(until)
        if not self._bound and self._callback_free:
            self._bind()
            self._synchronise(until)
        if not self._bound:
            return None
        now = time.monotonic()
        return min(0.0 if since is None else now - since for since in self._idle_since.values())

    def close(self) -> None:
        self._socket.close()

    def _synchronise(self, until: float) -> None:
        """Hear all that the compositor had to say until now; what it says late is heard at the next look."""
        # looked at before listening: where we ourselves stood still, its answer lies here unread
        late = not self._callback_free and time.monotonic() - self._sync_sent_at > STALE_S
        if self._callback_free:
            self._callback_free = False
            self._sync_sent_at = time.monotonic()
            self._request(_DISPLAY, _SYNC, struct.pack("=I", _CALLBACK))
        while not self._callback_free and (left := until - time.monotonic()) > 0 and self._poll.poll(left * 1000):
            said = self._socket.recv(_READ)
            if not said:
                raise ConnectionResetError
            self._buffer += said
            self._take_events()
        if late and not self._callback_free:
            raise TimeoutError

    def _bind(self) -> None:
        """Once all globals are known: a notification for each seat."""
        if self._notifier is None or not self._seats:
            raise ValueError("the compositor does not offer this")
        self._bound = True
        self._request(_REGISTRY, _BIND, _named(self._notifier, "ext_idle_notifier_v1", 2, _NOTIFIER))
        for number, seat in enumerate(self._seats):
            seat_id = _FIRST_SEAT + 2 * number
            self._request(_REGISTRY, _BIND, _named(seat, "wl_seat", 1, seat_id))
            self._request(_NOTIFIER, _GET_INPUT_IDLE, struct.pack("=III", seat_id + 1, IDLE_MS, seat_id))
            self._idle_since[seat_id + 1] = None

    def _request(self, target: int, opcode: int, arguments: bytes) -> None:
        self._socket.sendall(struct.pack("=II", target, (8 + len(arguments)) << 16 | opcode) + arguments)

    def _take_events(self) -> None:
        while len(self._buffer) >= 8:
            sender, word = struct.unpack_from("=II", self._buffer)
            size, opcode = word >> 16, word & 0xFFFF
            if size < 8:
                raise ValueError("an event shorter than its own header")
            if len(self._buffer) < size:
                break
            arguments = bytes(self._buffer[8:size])
            del self._buffer[:size]
            self._take(sender, opcode, arguments)
        if len(self._buffer) > _MOST_BUFFERED:
            raise ValueError("more than one event can be")

    def _take(self, sender: int, opcode: int, arguments: bytes) -> None:
        if sender == _DISPLAY and opcode == _ERROR:
            raise ValueError("the compositor refused a request")
        if sender == _DISPLAY and opcode == _DELETE_ID and struct.unpack_from("=I", arguments) == (_CALLBACK,):
            self._callback_free = True
        elif sender == _REGISTRY and self._bound:
            self._seats_stay(opcode, arguments)
        elif sender == _REGISTRY and opcode == _GLOBAL:
            self._take_global(arguments)
        elif sender in self._idle_since and opcode == _IDLED:
            self._idle_since[sender] = time.monotonic() - IDLE_MS / 1000
        elif sender in self._idle_since and opcode == _RESUMED:
            self._idle_since[sender] = None

    def _seats_stay(self, opcode: int, arguments: bytes) -> None:
        """A seat that comes or goes ends this connection: the next one finds them as they are."""
        (name,) = struct.unpack_from("=I", arguments)
        if (opcode == _GLOBAL and b"wl_seat\0" in arguments) or (opcode == _REMOVED and name in self._seats):
            raise ConnectionResetError

    def _take_global(self, arguments: bytes) -> None:
        self._globals += 1
        if self._globals > _MOST_GLOBALS:
            raise ValueError("more globals than any compositor has")
        name, length = struct.unpack_from("=II", arguments)
        interface = arguments[8 : 8 + length].rstrip(b"\0")
        (version,) = struct.unpack_from("=I", arguments, 8 + (length + 3 & ~3))
        if interface == b"ext_idle_notifier_v1" and version >= 2:
            self._notifier = name
        elif interface == b"wl_seat" and len(self._seats) < _MOST_SEATS:
            self._seats.append(name)


def _named(name: int, interface: str, version: int, new_id: int) -> bytes:
    """The arguments of wl_registry.bind: the global's name, and the new object with its interface and version."""
    text = interface.encode() + b"\0"
    padded = text.ljust(len(text) + 3 & ~3, b"\0")
    return struct.pack("=II", name, len(text)) + padded + struct.pack("=II", version, new_id)
