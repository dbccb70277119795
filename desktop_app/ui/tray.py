"""The icon in the tray and its menu: draws a Status, gives the owner's clicks away. Called by the shell."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from desktop_app.core.messages import OwnerAskedFinish, OwnerMessage, OwnerSnoozed, OwnerTurnedSharing
from desktop_app.ui.icons import face_icon
from desktop_app.ui.present import Heard, Look, Silence, Status, snooze_until, status
from desktop_app.ui.snooze_menu import add_snoozes
from desktop_app.wire.phrases import say

_WHY_WIDTH = 64  # characters of the sentence in a line of the menu


class Tray(QObject):
    """`post` takes the owner's messages; `open_window` and `leave` are the shell's."""

    def __init__(
        self, post: Callable[[OwnerMessage], None], open_window: Callable[[], None], leave: Callable[[], None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._post, self._open, self._leave = post, open_window, leave
        self._heard: Heard = Silence.STARTING
        self._status: Status | None = None
        self._look: Look | None = None
        self.icon = QSystemTrayIcon(self)
        self.menu = QMenu()
        self._build()
        self.icon.setContextMenu(self.menu)
        self.icon.activated.connect(self._activated)
        self.icon.messageClicked.connect(self._open)
        self.show_heard(Silence.STARTING)

    def _build(self) -> None:
        self.why = self._add("")
        self.why.setEnabled(False)
        self.menu.addSeparator()
        self.share = self._add(say("tray.share"))
        self.share.setCheckable(True)
        self.share.triggered.connect(self._turned)
        self.pause = self.menu.addMenu(say("tray.pause"))
        add_snoozes(self.pause, self._snooze)
        self.resume = self._add(say("tray.resume"))
        self.resume.triggered.connect(self._resume)
        self.finish = self._add(say("tray.finish"))
        self.finish.triggered.connect(self._finish)
        self.menu.addSeparator()
        self.open = self._add(say("tray.open"))
        self.open.triggered.connect(lambda: self._open())
        self.menu.setDefaultAction(self.open)
        self.quit = self._add(say("tray.quit"))
        self.quit.triggered.connect(lambda: self._leave())

    def _add(self, text: str) -> QAction:
        return self.menu.addAction(text)

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last."""
        self._heard = heard
        shown = status(heard)
        self.share.setChecked(shown.on)  # also when nothing else changed: a click flips it before the engine has spoken
        if shown == self._status:
            return
        self._status = shown
        if shown.look is not self._look:
            self._look = shown.look
            self.icon.setIcon(face_icon(shown.look))
        # a tip may be read as markup, and the sentence may hold what the market said
        self.icon.setToolTip(say("tray.tip", headline=shown.headline, why=shown.why).replace("<", "‹"))
        self.why.setText(_folded(shown.why))
        self.share.setEnabled(shown.live)
        self.pause.menuAction().setVisible(not shown.snoozed)
        self.pause.setEnabled(shown.live and shown.on)
        self.resume.setVisible(shown.snoozed)
        self.resume.setEnabled(shown.live)
        self.finish.setEnabled(shown.live and shown.can_finish)

    def say(self, words: str) -> None:
        """A balloon beside the icon."""
        self.icon.showMessage(say("app.name"), words, self.icon.icon())

    @Slot(QSystemTrayIcon.ActivationReason)
    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self._open()

    @Slot(bool)
    def _turned(self, on: bool) -> None:
        self._post(OwnerTurnedSharing(on))

    @Slot()
    def _resume(self) -> None:
        self._post(OwnerSnoozed(None))

    @Slot()
    def _finish(self) -> None:
        self._post(OwnerAskedFinish())

    def _snooze(self, span: timedelta | None) -> None:
        self._post(OwnerSnoozed(snooze_until(span, datetime.now(UTC), self._heard)))


def _folded(sentence: str) -> str:
    """A menu item has one line: a long sentence is cut at a word. An ampersand would be an access key."""
    line = sentence if len(sentence) <= _WHY_WIDTH else sentence[: _WHY_WIDTH].rsplit(" ", 1)[0] + "…"
    return line.replace("&", "&&")
