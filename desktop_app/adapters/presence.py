"""Signs of the owner: how long no key or mouse was touched, and whether the machine runs on its battery.

What this system does not say is None, and the policy then trusts the schedule and the click only. On Linux the X server is
asked; a Wayland session tells other programs nothing this way, so its idle time is unknown. Called by the agent's senses,
only while sharing is on; from any thread.
"""

import ctypes
import ctypes.util
import os
import sys
import threading
from collections.abc import Mapping

import psutil

from desktop_app.core.presence import Presence

_OnError = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_OnLoss = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_OnDeath = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

# Xlib's own answer to a refused request or a lost server is to end the process
_carry_on_after_error = _OnError(lambda _connection, _event: 0)
_carry_on_after_loss = _OnLoss(lambda _connection: 0)


class PresenceSensor:
    """Keeps one connection to the screen; closed at the end."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._screen: _Screen | None = None
        self._lock = threading.Lock()

    def sense(self) -> Presence:
        """What can be told now. Takes well under a millisecond."""
        with self._lock:
            return Presence(idle_s=self._idle(), on_battery=_on_battery())

    def close(self) -> None:
        """Let go of the screen. Twice is once."""
        with self._lock:
            if self._screen is not None:
                self._screen.close()
                self._screen = None

    def _idle(self) -> float | None:
        if self._screen is None:
            self._screen = _screen(self._environment)
        if self._screen is None:
            return None
        idle = self._screen.idle()
        if self._screen.dead:
            self._screen.close()
            self._screen = None  # a new session may bring a new server: ask again next time
        return idle


class _ScreenSaverInfo(ctypes.Structure):
    """XScreenSaverInfo of X11/extensions/scrnsaver.h."""

    _fields_ = (
        ("window", ctypes.c_ulong),
        ("state", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("til_or_since", ctypes.c_ulong),
        ("idle", ctypes.c_ulong),  # milliseconds
        ("event_mask", ctypes.c_ulong),
    )


class _Screen:
    """A connection to an X server, which may die without taking this process along as Xlib would have it."""

    def __init__(self, x11: ctypes.CDLL, xss: ctypes.CDLL, connection: int) -> None:
        self._x11 = x11
        self._xss = xss
        self._connection = ctypes.c_void_p(connection)
        self._info = _ScreenSaverInfo()
        self._root = x11.XDefaultRootWindow(self._connection)
        self.dead = False
        self._on_death = _OnDeath(self._died)  # kept, for the library only keeps its address
        x11.XSetIOErrorExitHandler(self._connection, self._on_death, None)

    def idle(self) -> float | None:
        """Seconds since the last key or mouse; None if the server does not say or is gone."""
        known = self._xss.XScreenSaverQueryInfo(self._connection, self._root, ctypes.byref(self._info))
        return self._info.idle / 1000 if known and not self.dead else None

    def close(self) -> None:
        self._x11.XCloseDisplay(self._connection)

    def _died(self, _connection: int, _data: int) -> None:
        self.dead = True


def _screen(environment: Mapping[str, str]) -> _Screen | None:
    """The X screen this session shows, if there is one and it can be asked safely."""
    display = environment.get("DISPLAY")
    if sys.platform != "linux" or not display or environment.get("WAYLAND_DISPLAY"):
        return None
    try:
        x11, xss = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXss.so.1")
        _declare(x11, xss)
    except (OSError, AttributeError):
        return None  # not installed, or a library from before 2020, with which a dying server would end this process
    x11.XInitThreads()
    x11.XSetErrorHandler(_carry_on_after_error)
    x11.XSetIOErrorHandler(_carry_on_after_loss)
    connection = x11.XOpenDisplay(display.encode())
    return _Screen(x11, xss, connection) if connection else None


def _declare(x11: ctypes.CDLL, xss: ctypes.CDLL) -> None:
    """Tell ctypes the shapes of the functions used. Raises AttributeError where one is missing."""
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    x11.XSetIOErrorExitHandler.argtypes = [ctypes.c_void_p, _OnDeath, ctypes.c_void_p]
    x11.XSetErrorHandler.argtypes = [_OnError]
    x11.XSetIOErrorHandler.argtypes = [_OnLoss]
    xss.XScreenSaverQueryInfo.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.POINTER(_ScreenSaverInfo)]


def _on_battery() -> bool | None:
    """False for a machine without a battery."""
    try:
        battery = psutil.sensors_battery()
    except OSError:  # a container may hide where the kernel says so
        return None
    if battery is None:
        return False
    return None if battery.power_plugged is None else not battery.power_plugged
