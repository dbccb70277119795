"""The window's sidebar: a button for each page, and what the engine does right now, whichever page is open. Made by the window."""

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.ui import colours
from desktop_app.ui.icons import draw_page_sign, face_pixmap
from desktop_app.ui.present import Heard, Look, status
from desktop_app.ui.widgets.card import GAP
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire.phrases import say

_SIDEBAR, _FACE = 176, 20


class Sidebar(QWidget):
    """The pages' buttons, and what the engine does right now, whichever page is open."""

    def __init__(self, names: tuple[str, ...], picked: Callable[[str], None]) -> None:
        super().__init__()
        self.setFixedWidth(_SIDEBAR)
        self.setAccessibleName(say("nav.label"))
        self._look: Look | None = None
        self._face, self._headline = QLabel(), Text(Tone.CAPTION, lines=2)
        self._face.setFixedSize(_FACE, _FACE)
        self._group = QButtonGroup(self)
        self.buttons = {name: PageButton(name) for name in names}
        box = QVBoxLayout(self)
        box.setContentsMargins(GAP, 2 * GAP, GAP, 2 * GAP)
        box.setSpacing(4)
        title = Text(Tone.TITLE, say("app.name"))
        title.setContentsMargins(GAP, 0, 0, GAP)
        box.addWidget(title)
        for name, button in self.buttons.items():
            self._group.addButton(button)
            button.clicked.connect(lambda checked=False, name=name: picked(name))
            box.addWidget(button)
        box.addStretch()
        foot = QHBoxLayout()
        foot.setContentsMargins(GAP, 0, 0, 0)
        foot.setSpacing(GAP)
        foot.addWidget(self._face, 0, Qt.AlignmentFlag.AlignVCenter)
        foot.addWidget(self._headline, 1)
        self._headline.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        box.addLayout(foot)

    def show_heard(self, heard: Heard) -> None:
        """Draw the state's face."""
        shown = status(heard)
        self._headline.say(shown.headline)
        if shown.look is not self._look:
            self._look = shown.look
            self._face.setPixmap(face_pixmap(shown.look, _FACE, self.devicePixelRatioF()))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), colours.sunken(self.palette()))
        painter.setPen(colours.line(self.palette()))
        painter.drawLine(self.rect().topRight(), self.rect().bottomRight())


class PageButton(QAbstractButton):
    """One page in the sidebar; the open one is filled, barred and bold."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setText(say(f"{name}.title"))
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, self.fontMetrics().height() + 2 * GAP + 2)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette, place = self.palette(), QRectF(self.rect()).adjusted(1, 1, -1, -1)
        ink = colours.text(palette)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.isChecked() or self.underMouse():
            painter.setBrush(colours.mix(palette.window().color(), colours.accent(palette) if self.isChecked() else ink, 0.16))
            painter.drawRoundedRect(place, 6, 6)
        if self.isChecked():
            painter.setBrush(colours.accent(palette))
            painter.drawRoundedRect(QRectF(place.left(), place.top() + 8, 3, place.height() - 16), 1.5, 1.5)
        if colours.focus_shows(self):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(colours.accent(palette))
            painter.drawRoundedRect(place, 6, 6)
        draw_page_sign(painter, QRectF(place.left() + 12, place.center().y() - 9, 18, 18), self._name, ink)
        font = self.font()
        font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(ink)
        painter.drawText(place.adjusted(40, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())
