"""Icons drawn with a painter: sharp at every size, and no SVG module to load at start.

The five faces differ in silhouette and sign, not only in colour: a struck-out square, a ring with dots, a square with a
triangle, a disc with two bars, a triangle with an exclamation mark. Called by the tray, the window and the pages.
"""

from functools import cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

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
    """A line drawing for a page of the window: "home", "schedule", "signals" or "wallet"."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(place.topLeft())
    painter.scale(place.width() / 20, place.height() / 20)
    painter.setPen(_pen(colour, 1.6))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath()
    if page == "home":
        path.addPolygon(QPolygonF([QPointF(2.5, 9.5), QPointF(10, 3), QPointF(17.5, 9.5)]))
        path.addPolygon(QPolygonF([QPointF(4.5, 8.5), QPointF(4.5, 17), QPointF(15.5, 17), QPointF(15.5, 8.5)]))
    elif page == "schedule":
        path.addRoundedRect(QRectF(2.5, 4, 15, 13), 2, 2)
        for x, top, bottom in ((2.5, 8.2, 8.2), (6.5, 2, 5.5), (13.5, 2, 5.5)):
            path.moveTo(x, top)
            path.lineTo(17.5 if top == bottom else x, bottom)
    elif page == "signals":
        path.addEllipse(QPointF(10, 10), 1.2, 1.2)
        for radius in (4.4, 8.0):
            around = QRectF(10 - radius, 10 - radius, 2 * radius, 2 * radius)
            for start in (-48, 132):
                path.arcMoveTo(around, start)
                path.arcTo(around, start, 96)
    else:
        path.addRoundedRect(QRectF(2.5, 5, 15, 12), 2, 2)
        path.addPolygon(QPolygonF([QPointF(4.5, 5), QPointF(13.5, 2.5), QPointF(14.5, 5)]))
        path.addEllipse(QPointF(14, 11), 0.9, 0.9)
    painter.drawPath(path)
    painter.restore()
