"""The few functions of Xlib that the screen is asked through, with their shapes declared, by ctypes.

Xlib's own answer to a refused request or a lost server is to end the process; both are turned into an answer here. Used by
`presence.screen` only.
"""

import ctypes
from dataclasses import dataclass

OnDeath = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_OnError = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_OnLoss = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

_carry_on_after_error = _OnError(lambda _connection, _event: 0)
_carry_on_after_loss = _OnLoss(lambda _connection: 0)

_pointer, _number, _flag = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int
_numbers, _flags, _sizes = ctypes.POINTER(ctypes.c_ulong), ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_uint)


class ScreenSaverInfo(ctypes.Structure):
    """XScreenSaverInfo of X11/extensions/scrnsaver.h."""

    _fields_ = (
        ("window", ctypes.c_ulong),
        ("state", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("til_or_since", ctypes.c_ulong),
        ("idle", ctypes.c_ulong),  # milliseconds
        ("event_mask", ctypes.c_ulong),
    )


class MonitorInfo(ctypes.Structure):
    """XRRMonitorInfo of X11/extensions/Xrandr.h."""

    _fields_ = (
        ("name", ctypes.c_ulong),
        ("primary", ctypes.c_int),
        ("automatic", ctypes.c_int),
        ("outputs_count", ctypes.c_int),
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("millimetres_wide", ctypes.c_int),
        ("millimetres_high", ctypes.c_int),
        ("outputs", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class Libraries:
    """`monitors` is None where RandR is not installed; the whole screen is then taken for one monitor."""

    x11: ctypes.CDLL
    saver: ctypes.CDLL
    monitors: ctypes.CDLL | None


def libraries() -> Libraries | None:
    """Loaded, declared, and told not to end this process. None where Xlib is missing, or from before 2020 and unsafe to use."""
    try:
        x11, saver = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXss.so.1")
        _declare_x11(x11)
        saver.XScreenSaverQueryInfo.argtypes = [_pointer, _number, ctypes.POINTER(ScreenSaverInfo)]
    except (OSError, AttributeError):
        return None
    x11.XInitThreads()
    x11.XSetErrorHandler(_carry_on_after_error)
    x11.XSetIOErrorHandler(_carry_on_after_loss)
    return Libraries(x11, saver, _randr())


def _declare_x11(x11: ctypes.CDLL) -> None:
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XOpenDisplay.restype = _pointer
    x11.XDefaultRootWindow.argtypes = [_pointer]
    x11.XDefaultRootWindow.restype = _number
    x11.XCloseDisplay.argtypes = [_pointer]
    x11.XInternAtom.argtypes = [_pointer, ctypes.c_char_p, _flag]
    x11.XInternAtom.restype = _number
    x11.XGetWindowProperty.argtypes = [
        _pointer, _number, _number, ctypes.c_long, ctypes.c_long, _flag, _number,
        _numbers, _flags, _numbers, _numbers, ctypes.POINTER(_pointer),
    ]  # fmt: skip
    x11.XGetGeometry.argtypes = [_pointer, _number, _numbers, _flags, _flags, _sizes, _sizes, _sizes, _sizes]
    x11.XTranslateCoordinates.argtypes = [_pointer, _number, _number, _flag, _flag, _flags, _flags, _numbers]
    x11.XQueryExtension.argtypes = [_pointer, ctypes.c_char_p, _flags, _flags, _flags]
    x11.XFree.argtypes = [_pointer]
    x11.XSetErrorHandler.argtypes = [_OnError]
    x11.XSetIOErrorHandler.argtypes = [_OnLoss]
    x11.XSetIOErrorExitHandler.argtypes = [_pointer, OnDeath, _pointer]


def _randr() -> ctypes.CDLL | None:
    try:
        randr = ctypes.CDLL("libXrandr.so.2")
        randr.XRRGetMonitors.argtypes = [_pointer, _number, _flag, _flags]
        randr.XRRGetMonitors.restype = ctypes.POINTER(MonitorInfo)
        randr.XRRFreeMonitors.argtypes = [ctypes.POINTER(MonitorInfo)]
    except (OSError, AttributeError):
        return None
    return randr
