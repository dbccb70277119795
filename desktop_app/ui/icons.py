"""Icons drawn with a painter: sharp at every size, and no SVG module to load at start.

The five faces differ in silhouette and sign, not only in colour: a struck-out square, a ring with dots, a square with a
triangle, a disc with two bars, a triangle with an exclamation mark. Called by the tray, the window and the pages.
"""

from collections.abc import Callable
from functools import cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from desktop_app.core.state import Level
from desktop_app.ui.colours import FACES
from desktop_app.ui.present import Look

_SIZES = (16, 22, 24, 32, 44, 48, 64)
_GRID = 32.0


@cache
def face_icon(look: Look) -> QIcon:
    """The face in the sizes trays ask for."""
    icon = QIcon()
    for size in _SIZES:
        icon.addPixmap(face_pixmap(look, size))
    return icon


def face_pixmap(look: Look, size: int, ratio: float = 1.0) -> QPixmap:
    """The face, `size` logical pixels square, for a screen of the given pixel ratio."""
    pixmap = QPixmap(round(size * ratio), round(size * ratio))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_face(painter, QRectF(0, 0, pixmap.width(), pixmap.height()), look)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


def draw_face(painter: QPainter, place: QRectF, look: Look) -> None:
    """Draw the face into a square."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(place.topLeft())
    painter.scale(place.width() / _GRID, place.height() / _GRID)
    colour = QColor(FACES[look])
    _DRAWERS[look](painter, colour)
    painter.restore()


def _pen(colour: QColor, width: float) -> QPen:
    return QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def _off(painter: QPainter, colour: QColor) -> None:
    painter.setPen(_pen(colour, 3.2))
    painter.drawRoundedRect(QRectF(5, 5, 22, 22), 6, 6)
    painter.drawLine(QPointF(10.5, 21.5), QPointF(21.5, 10.5))


def _waiting(painter: QPainter, colour: QColor) -> None:
    painter.setPen(_pen(colour, 3.2))
    painter.drawEllipse(QRectF(4, 4, 24, 24))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for x in (10.0, 16.0, 22.0):
        painter.drawEllipse(QPointF(x, 16), 2.1, 2.1)


def _working(painter: QPainter, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(QRectF(3, 3, 26, 26), 7, 7)
    painter.setPen(_pen(QColor("white"), 2))
    painter.setBrush(QColor("white"))
    painter.drawPolygon(QPolygonF([QPointF(12.5, 10), QPointF(22, 16), QPointF(12.5, 22)]))


def _paused(painter: QPainter, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(QRectF(2.5, 2.5, 27, 27))
    painter.setBrush(QColor("white"))
    painter.drawRoundedRect(QRectF(10.5, 9.5, 4, 13), 1.4, 1.4)
    painter.drawRoundedRect(QRectF(17.5, 9.5, 4, 13), 1.4, 1.4)


def _problem(painter: QPainter, colour: QColor) -> None:
    painter.setPen(_pen(colour, 4))
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([QPointF(16, 5.5), QPointF(28, 26), QPointF(4, 26)]))
    painter.setPen(_pen(QColor("white"), 3.2))
    painter.drawLine(QPointF(16, 13), QPointF(16, 18.2))
    painter.setPen(_pen(QColor("white"), 3.6))
    painter.drawPoint(QPointF(16, 23.6))


_DRAWERS = {Look.OFF: _off, Look.WAITING: _waiting, Look.WORKING: _working, Look.PAUSED: _paused, Look.PROBLEM: _problem}


def draw_page_sign(painter: QPainter, place: QRectF, page: str, colour: QColor) -> None:
    """A line drawing for a page of the window: "home", "schedule", "signals", "safety" or "wallet"."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(place.topLeft())
    painter.scale(place.width() / 20, place.height() / 20)
    painter.setPen(_pen(colour, 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath()
    _PAGES[page](path)
    painter.drawPath(path)
    painter.restore()


def _home(path: QPainterPath) -> None:
    path.addPolygon(QPolygonF([QPointF(2.5, 9.5), QPointF(10, 3), QPointF(17.5, 9.5)]))
    path.addPolygon(QPolygonF([QPointF(4.5, 8.5), QPointF(4.5, 17), QPointF(15.5, 17), QPointF(15.5, 8.5)]))


def _schedule(path: QPainterPath) -> None:
    path.addRoundedRect(QRectF(2.5, 4, 15, 13), 2, 2)
    for x, top, bottom in ((2.5, 8.2, 8.2), (6.5, 2, 5.5), (13.5, 2, 5.5)):
        path.moveTo(x, top)
        path.lineTo(17.5 if top == bottom else x, bottom)


def _signals(path: QPainterPath) -> None:
    path.addEllipse(QPointF(10, 10), 1.2, 1.2)
    for radius in (4.4, 8.0):
        around = QRectF(10 - radius, 10 - radius, 2 * radius, 2 * radius)
        for start in (-48, 132):
            path.arcMoveTo(around, start)
            path.arcTo(around, start, 96)


def _safety(path: QPainterPath) -> None:
    _shield(path)
    path.addPolygon(QPolygonF([QPointF(7, 9.8), QPointF(9.2, 12), QPointF(13, 7.6)]))


def _wallet(path: QPainterPath) -> None:
    path.addRoundedRect(QRectF(2.5, 5, 15, 12), 2, 2)
    path.addPolygon(QPolygonF([QPointF(4.5, 5), QPointF(13.5, 2.5), QPointF(14.5, 5)]))
    path.addEllipse(QPointF(14, 11), 0.9, 0.9)


_PAGES: dict[str, Callable[[QPainterPath], None]] = {
    "home": _home, "schedule": _schedule, "signals": _signals, "safety": _safety, "wallet": _wallet
}  # fmt: skip


def _shield(path: QPainterPath) -> None:
    path.moveTo(10, 2)
    path.lineTo(16.8, 4.4)
    path.lineTo(16.8, 9.4)
    path.cubicTo(16.8, 13.6, 14, 16.6, 10, 18.2)
    path.cubicTo(6, 16.6, 3.2, 13.6, 3.2, 9.4)
    path.lineTo(3.2, 4.4)
    path.closeSubpath()


_SHIELDS = {Level.ISOLATED: Look.WORKING, Level.CONTAINED: Look.PAUSED, Level.NONE: Look.PROBLEM}


def draw_level(painter: QPainter, place: QRectF, level: Level | None) -> None:
    """A shield: with a tick, an exclamation mark or a cross; hollow, with dots, where nothing is known."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(place.topLeft())
    painter.scale(place.width() / 20, place.height() / 20)
    path, colour = QPainterPath(), QColor(FACES[Look.OFF if level is None else _SHIELDS[level]])
    _shield(path)
    painter.setPen(_pen(colour, 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush if level is None else colour)
    painter.drawPath(path)
    painter.setPen(_pen(colour if level is None else QColor("white"), 2))
    if level is None:
        painter.drawPoints(QPolygonF([QPointF(6.6, 9.8), QPointF(10, 9.8), QPointF(13.4, 9.8)]))
    elif level is Level.ISOLATED:
        painter.drawPolyline(QPolygonF([QPointF(6.6, 9.8), QPointF(9.1, 12.3), QPointF(13.4, 7.4)]))
    elif level is Level.CONTAINED:
        painter.drawLine(QPointF(10, 6), QPointF(10, 10.4))
        painter.drawPoint(QPointF(10, 13.6))
    else:
        painter.drawLine(QPointF(7.2, 7), QPointF(12.8, 12.6))
        painter.drawLine(QPointF(12.8, 7), QPointF(7.2, 12.6))
    painter.restore()
