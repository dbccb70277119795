"""How long from starting the tray process to its icon in the tray: `python -m tests.benchmarks.startup`.

The real process (`python -m desktop_app`) on a real X desktop with a window manager and a tray, no engine running. The clock
starts before the process is made and stops when the X server shows one more viewable window docked inside the tray's own,
so the app is not asked when it thinks it is ready. The engine it starts in the background competes for the cores, as it
does for an owner. Ends in the line `startup <median> s`; the goal is 0.6.
"""

import argparse
import ctypes
import ctypes.util
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from desktop_app.wire.profile import Profile
from tests.desktop import open_desktop

_PATIENCE_S = 20.0
_POLL_S = 0.002
_VIEWABLE = 2
_PANEL = b"panel"  # how trayer names its window


class _Attributes(ctypes.Structure):
    """XWindowAttributes, whose `map_state` is read."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("x", "y", "width", "height", "border_width", "depth")),
        ("visual", ctypes.c_void_p),
        ("root", ctypes.c_ulong),
        *((name, ctypes.c_int) for name in ("class", "bit_gravity", "win_gravity", "backing_store")),
        ("backing_planes", ctypes.c_ulong),
        ("backing_pixel", ctypes.c_ulong),
        ("save_under", ctypes.c_int),
        ("colormap", ctypes.c_ulong),
        ("map_installed", ctypes.c_int),
        ("map_state", ctypes.c_int),
        ("all_event_masks", ctypes.c_long),
        ("your_event_mask", ctypes.c_long),
        ("do_not_propagate_mask", ctypes.c_long),
        ("override_redirect", ctypes.c_int),
        ("screen", ctypes.c_void_p),
    )


_ERROR_HANDLER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ignore = _ERROR_HANDLER(lambda display, event: 0)  # a window may go between being listed and being looked at
"""Kept while the process lives: Xlib has one handler for everybody, and calls it also after a watch has ended."""


class TrayWatch:
    """Counts the icons that can be seen in the tray of one display."""

    def __init__(self, display: str) -> None:
        self._x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._x11.XInternAtom.restype = ctypes.c_ulong
        self._x11.XDefaultRootWindow.restype = ctypes.c_ulong
        self._x11.XSetErrorHandler(_ignore)
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))
        if not self._display:
            raise RuntimeError(f"the display {display} does not answer")
        self._root: int = ctypes.c_ulong(self._x11.XDefaultRootWindow(self._display)).value
        self._panel: int | None = None
        self._embedded = ctypes.c_ulong(self._x11.XInternAtom(self._display, b"_XEMBED_INFO", 0))

    def icons(self) -> int:
        """How many viewable windows that speak XEmbed lie inside the tray's panel; the app's own windows lie elsewhere."""
        if self._panel is None:
            self._panel = next((window for window in self._below(self._root) if self._name(window) == _PANEL), None)
        return 0 if self._panel is None else sum(1 for window in self._below(self._panel) if self._is_icon(window))

    def _name(self, window: int) -> bytes:
        name = ctypes.c_char_p()
        if not self._x11.XFetchName(self._display, ctypes.c_ulong(window), ctypes.byref(name)) or name.value is None:
            return b""
        found = bytes(name.value)
        self._x11.XFree(name)
        return found

    def _below(self, window: int) -> Iterator[int]:
        root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        children = ctypes.POINTER(ctypes.c_ulong)()
        found = self._x11.XQueryTree(
            self._display, ctypes.c_ulong(window), ctypes.byref(root), ctypes.byref(parent), ctypes.byref(children), ctypes.byref(count)
        )
        if not found:
            return
        below = [children[number] for number in range(count.value)]
        if below:
            self._x11.XFree(children)
        for child in below:
            yield child
            yield from self._below(child)

    def _is_icon(self, window: int) -> bool:
        seen, kind, form = _Attributes(), ctypes.c_ulong(), ctypes.c_int()
        items, left, data = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_void_p()
        if not self._x11.XGetWindowAttributes(self._display, ctypes.c_ulong(window), ctypes.byref(seen)) or seen.map_state != _VIEWABLE:
            return False
        self._x11.XGetWindowProperty(
            self._display, ctypes.c_ulong(window), self._embedded, 0, 2, 0, 0, ctypes.byref(kind), ctypes.byref(form),
            ctypes.byref(items), ctypes.byref(left), ctypes.byref(data),
        )
        if data:
            self._x11.XFree(data)
        return items.value > 0

    def close(self) -> None:
        """Let the display go."""
        self._x11.XCloseDisplay(self._display)


@contextmanager
def _tray(environment: dict[str, str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = os.environ | environment | {"SUBLET_HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    process = subprocess.Popen([sys.executable, "-m", "desktop_app"], env=settings, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _end_engine(home: Path) -> None:
    """The engine the tray started is its own session: end everything that lives in this profile."""
    mark = f"SUBLET_HOME={home}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)


def one_start(environment: dict[str, str], display: str) -> float:
    """Seconds from making the process to its icon docked and viewable."""
    with tempfile.TemporaryDirectory(prefix="sublet-startup-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        watch = TrayWatch(display)
        try:
            before = watch.icons()
            begun = time.monotonic()
            with _tray(environment, home) as process:
                while watch.icons() <= before:
                    if process.poll() is not None or time.monotonic() - begun > _PATIENCE_S:
                        raise RuntimeError(f"the tray showed no icon (exit status {process.poll()})")
                    time.sleep(_POLL_S)
                return time.monotonic() - begun
        finally:
            watch.close()
            _end_engine(Profile(home).root)


def main() -> None:
    """Warm up once, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=9)
    times = parser.parse_args().times
    with open_desktop() as desktop:
        first = one_start(desktop.environment, desktop.display)
        print(f"first start {first:.3f} s (not counted: it also fills the disk cache)")
        taken = [one_start(desktop.environment, desktop.display) for _ in range(times)]
    print("starts " + " ".join(f"{one:.3f}" for one in sorted(taken)))
    print(f"startup_worst {max(taken):.3f} s")
    print(f"startup {statistics.median(taken):.3f} s")


if __name__ == "__main__":
    main()
