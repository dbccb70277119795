"""An X screen: how long no key or mouse was touched, whether the window in front covers a monitor, whose windows are open.

A server that dies is an answer, never the end of this process; one that hangs holds its caller, who is `presence.aside`'s
thread. Used by `presence.linux`.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from desktop_app.adapters.presence.xlib import Libraries, OnDeath, ScreenSaverInfo, libraries

_T = TypeVar("_T")

VNC = "VNC-EXTENSION"  # which every VNC server of X offers
_ANY_TYPE = 0
_FEW, _MANY = 64, 1024  # numbers asked for of one property: states of a window; windows of a screen
_ATOMS = (
    "_NET_ACTIVE_WINDOW", "_NET_CLIENT_LIST_STACKING", "_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN", "_NET_WM_STATE_MAXIMIZED_VERT",
    "_NET_WM_STATE_HIDDEN", "_NET_WM_WINDOW_TYPE", "_NET_WM_WINDOW_TYPE_DESKTOP", "_NET_WM_WINDOW_TYPE_DOCK", "_NET_WM_PID",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the screen. None: it does not say."""

    idle_s: float | None = None
    full_screen: bool | None = None
    virtual: bool = False  # a VNC server draws it, for somebody elsewhere


@dataclass(frozen=True, slots=True)
class _Place:
    x: int
    y: int
    width: int
    height: int

    def covers(self, other: "_Place") -> bool:
        right, bottom = self.x + self.width, self.y + self.height
        return self.x <= other.x and self.y <= other.y and right >= other.x + other.width and bottom >= other.y + other.height


class Screen:
    """A connection to the X server of `display`, opened when first looked at and again after the server died."""

    def __init__(self, display: str) -> None:
        self._display = display
        self._connection: _Connection | None = None

    def look(self) -> Sight:
        """What the screen shows now; waits for the server as long as it takes."""
        return self._ask(_Connection.look) or Sight()

    def windows(self) -> tuple[int, ...]:
        """Pids of the programs that have windows, the one in front first."""
        return self._ask(_Connection.windows) or ()

    def _ask(self, question: "Callable[[_Connection], _T]") -> _T | None:
        if self._connection is None:
            self._connection = _connect(self._display)
        if self._connection is None:
            return None
        answer = question(self._connection)
        if self._connection.dead:
            self.close()  # a new session may bring a new server: ask again next time
            return None
        return answer

    def close(self) -> None:
        """Let go of the server. Twice is once."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(display: str) -> "_Connection | None":
    loaded = libraries()
    connection = loaded.x11.XOpenDisplay(display.encode()) if loaded else None
    return _Connection(loaded, connection) if loaded and connection else None


class _Connection:
    def __init__(self, loaded: Libraries, connection: int) -> None:
        self._x11 = loaded.x11
        self._saver = loaded.saver
        self._randr = loaded.monitors
        self._connection = ctypes.c_void_p(connection)
        self._root = self._x11.XDefaultRootWindow(self._connection)
        self.dead = False
        self._on_death = OnDeath(self._died)  # kept, for the library only keeps its address
        self._x11.XSetIOErrorExitHandler(self._connection, self._on_death, None)
        self._atoms = {name: int(self._x11.XInternAtom(self._connection, name.encode(), 0)) for name in _ATOMS}
        self._virtual = self._has_extension(VNC)

    def look(self) -> Sight:
        front = self._front()
        return Sight(self._idle(), bool(front) and self._full_screen(front), self._virtual)

    def windows(self) -> tuple[int, ...]:
        below = self._property(self._root, "_NET_CLIENT_LIST_STACKING", _MANY)
        front = self._front()
        ordered = [front, *reversed(below)] if front else list(reversed(below))
        pids = (pid for window in ordered for pid in self._property(window, "_NET_WM_PID", 1))
        return tuple(dict.fromkeys(pids))

    def close(self) -> None:
        self._x11.XCloseDisplay(self._connection)

    def _died(self, _connection: int, _data: int) -> None:
        self.dead = True

    def _has_extension(self, name: str) -> bool:
        unused = [ctypes.c_int() for _ in range(3)]
        return bool(self._x11.XQueryExtension(self._connection, name.encode(), *(ctypes.byref(one) for one in unused)))

    def _idle(self) -> float | None:
        info = ScreenSaverInfo()
        known = self._saver.XScreenSaverQueryInfo(self._connection, self._root, ctypes.byref(info))
        return int(info.idle) / 1000 if known else None

    def _full_screen(self, window: int) -> bool:
        """Said by the window's state, or by its place: old games just cover the monitor. Desktops and docks may."""
        states = self._property(window, "_NET_WM_STATE", _FEW)
        if self._atoms["_NET_WM_STATE_HIDDEN"] in states:
            return False
        if self._atoms["_NET_WM_STATE_FULLSCREEN"] in states:
            return True
        if self._atoms["_NET_WM_STATE_MAXIMIZED_VERT"] in states:
            return False
        kinds = self._property(window, "_NET_WM_WINDOW_TYPE", _FEW)
        if self._atoms["_NET_WM_WINDOW_TYPE_DESKTOP"] in kinds or self._atoms["_NET_WM_WINDOW_TYPE_DOCK"] in kinds:
            return False
        place = self._place(window)
        return place is not None and any(place.covers(monitor) for monitor in self._monitors())

    def _front(self) -> int:
        active = self._property(self._root, "_NET_ACTIVE_WINDOW", 1)
        return active[0] if active else 0

    def _monitors(self) -> list[_Place]:
        if self._randr is not None:
            count = ctypes.c_int()
            found = self._randr.XRRGetMonitors(self._connection, self._root, 1, ctypes.byref(count))
            if found:
                monitors = [_Place(one.x, one.y, one.width, one.height) for one in found[: max(count.value, 0)]]
                self._randr.XRRFreeMonitors(found)
                return monitors
        whole = self._place(self._root)
        return [whole] if whole else []

    def _place(self, window: int) -> _Place | None:
        root, child = ctypes.c_ulong(), ctypes.c_ulong()
        x, y = ctypes.c_int(), ctypes.c_int()
        width, height, border, depth = (ctypes.c_uint() for _ in range(4))
        told = [ctypes.byref(one) for one in (root, x, y, width, height, border, depth)]
        if not self._x11.XGetGeometry(self._connection, window, *told):
            return None
        found = [ctypes.byref(one) for one in (x, y, child)]
        if not self._x11.XTranslateCoordinates(self._connection, window, self._root, 0, 0, *found):
            return None
        return _Place(x.value, y.value, width.value, height.value)

    def _property(self, window: int, name: str, most: int) -> tuple[int, ...]:
        """The numbers of a window's property; none if it has no such property, or is gone."""
        kind, count, left = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_ulong()
        form, data = ctypes.c_int(), ctypes.c_void_p()
        asked = (self._connection, window, self._atoms[name], 0, most, 0, _ANY_TYPE)
        told = [ctypes.byref(one) for one in (kind, form, count, left, data)]
        refused = self._x11.XGetWindowProperty(*asked, *told)
        if refused or not data.value:
            return ()
        try:
            # whatever its width on the wire, a property of 32 bits is handed over as longs
            numbers = ctypes.cast(data, ctypes.POINTER(ctypes.c_ulong))[: count.value] if form.value == 32 else []
        finally:
            self._x11.XFree(data)
        return tuple(numbers)
