"""The whole tray process, for real: docked icon, an engine on the socket, a second start, quitting, and dying suddenly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop_app.core.messages import OwnerQuit
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Reason, Sharing, Why
from desktop_app.ui.present import Reply, Silence
from desktop_app.ui.shell import Shell
from desktop_app.ui.single import OnlyOne
from desktop_app.wire.profile import Profile
from tests.benchmarks.startup import TrayWatch
from tests.desktop import Desktop
from tests.ui import states
from tests.ui.engine import Engine

TRAY = """
import sys
from pathlib import Path
from desktop_app.ui.shell import run
from desktop_app.wire.profile import Profile
root = Path(sys.argv[1])
def start_agent(profile):
    with (root / "asked").open("a") as file:
        file.write("asked\\n")
sys.exit(run(Profile(root), "--open" in sys.argv, start_agent))
"""


@pytest.fixture
def profile(sublet_home: Path, qapp: object) -> Iterator[Profile]:
    sublet_home.mkdir(parents=True)
    made = Profile(sublet_home)
    yield made
    for left in ("agent.sock", "tray.sock", "tray.lock"):
        (made.run / left).unlink(missing_ok=True)
    if made.run.exists():
        made.run.rmdir()


@contextmanager
def tray(profile: Profile, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The tray process; killed if it still lives at the end."""
    process = subprocess.Popen([sys.executable, "-c", TRAY, str(profile.root), *more], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def wait(until: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until it holds, or fail."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def watch(desktop: Desktop) -> Iterator[TrayWatch]:
    made = TrayWatch(desktop.display)
    # the screen takes down what a killed process showed when it finds its end, not at it
    wait(lambda: made.icons() == 0 and windows(desktop) == [])
    yield made
    made.close()


def windows(desktop: Desktop) -> list[str]:
    """The titles of all visible windows."""
    search = ["xdotool", "search", "--onlyvisible", "--name", "^Sublet$"]
    found = subprocess.run(search, env=os.environ | desktop.environment, capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_the_icon_docks_the_engine_is_called_and_then_shown(profile: Profile, desktop: Desktop, watch: TrayWatch) -> None:
    before = watch.icons()
    with tray(profile, "--open") as process:
        wait(lambda: watch.icons() == before + 1)
        wait(lambda: (profile.root / "asked").exists())
        wait(lambda: len(windows(desktop)) == 1)
        with Engine(profile.socket, states.working()) as engine:
            wait(lambda: len(engine.heard) == 1)
            assert process.poll() is None
        assert (profile.root / "asked").read_text() == "asked\n"  # not again and again
    wait(lambda: watch.icons() == before)
    assert not (profile.logs / "tray.log").exists(), (profile.logs / "tray.log").read_text()


def test_a_second_start_opens_the_first_ones_window(profile: Profile, desktop: Desktop, watch: TrayWatch) -> None:
    before = watch.icons()
    with tray(profile):
        wait(lambda: watch.icons() == before + 1)
        assert windows(desktop) == []
        with tray(profile, "--open") as second:
            assert second.wait(60) == 0
        wait(lambda: len(windows(desktop)) == 1)
        assert watch.icons() == before + 1


def test_after_a_kill_the_next_tray_starts_at_once(profile: Profile, desktop: Desktop, watch: TrayWatch) -> None:
    before = watch.icons()
    for _ in range(3):
        with tray(profile) as process:
            wait(lambda: watch.icons() == before + 1)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        wait(lambda: watch.icons() == before)


def test_when_the_owner_ended_the_engine_the_tray_ends_too(profile: Profile, desktop: Desktop, watch: TrayWatch) -> None:
    before = watch.icons()
    with Engine(profile.socket, states.working()) as engine, tray(profile) as process:
        wait(lambda: watch.icons() == before + 1)
        wait(lambda: len(engine.heard) == 1)
        engine.publish(replace(states.working(), sharing=Sharing(on=True, quitting=True)))
        engine.__exit__(None, None, None)
        assert process.wait(60) == 0
    assert not (profile.root / "asked").exists()


class House:
    """A Shell in this process, without starting an application of its own."""

    def __init__(self, profile: Profile) -> None:
        self.asked: list[Profile] = []
        self.only = OnlyOne(profile.run)
        assert self.only.first()
        self.shell = Shell(profile, self.only, self.asked.append)


@pytest.fixture
def house(profile: Profile, qtbot: QtBot) -> Iterator[House]:
    made = House(profile)
    yield made
    shell = made.shell
    if shell.window is not None:
        shell.window.close()
        shell.window.deleteLater()
    if shell._bridge is not None:
        shell._bridge.heard.disconnect(shell._hear)
        shell._bridge._socket.abort()
        shell._bridge._retry.stop()
    shell.close()
    shell.tray.menu.deleteLater()
    shell.deleteLater()
    made.only.deleteLater()  # and is not left to the garbage collector, which may come by in another thread
    qtbot.wait(1)


def test_quit_in_the_menu_ends_the_engine_too(house: House, profile: Profile, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    monkeypatch.setattr("desktop_app.ui.shell.QApplication.quit", lambda: ended.append(True))
    with Engine(profile.socket, states.working()) as engine:
        house.shell.begin(show_window=True)
        qtbot.waitUntil(lambda: len(engine.heard) == 1)
        qtbot.waitUntil(lambda: house.shell.window is not None and house.shell.window.isVisible())
        qtbot.waitUntil(lambda: house.shell.tray.share.isChecked())
        house.shell.tray.quit.trigger()
        qtbot.waitUntil(lambda: bool(ended))
        wait(lambda: engine.posted() == [OwnerQuit()])
        assert house.asked == []


def test_replies_reach_the_wallet_page_and_closing_the_window_hides_it(house: House, profile: Profile, qtbot: QtBot) -> None:
    shell = house.shell
    shell._hear(Reply(True, ""))  # no window yet
    shell._hear(states.locked())
    shell.open_window()
    window = shell.window
    assert window is not None
    unlock = window.wallet.unlock
    unlock.field.setText("x")
    unlock._unlock()
    shell._hear(Reply(False, "no"))
    assert unlock.wrong.text() == "The wallet stayed locked: no"
    window.close()
    assert not window.isVisible()
    shell.open_window()
    assert shell.window is window


def test_time_passes_while_the_engine_has_nothing_new(house: House) -> None:
    """A schedule that is off until the next half hour reads "until hh:mm" today; heard long ago it must not."""
    soon = datetime.now(UTC) + timedelta(minutes=20)
    heard = replace(states.seasoned(), now=soon - timedelta(days=3), why=Why(Reason.SCHEDULE, soon), zone=Zone("UTC"))
    house.shell._hear(heard)
    house.shell.open_window()
    assert " on " in house.shell.tray.why.text()
    house.shell._tick()
    assert " on " not in house.shell.tray.why.text()
    assert house.shell.window is not None
    assert house.shell.window.home._hero._why.text() == house.shell.tray.why.text()


def test_the_engine_is_not_started_over_and_over(house: House) -> None:
    for _ in range(20):
        house.shell._hear(Silence.STARTING)
    house.shell._hear(Silence.OTHER_VERSION)
    assert len(house.asked) == 1


def test_a_balloon_only_while_the_window_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(house.shell.tray, "say", said.append)
    before = states.seasoned()
    back = replace(before, give_backs=(replace(before.give_backs[0], at=states.NOW.timestamp()), *before.give_backs))
    quiet = replace(back, settings=replace(back.settings, notifications=False))
    house.shell._hear(before)
    house.shell._hear(quiet)
    assert said == []
    house.shell._hear(before)
    house.shell._hear(back)
    assert said == ["Your GPU is back (0.12 s)"]
    house.shell._hear(before)
    house.shell.open_window()
    house.shell._hear(back)
    assert len(said) == 1
