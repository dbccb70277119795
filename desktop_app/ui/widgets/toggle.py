"""The big switch. Its position and the sign on it say on or off; the colour only repeats it. Used on Home."""

from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from desktop_app.ui import colours

_WIDTH, _HEIGHT = 76, 42
_ENTER_KEYS = (0x01000004, 0x01000005)  # Return and Enter: people press them on a switch too


class Toggle(QAbstractButton):
    """A checkable button drawn as a switch."""

    def __init__(self, name: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setText(name)
        self.setAccessibleName(name)
        self.setAccessibleDescription(hint)
        self.setToolTip(hint)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH + 8, _HEIGHT + 8)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _ENTER_KEYS:
            self.click()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        if colours.focus_shows(self):
            painter.setPen(QPen(colours.mix(colours.accent(palette), colours.text(palette), 0.2), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), _HEIGHT / 2 + 3, _HEIGHT / 2 + 3)
        body = QRectF(4, 4, _WIDTH, _HEIGHT)
        on = self.isChecked()
        fill = colours.accent(palette) if on else colours.mix(colours.surface(palette), colours.text(palette), 0.42)
        if not self.isEnabled():
            fill = colours.mix(fill, colours.surface(palette), 0.4)
        elif self.isDown():
            fill = colours.mix(fill, QColor("black"), 0.12)
        painter.setPen(QPen(fill, 0))
        painter.setBrush(fill)
        painter.drawRoundedRect(body, _HEIGHT / 2, _HEIGHT / 2)
        self._draw_sign(painter, body, on)
        knob = body.right() - _HEIGHT / 2 if on else body.left() + _HEIGHT / 2
        painter.setPen(QPen(QColor(0, 0, 0, 40), 1))
        painter.setBrush(QColor("white"))
        painter.drawEllipse(QPointF(knob, body.center().y()), _HEIGHT / 2 - 4, _HEIGHT / 2 - 4)

    def _draw_sign(self, painter: QPainter, body: QRectF, on: bool) -> None:
        painter.setPen(QPen(QColor("white"), 2.2))
        painter.setBrush(QColor(0, 0, 0, 0))
        middle = body.center().y()
        if on:
            x = body.left() + 20
            painter.drawLine(QPointF(x, middle - 6), QPointF(x, middle + 6))
        else:
            painter.drawEllipse(QPointF(body.right() - 20, middle), 5.5, 5.5)
