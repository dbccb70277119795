"""The tray process from start to end. Called by `__main__`.

Order matters for the first half second: the icon is shown before the socket is tried, and the window is not built before
somebody opens it.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication, QSystemTrayIcon

from desktop_app.core.messages import OwnerMessage, OwnerQuit
from desktop_app.core.state import State
from desktop_app.ui.journal import Journal
from desktop_app.ui.launch import start_agent as start_agent_detached
from desktop_app.ui.present import Heard, Reply, Silence, balloon
from desktop_app.ui.single import OnlyOne
from desktop_app.ui.tray import Tray
from desktop_app.wire.profile import Profile, default

if TYPE_CHECKING:
    from desktop_app.ui.bridge import Bridge
    from desktop_app.ui.window import Window

_START_AGAIN_S = 30.0
_TRAY_PATIENCE_MS = 4_000
_TICK_MS = 20_000


def main(arguments: Sequence[str]) -> int:
    """The tray of the default profile; `--open` opens its window at once."""
    return run(default(), show_window="--open" in arguments)


def run(profile: Profile, show_window: bool, start_agent: Callable[[Profile], None] = start_agent_detached) -> int:
    """Be the tray of `profile` until the owner quits; the exit status. `start_agent` starts the engine, detached."""
    app = QApplication([sys.argv[0]])
    app.setApplicationName("sublet")
    app.setApplicationDisplayName("Sublet")
    app.setDesktopFileName("sublet")
    app.setQuitOnLastWindowClosed(False)
    Journal(profile.logs / "tray.log").install()
    only = OnlyOne(profile.run)
    if not only.first():
        return 0
    shell = Shell(profile, only, start_agent)
    shell.begin(show_window)
    code = app.exec()
    shell.close()
    return code


class Shell(QObject):
    """Ties tray, window and bridge together, and starts the engine when nobody answers."""

    def __init__(self, profile: Profile, only: OnlyOne, start_agent: Callable[[Profile], None]) -> None:
        super().__init__()
        self._profile, self._only, self._start_agent = profile, only, start_agent
        self._heard: Heard = Silence.STARTING
        self._started_at: float | None = None
        self._bridge: Bridge | None = None
        self.window: Window | None = None
        self._clock = QTimer(self, interval=_TICK_MS)
        self._clock.timeout.connect(self._tick)
        self._clock.start()
        self.tray = Tray(self.post, self.open_window, self.leave, self)
        self.tray.icon.show()

    def begin(self, show_window: bool) -> None:
        """Reach for the engine once the icon is on screen."""
        self._only.called.connect(self.open_window)
        QTimer.singleShot(0, self, self._connect)
        if show_window:
            QTimer.singleShot(0, self, self.open_window)
        elif not QSystemTrayIcon.isSystemTrayAvailable():
            QTimer.singleShot(_TRAY_PATIENCE_MS, self, self._no_tray)

    def post(self, message: OwnerMessage) -> None:
        """An owner's message, to the engine."""
        if self._bridge is not None:
            self._bridge.post(message)

    def confide(self, purpose: str, secret: str) -> None:
        """A passphrase, to the engine's keys."""
        if self._bridge is not None:
            self._bridge.confide(purpose, secret)

    def close(self) -> None:
        """Leave the screen and let another tray take over."""
        self.tray.icon.hide()
        self._only.close()

    @Slot()
    def open_window(self) -> None:
        """Show the window, building it the first time."""
        if self.window is None:
            from desktop_app.ui.window import Window  # here, since most starts show the icon only

            self.window = Window(self.post, self.confide)
            self.window.show_heard(self._heard)
        self.window.show()
        self.window.setWindowState(self.window.windowState() & ~Qt.WindowState.WindowMinimized)
        self.window.raise_()
        self.window.activateWindow()

    @Slot()
    def leave(self) -> None:
        """Quit: the engine gives the GPU back and ends, and so does the tray. Without an engine only the tray ends."""
        if self._bridge is not None:
            self._bridge.post(OwnerQuit())
        self.tray.icon.hide()
        if self.window is not None:
            self.window.hide()
        QTimer.singleShot(0, self, QApplication.quit)

    @Slot()
    def _connect(self) -> None:
        from desktop_app.ui.bridge import Bridge  # here, since the icon need not wait for the codec

        self._bridge = Bridge(self._profile.socket, self)
        self._bridge.heard.connect(self._hear)
        self._bridge.connect_now()

    @Slot(object)
    def _hear(self, word: object) -> None:
        """Whatever the bridge heard."""
        match word:
            case Reply(ok, detail):
                if self.window is not None:
                    self.window.wallet.answer(ok, detail)
            case State() | Silence():
                self._show(word)

    def _show(self, heard: Heard) -> None:
        before, self._heard = self._heard, heard
        self._draw()
        if isinstance(before, State) and isinstance(heard, State):
            self._tell(before, heard)
        if isinstance(heard, Silence) and heard is not Silence.OTHER_VERSION:
            self._rouse(before)

    def _draw(self) -> None:
        self.tray.show_heard(self._heard)
        if self.window is not None:
            self.window.show_heard(self._heard)

    @Slot()
    def _tick(self) -> None:
        """The engine is silent while nothing changes, but time passes: "5 min ago", "tomorrow", the mark on the schedule."""
        if isinstance(self._heard, State):
            self._heard = replace(self._heard, now=datetime.now(UTC))
            self._draw()

    def _tell(self, before: State, after: State) -> None:
        hidden = self.window is None or not self.window.isVisible()
        words = balloon(before, after)
        if words and hidden and after.settings.notifications:
            self.tray.say(words)

    def _rouse(self, before: Heard) -> None:
        """Nobody answers: start the engine, but not over and over, and not when the owner has just ended it."""
        if isinstance(before, State) and before.sharing.quitting:
            QApplication.quit()
            return
        now = time.monotonic()
        if self._started_at is None or now - self._started_at > _START_AGAIN_S:
            self._started_at = now
            self._start_agent(self._profile)

    @Slot()
    def _no_tray(self) -> None:
        """A desktop without a tray gets the window, which then is all there is to close."""
        if not QSystemTrayIcon.isSystemTrayAvailable():
            QApplication.setQuitOnLastWindowClosed(True)
            self.open_window()
