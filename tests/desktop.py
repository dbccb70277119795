"""A real X desktop without a screen: Xvfb, a window manager and a tray, for tests and benchmarks that must see a real icon.

Used by the `desktop` fixture and by the benchmarks. Linux only; every part is ended when the block is left.
"""

import ctypes
import ctypes.util
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60.0  # only so that a run ends
_PARTS = {
    "window manager": ("openbox", "--sm-disable"),
    "tray": ("trayer", "--edge", "top", "--align", "right", "--width", "10", "--height", "32"),
}


@dataclass(frozen=True)
class Desktop:
    """A running desktop; `environment` is what a process needs to appear on it."""

    display: str
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command such as `xdotool` on this desktop and return what it printed."""
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return done.stdout

    def screenshot(self, target: Path) -> None:
        """Picture the whole screen as a PNG."""
        self.run("import", "-window", "root", str(target))

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Move the pointer and click."""
        self.run("xdotool", "mousemove", str(x), str(y), "click", str(button))


@contextmanager
def open_desktop(size: str = "1280x800x24") -> Iterator[Desktop]:
    """Start a desktop on a free display number; leave nothing of it behind."""
    with ExitStack() as stack:
        display = stack.enter_context(_screen(size))
        # the tray must come up on X, and nothing may reach the session bus of whoever runs the tests
        settings = {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "DBUS_SESSION_BUS_ADDRESS": "disabled:", "LC_ALL": "C.UTF-8"}
        for command in _PARTS.values():
            stack.enter_context(_running(command, os.environ | settings))
        _wait_for_tray(display)
        yield Desktop(display, settings)


@contextmanager
def _screen(size: str) -> Iterator[str]:
    """Xvfb on the display number it finds free itself, so that several test runs never meet."""
    reader, writer = os.pipe()
    command = ("Xvfb", "-displayfd", str(writer), "-screen", "0", size, "-nolisten", "tcp", "-noreset")
    try:
        with _running(command, dict(os.environ), keep=writer):
            os.close(writer)
            writer = -1
            yield f":{_number(reader)}"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _number(reader: int) -> str:
    """Xvfb writes the number's digits and the end of the line one after the other."""
    said = b""
    while not said.endswith(b"\n"):
        part = os.read(reader, 16)
        if not part:
            raise RuntimeError("Xvfb did not start; run it by hand to see why")
        said += part
    return said.decode().strip()


@contextmanager
def _running(command: tuple[str, ...], environment: dict[str, str], keep: int | None = None) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        env=environment,
        pass_fds=() if keep is None else (keep,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_tray(display: str) -> None:
    """Until somebody owns the tray's selection: an icon shown earlier would find no place."""
    x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XGetSelectionOwner.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    x11.XGetSelectionOwner.restype = ctypes.c_ulong
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display.encode())
    if not connection:
        raise RuntimeError(f"the display {display} does not answer")
    try:
        selection = x11.XInternAtom(connection, b"_NET_SYSTEM_TRAY_S0", 0)
        end = time.monotonic() + PATIENCE_S
        while not x11.XGetSelectionOwner(connection, selection):
            if time.monotonic() > end:
                raise RuntimeError("no tray came up; run trayer by hand to see why")
            time.sleep(0.02)
    finally:
        x11.XCloseDisplay(connection)
