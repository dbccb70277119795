"""Windows' signs of its owner: last input, lock, full screen, remote session.

UNPROVEN: written from Microsoft's documentation and tested through its calls (tests/adapters/test_presence_windows.py), not
yet run on Windows. Used by `presence.sensor`.
"""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.presence import Presence

_D3D_FULL_SCREEN = 3  # QUNS_RUNNING_D3D_FULL_SCREEN
_REMOTE_SESSION = 0x1000  # SM_REMOTESESSION
_SWITCH_DESKTOP = 0x0100  # DESKTOP_SWITCHDESKTOP
_THIS_SESSION = 0xFFFFFFFF  # WTS_CURRENT_SESSION
_SESSION_INFO_EX = 25  # WTSSessionInfoEx
_LOCKED, _UNLOCKED = 0, 1  # WTS_SESSIONSTATE_LOCK, WTS_SESSIONSTATE_UNLOCK
_NEAREST = 2  # MONITOR_DEFAULTTONEAREST
_TICKS = 1 << 32  # milliseconds until GetTickCount starts anew, 49.7 days
_TOO_LONG = _TICKS - 60_000  # an input a moment after the tick was read looks like one 49 days ago
_SHELL = frozenset({"Progman", "WorkerW", "Shell_TrayWnd"})
"""Window classes of the desktop itself, which covers its screen without being a game."""


class LastInput(ctypes.Structure):
    """LASTINPUTINFO."""

    _fields_ = (("size", ctypes.c_uint32), ("tick", ctypes.c_uint32))


class Rect(ctypes.Structure):
    """RECT."""

    _fields_ = (("left", ctypes.c_int32), ("top", ctypes.c_int32), ("right", ctypes.c_int32), ("bottom", ctypes.c_int32))


class Monitor(ctypes.Structure):
    """MONITORINFO."""

    _fields_ = (("size", ctypes.c_uint32), ("whole", Rect), ("work", Rect), ("flags", ctypes.c_uint32))


class SessionInfo(ctypes.Structure):
    """The beginning of WTSINFOEXW at level 1; its union is aligned to eight bytes."""

    _fields_ = (
        ("level", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("session", ctypes.c_uint32),
        ("state", ctypes.c_int32),
        ("flags", ctypes.c_int32),
    )


Call = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Calls:
    """The functions of user32, kernel32, shell32 and wtsapi32 used here, under their own names."""

    GetLastInputInfo: Call
    GetTickCount: Call
    GetSystemMetrics: Call
    OpenInputDesktop: Call
    CloseDesktop: Call
    GetForegroundWindow: Call
    GetWindowRect: Call
    GetClassNameW: Call
    GetWindowThreadProcessId: Call
    MonitorFromWindow: Call
    GetMonitorInfoW: Call
    SHQueryUserNotificationState: Call
    WTSQuerySessionInformationW: Call
    WTSFreeMemory: Call


class WindowsEyes:
    """Asks anew at every look; holds nothing."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def look(self) -> Presence:
        """One look, without programs and battery."""
        return Presence(
            idle_s=self._idle(),
            locked=self._locked(),
            full_screen=self._full_screen(),
            remote=bool(self._calls.GetSystemMetrics(_REMOTE_SESSION)),
        )

    def windows(self) -> tuple[int, ...]:
        """The program of the window in front."""
        pid = ctypes.c_uint32()
        window = self._calls.GetForegroundWindow()
        if window:
            self._calls.GetWindowThreadProcessId(window, ctypes.byref(pid))
        return (pid.value,) if pid.value else ()

    def close(self) -> None:
        """Nothing is held."""

    def _idle(self) -> float | None:
        last = LastInput(size=ctypes.sizeof(LastInput))
        if not self._calls.GetLastInputInfo(ctypes.byref(last)):
            return None
        since = (self._calls.GetTickCount() - last.tick) % _TICKS
        return 0.0 if since > _TOO_LONG else since / 1000

    def _locked(self) -> bool | None:
        """By the session's own flag; else locked is when this account may not see the desktop that takes the input."""
        flags = self._session_flags()
        if flags in (_LOCKED, _UNLOCKED):
            return flags == _LOCKED
        desktop = self._calls.OpenInputDesktop(0, 0, _SWITCH_DESKTOP)
        if desktop:
            self._calls.CloseDesktop(desktop)
        return not desktop

    def _session_flags(self) -> int | None:
        buffer, size = ctypes.c_void_p(), ctypes.c_uint32()
        if not self._calls.WTSQuerySessionInformationW(None, _THIS_SESSION, _SESSION_INFO_EX, ctypes.byref(buffer), ctypes.byref(size)):
            return None
        try:
            if not buffer.value or size.value < ctypes.sizeof(SessionInfo):
                return None
            told = SessionInfo.from_address(buffer.value)
            return int(told.flags) if told.level == 1 else None
        finally:
            self._calls.WTSFreeMemory(buffer)

    def _full_screen(self) -> bool | None:
        state = ctypes.c_int()
        if self._calls.SHQueryUserNotificationState(ctypes.byref(state)) == 0 and state.value == _D3D_FULL_SCREEN:
            return True
        window = self._calls.GetForegroundWindow()
        if not window:
            return False
        place, monitor = Rect(), Monitor(size=ctypes.sizeof(Monitor))
        nearest = self._calls.MonitorFromWindow(window, _NEAREST)
        if not self._calls.GetWindowRect(window, ctypes.byref(place)) or not self._calls.GetMonitorInfoW(nearest, ctypes.byref(monitor)):
            return None
        return _edges(place) == _edges(monitor.whole) and self._class(window) not in _SHELL

    def _class(self, window: int) -> str:
        name = ctypes.create_unicode_buffer(64)
        self._calls.GetClassNameW(window, name, len(name))
        return name.value


def _edges(rect: Rect) -> tuple[int, int, int, int]:
    return (rect.left, rect.top, rect.right, rect.bottom)


if sys.platform == "win32":

    def calls() -> Calls:
        """The system's own functions, with the shapes that ctypes would guess wrong declared."""
        user, kernel, shell, sessions = (ctypes.WinDLL(name) for name in ("user32", "kernel32", "shell32", "wtsapi32"))
        pointer = ctypes.c_void_p
        for function in (user.OpenInputDesktop, user.GetForegroundWindow, user.MonitorFromWindow):
            function.restype = pointer
        kernel.GetTickCount.restype = ctypes.c_uint32
        user.CloseDesktop.argtypes = [pointer]
        user.GetWindowRect.argtypes = [pointer, pointer]
        user.GetClassNameW.argtypes = [pointer, ctypes.c_wchar_p, ctypes.c_int]
        user.GetWindowThreadProcessId.argtypes = [pointer, pointer]
        user.MonitorFromWindow.argtypes = [pointer, ctypes.c_uint32]
        user.GetMonitorInfoW.argtypes = [pointer, pointer]
        user.OpenInputDesktop.argtypes = [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32]
        sessions.WTSQuerySessionInformationW.argtypes = [pointer, ctypes.c_uint32, ctypes.c_int, pointer, pointer]
        sessions.WTSFreeMemory.argtypes = [pointer]
        return Calls(
            user.GetLastInputInfo, kernel.GetTickCount, user.GetSystemMetrics, user.OpenInputDesktop, user.CloseDesktop,
            user.GetForegroundWindow, user.GetWindowRect, user.GetClassNameW, user.GetWindowThreadProcessId, user.MonitorFromWindow,
            user.GetMonitorInfoW, shell.SHQueryUserNotificationState, sessions.WTSQuerySessionInformationW, sessions.WTSFreeMemory,
        )  # fmt: skip
