"""Two signs that tell apart by shape, not by colour alone: the shield of a level, and what became of one wall. Used on Safety."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from desktop_app.core.state import Level
from desktop_app.ui import colours
from desktop_app.ui.icons import draw_level

_SHIELD, _WALL = 32, 16


class LevelSign(QWidget):
    """The shield; the words beside it say the same."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._level: Level | None = None
        self.setFixedSize(_SHIELD, _SHIELD)

    def show_level(self, level: Level | None) -> None:
        """Draw another level, or None where it is not known."""
        self._level = level
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        draw_level(QPainter(self), QRectF(self.rect()), self._level)


class WallSign(QWidget):
    """A tick, or a cross."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._held = True
        self.setFixedSize(_WALL, _WALL)

    def show_held(self, held: bool) -> None:
        """Draw what became of another wall."""
        self._held = held
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, palette = QRectF(self.rect()).center(), self.palette()
        ink = colours.accent(palette) if self._held else colours.wrong(palette)
        painter.setPen(QPen(ink, 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
        if self._held:
            painter.drawPolyline([middle + QPointF(-5, 0.2), middle + QPointF(-1.6, 3.8), middle + QPointF(5, -4)])
            return
        for x in (-4.2, 4.2):
            painter.drawLine(middle + QPointF(x, -4.2), middle + QPointF(-x, 4.2))
