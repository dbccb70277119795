"""The steps of a cash-out, each with a sign: a tick, a filled ring, an empty ring. Used on Wallet."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.ui import colours
from desktop_app.ui.present_money import Mark, Step
from desktop_app.wire.phrases import say

_SIGN = 18


class Steps(QWidget):
    """The steps, one below the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps: tuple[Step, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_steps(self, steps: tuple[Step, ...]) -> None:
        """Draw other steps."""
        if steps == self._steps:
            return
        self._steps = steps
        self.setAccessibleName(". ".join(say(f"cash.step.{step.mark}", step=step.label) for step in steps))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        widest = max((self.fontMetrics().horizontalAdvance(step.label) for step in self._steps), default=0)
        return QSize(widest + _SIGN + 12, self._row() * len(self._steps))

    def _row(self) -> int:
        return max(_SIGN, self.fontMetrics().height()) + 7

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        for number, step in enumerate(self._steps):
            top = number * self._row()
            sign = QRectF(1, top + (self._row() - _SIGN) / 2, _SIGN, _SIGN)
            if number + 1 < len(self._steps):
                below = QPointF(sign.center().x(), sign.bottom())
                painter.setPen(QPen(colours.line(palette), 2))
                painter.drawLine(below + QPointF(0, 2), below + QPointF(0, self._row() - _SIGN - 2))
            quiet = colours.mix(colours.surface(palette), colours.text(palette), 0.45)
            _draw_sign(painter, sign, step.mark, colours.accent(palette), quiet)
            painter.setPen(colours.muted(palette) if step.mark is Mark.TODO else colours.text(palette))
            place = QRectF(_SIGN + 12, top, self.width() - _SIGN - 12, self._row())
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, step.label)


def _draw_sign(painter: QPainter, place: QRectF, mark: Mark, accent: QColor, quiet: QColor) -> None:
    inner = place.adjusted(1.5, 1.5, -1.5, -1.5)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if mark is Mark.TODO:
        painter.setPen(QPen(quiet, 1.6))
        painter.drawEllipse(inner)
        return
    painter.setPen(QPen(accent, 2))
    painter.setBrush(accent if mark is Mark.DONE else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(inner)
    if mark is Mark.DOING:
        painter.setBrush(accent)
        painter.drawEllipse(place.center(), 3.6, 3.6)
        return
    painter.setPen(QPen(QColor("white"), 2))
    middle = place.center()
    painter.drawPolyline([middle + QPointF(-4, 0.2), middle + QPointF(-1.2, 3), middle + QPointF(4, -3)])
