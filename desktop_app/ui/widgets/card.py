"""A quiet box around things that belong together, and the small label that says the money is for practice."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from desktop_app.ui import colours
from desktop_app.wire.phrases import say

GAP = 8
"""The rhythm: every distance is a multiple of this."""


class Card(QFrame):
    """A rounded box in the colour of text fields; put widgets into `body`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(2 * GAP, 2 * GAP - 2, 2 * GAP, 2 * GAP - 2)
        self.body.setSpacing(GAP)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colours.line(self.palette()))
        painter.setBrush(colours.surface(self.palette()))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class PracticeLabel(QWidget):
    """“Practice: test money”, as an outlined pill. Keeps its place when it is hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = say("practice.label")
        self.setAccessibleName(self._text)
        self.setToolTip(say("practice.hint"))
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 3 * GAP, metrics.height() + GAP)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        place = QRectF(self.rect()).adjusted(0.75, 0.75, -0.75, -0.75)
        palette = self.palette()
        pen = painter.pen()
        pen.setColor(colours.mix(colours.accent(palette), colours.text(palette), 0.25))
        pen.setWidthF(1.2)
        painter.setPen(pen)
        painter.setBrush(colours.mix(palette.window().color(), colours.accent(palette), 0.12))
        painter.drawRoundedRect(place, place.height() / 2, place.height() / 2)
        painter.setPen(colours.text(palette))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)
