"""A gauge: name, figure, and a thin bar where the figure has an end. What is not measured says so and has no bar."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from desktop_app.ui import colours
from desktop_app.ui.present import Gauge
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire.phrases import say

_BAR = 6
_TASK_BAR = 10


class Meter(QWidget):
    """One gauge."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gauge = Gauge("", "")
        self._name = Text(Tone.CAPTION)
        self._figure = Text(Tone.HEADING)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, _BAR + 5)
        box.setSpacing(2)
        box.addWidget(self._name)
        box.addWidget(self._figure)

    def show_gauge(self, gauge: Gauge) -> None:
        """Draw another figure."""
        if gauge == self._gauge:
            return
        self._gauge = gauge
        self._name.say(gauge.name)
        self._figure.say(gauge.text)
        self.setAccessibleName(say("gauge.spoken", name=gauge.name, value=gauge.text))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        whole = QRectF(0, self.height() - _BAR, self.width(), _BAR)
        if self._gauge.fraction is None:
            painter.setPen(QPen(colours.line(self.palette()), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(0, whole.center().y()), QPointF(whole.right(), whole.center().y()))
            return
        draw_bar(painter, whole, self._gauge.fraction, self)


class TaskBar(QProgressBar):
    """The progress of the running task: a real progress bar to a screen reader, drawn like the gauges."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextVisible(False)
        self.setRange(0, 1000)
        self.setFixedHeight(_TASK_BAR)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_bar(painter, QRectF(self.rect()), self.value() / self.maximum(), self)


def draw_bar(painter: QPainter, whole: QRectF, fraction: float, widget: QWidget) -> None:
    """A rounded track with its part filled."""
    palette = widget.palette()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colours.track(palette))
    painter.drawRoundedRect(whole, whole.height() / 2, whole.height() / 2)
    width = max(whole.height(), whole.width() * min(1.0, max(0.0, fraction)))
    if fraction > 0:
        painter.setBrush(colours.accent(palette))
        painter.drawRoundedRect(QRectF(whole.left(), whole.top(), width, whole.height()), whole.height() / 2, whole.height() / 2)
