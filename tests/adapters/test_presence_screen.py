"""Full screen on a real X server with a real window manager; programs to add; an X server that hangs; X inside Wayland."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desktop_app.adapters.presence import PresenceSensor
from tests.adapters.looks import pace
from tests.desktop import Desktop
from tests.fakes.dbus import fake_bus
from tests.fakes.wayland import Compositor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="an X server for tests exists on Linux only")

SILENT = {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"}
WINDOW = """
import sys
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget()
how = sys.argv[1]
screen = app.primaryScreen().geometry()
if "frameless" in how:
    window.setWindowFlag(Qt.WindowType.FramelessWindowHint)
if "desktop" in how:
    window.setAttribute(Qt.WidgetAttribute.WA_X11NetWmWindowTypeDesktop)
if "whole" in how:
    window.setGeometry(screen)
else:
    window.resize(300, 200)
{"full": window.showFullScreen, "maximised": window.showMaximized}.get(how.split()[0], window.show)()
window.activateWindow()
app.exec()
"""


@pytest.fixture
def sensor(desktop: Desktop) -> Iterator[PresenceSensor]:
    """It takes the test's own children for the owner's programs."""
    one = PresenceSensor(SILENT | {"DISPLAY": desktop.display}, ours=0)
    yield one
    one.close()


@contextmanager
def window(desktop: Desktop, how: str, program: Path = Path(sys.executable)) -> Iterator[int]:
    environment = os.environ | desktop.environment | {"PYTHONPATH": sysconfig.get_path("purelib")}
    with subprocess.Popen([program, "-c", WINDOW, how], env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--pid", str(process.pid))
            yield process.pid
        finally:
            process.kill()


def becomes(says: Callable[[], object], value: object) -> None:
    end = time.monotonic() + 15
    while (said := says()) != value and time.monotonic() < end:
        time.sleep(0.05)
    assert said == value


def never(says: Callable[[], object], value: object) -> None:
    """In a few looks. Not to know is no lie: an answer that comes too late for a look is none."""
    for _ in range(6):
        assert says() != value
        time.sleep(0.05)


@pytest.fixture
def xwayland(monkeypatch: pytest.MonkeyPatch) -> str:
    """What an X server inside Wayland is called in this test alone: one may run for the person, or another test."""
    name = f"X{os.getpid()}"
    monkeypatch.setattr("desktop_app.adapters.presence.linux.XWAYLAND", name)
    return name


@pytest.mark.parametrize("how", ["full", "plain frameless whole"])
def test_a_window_that_covers_its_monitor_is_seen(desktop: Desktop, sensor: PresenceSensor, how: str) -> None:
    becomes(lambda: sensor.sense().full_screen, False)
    with window(desktop, how):
        becomes(lambda: sensor.sense().full_screen, True)
    becomes(lambda: sensor.sense().full_screen, False)


@pytest.mark.parametrize("how", ["plain", "maximised", "maximised frameless", "plain desktop whole"])
def test_any_other_window_is_not(desktop: Desktop, sensor: PresenceSensor, how: str) -> None:
    with window(desktop, how) as pid:
        if "desktop" not in how:
            becomes(lambda: pid in sensor._eyes.windows()[:1], True)
        becomes(lambda: sensor.sense().full_screen, False)
        never(lambda: sensor.sense().full_screen, True)


def test_a_game_behind_another_window_does_not_cover_it(desktop: Desktop, sensor: PresenceSensor) -> None:
    with window(desktop, "full"):
        becomes(lambda: sensor.sense().full_screen, True)
        with window(desktop, "plain"):
            becomes(lambda: sensor.sense().full_screen, False)


def test_programs_with_windows_can_be_added_the_one_in_front_first(desktop: Desktop, sensor: PresenceSensor, tmp_path: Path) -> None:
    with window(desktop, "plain"), window(desktop, "full", _named(tmp_path, "mygame")):
        becomes(lambda: sensor.candidates()[:1], ("mygame",))
        assert "openbox" not in sensor.candidates()
        with subprocess.Popen([_sleep_named(tmp_path, "compute-game"), "60"]) as other:
            try:
                becomes(lambda: sensor.candidates([other.pid, other.pid, 2**22 + 1])[-1], "compute-game")
            finally:
                other.kill()


def test_our_own_windows_are_not_offered(desktop: Desktop) -> None:
    own = PresenceSensor(SILENT | {"DISPLAY": desktop.display})
    try:
        with window(desktop, "full"):
            becomes(lambda: own.sense().full_screen, True)
            assert own.candidates() == ()
    finally:
        own.close()


def test_a_screen_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    with _screen() as (display, server):
        sensor = PresenceSensor(SILENT | {"DISPLAY": display})
        try:
            becomes(lambda: sensor.sense().idle_s is not None, True)
            server.send_signal(signal.SIGSTOP)
            assert pace(sensor) < 0.05
            becomes(lambda: sensor.sense().idle_s, None)
            assert sensor.candidates() == ()
            assert pace(sensor) < 0.05
            took = []
            for _ in range(3):  # so that one that was robbed of its processor does not count
                server.send_signal(signal.SIGCONT)
                becomes(lambda: sensor.sense().idle_s is not None, True)
                server.send_signal(signal.SIGSTOP)
                started = time.perf_counter()
                sensor.close()
                took.append(time.perf_counter() - started)
            assert min(took) < 1
        finally:
            server.send_signal(signal.SIGCONT)
            sensor.close()


def test_all_that_hang_together_hold_up_no_look_for_fifty_milliseconds(tmp_path: Path, xwayland: str) -> None:
    """A Wayland session's compositor and an X server both, which no session has, so that each part of the look hangs."""
    with _screen() as (display, server), fake_bus(tmp_path / "session") as bus, fake_bus(tmp_path / "system") as system:
        compositor = Compositor(tmp_path / "wayland-0")
        buses = {"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": system.address}
        sensor = PresenceSensor(buses | {"DISPLAY": display, "WAYLAND_DISPLAY": str(tmp_path / "wayland-0")})
        try:
            with subprocess.Popen([_sleep_named(tmp_path, xwayland), "60"]) as pretended:
                becomes(lambda: sensor.sense().idle_s, 0.0)
                server.send_signal(signal.SIGSTOP)
                bus.hang(True)
                system.hang(True)
                compositor.silent = True
                assert pace(sensor, 21) < 0.05
                becomes(lambda: sensor.sense().idle_s, None)
                sensor.close()
                assert pace(sensor) < 0.05
                pretended.kill()
        finally:
            server.send_signal(signal.SIGCONT)
            bus.hang(False)
            system.hang(False)
            sensor.close()
            compositor.close()


def test_in_wayland_the_x_server_is_asked_only_where_it_runs_and_only_about_full_screen(
    desktop: Desktop, tmp_path: Path, xwayland: str
) -> None:
    inside = SILENT | {"DISPLAY": desktop.display, "WAYLAND_DISPLAY": "/nowhere"}
    with window(desktop, "full"):
        alone = PresenceSensor(inside)
        never(lambda: alone.sense().full_screen, True)
        alone.close()
        with subprocess.Popen([_sleep_named(tmp_path, xwayland), "60"]) as server:
            beside = PresenceSensor(inside)
            try:
                becomes(lambda: beside.sense().full_screen, True)
                assert beside.sense().idle_s is None, "X knows only of the touches on its own windows there"
            finally:
                beside.close()
                server.kill()


def test_a_screen_drawn_for_somebody_elsewhere_is_remote(desktop: Desktop, sensor: PresenceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No VNC server is here, so the screen is asked for an extension that it has instead of theirs."""
    becomes(lambda: sensor.sense().idle_s is not None, True)
    assert sensor.sense().remote is None
    monkeypatch.setattr("desktop_app.adapters.presence.screen.VNC", "MIT-SCREEN-SAVER")
    sensor.close()
    becomes(lambda: sensor.sense().remote, True)


def _named(folder: Path, name: str) -> Path:
    """Python under another name."""
    (folder / name).symlink_to(Path(sys.executable).resolve())
    return folder / name


def _sleep_named(folder: Path, name: str) -> Path:
    shutil.copy("/bin/sleep", folder / name)
    return folder / name


@contextmanager
def _screen() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL) as server, os.fdopen(reader) as said:
        os.close(writer)
        try:
            yield f":{said.readline().strip()}", server
        finally:
            server.terminate()  # so that it takes its lock along, whose process number may be another's one day
