"""How the week grid is laid out and drawn. Called by `grid` alone, and by the legend for its swatches."""

from dataclasses import dataclass
from itertools import groupby

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from desktop_app.core.schedule import CELLS_PER_DAY, Cell, Schedule
from desktop_app.ui import colours
from desktop_app.wire.phrases import say

_ROW_GAP = 5
_HOURS_SHOWN = (0, 3, 6, 9, 12, 15, 18, 21, 24)
_HATCH = 7.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cells are: `left` and `top` leave room for the days and hours."""

    left: float
    top: float
    column: float
    row: float

    @classmethod
    def of(cls, widget: QWidget) -> "Layout":
        """The layout that fills `widget`."""
        metrics = widget.fontMetrics()
        left = max(metrics.horizontalAdvance(say(f"day.short.{day}")) for day in range(7)) + 14.0
        top = metrics.height() + 6.0
        right = metrics.horizontalAdvance("24") / 2 + 1
        return cls(left, top, (widget.width() - left - right) / CELLS_PER_DAY, (widget.height() - top) / 7)

    def span(self, day: int, first: int, last: int) -> QRectF:
        """The rectangle of the half hours [first, last) of one day."""
        top = self.top + day * self.row + _ROW_GAP / 2
        return QRectF(self.left + first * self.column, top, (last - first) * self.column, self.row - _ROW_GAP)

    def cell(self, place: int) -> QRectF:
        """The rectangle of one place in the week."""
        day, half = divmod(place, CELLS_PER_DAY)
        return self.span(day, half, half + 1)

    def nearest(self, point: QPointF) -> tuple[int, int]:
        """The day and half hour nearest to a point."""
        day = int((point.y() - self.top) // self.row)
        half = int((point.x() - self.left) // self.column)
        return min(6, max(0, day)), min(CELLS_PER_DAY - 1, max(0, half))

    def place_at(self, point: QPointF) -> tuple[int, int] | None:
        """The day and half hour under a point, if there is one."""
        inside = QRectF(self.left, self.top, self.column * CELLS_PER_DAY, self.row * 7).contains(point)
        return self.nearest(point) if inside else None


def fill(painter: QPainter, place: QRectF, cell: Cell, palette: QPalette) -> None:
    """Draw a run of alike half hours: empty, hatched or solid."""
    radius = min(5.0, place.width() / 2)
    painter.setPen(Qt.PenStyle.NoPen)
    accent = colours.accent(palette)
    if cell is Cell.OFF:
        return
    if cell is Cell.ALWAYS:
        painter.setBrush(accent)
        painter.drawRoundedRect(place, radius, radius)
        return
    painter.setBrush(colours.mix(colours.surface(palette), accent, 0.20))
    painter.drawRoundedRect(place, radius, radius)
    clip = QPainterPath()
    clip.addRoundedRect(place, radius, radius)
    painter.save()
    painter.setClipPath(clip)
    painter.setPen(QPen(colours.mix(colours.surface(palette), accent, 0.75), 1.8))
    foot = (place.left() - place.height()) // _HATCH * _HATCH
    while foot < place.right():
        painter.drawLine(QPointF(foot, place.bottom()), QPointF(foot + place.height(), place.top()))
        foot += _HATCH
    painter.restore()


class GridPainter:
    """Draws one frame of the grid."""

    def __init__(self, widget: QWidget, layout: Layout) -> None:
        self._widget = widget
        self._layout = layout
        self._palette = widget.palette()
        self._painter = QPainter(widget)
        self._painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def draw(self, schedule: Schedule, now: float | None, selection: QRect) -> None:
        """Everything, from the back to the front."""
        self._hours()
        today = None if now is None else int(now) // CELLS_PER_DAY
        for day in range(7):
            self._day_name(day, day == today)
            self._row(day, schedule.cells[day * CELLS_PER_DAY : (day + 1) * CELLS_PER_DAY])
        self._ticks()
        if now is not None:
            self._now(now)
        if selection.isValid():
            self._selected(selection)
        self._painter.end()

    def _hours(self) -> None:
        painter, layout = self._painter, self._layout
        painter.setPen(colours.muted(self._palette))
        for hour in _HOURS_SHOWN:
            middle = layout.left + hour * 2 * layout.column
            painter.drawText(QRectF(middle - 30, 0, 60, layout.top - 4), Qt.AlignmentFlag.AlignCenter, f"{hour:02d}")

    def _day_name(self, day: int, today: bool) -> None:
        painter, place = self._painter, self._layout.span(day, 0, 1)
        font = self._widget.font()
        font.setWeight(QFont.Weight.Bold if today else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(colours.text(self._palette) if today else colours.muted(self._palette))
        box = QRectF(0, place.top(), self._layout.left - 10, place.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, say(f"day.short.{day}"))
        painter.setFont(self._widget.font())

    def _row(self, day: int, letters: str) -> None:
        whole = self._layout.span(day, 0, CELLS_PER_DAY)
        self._painter.setPen(Qt.PenStyle.NoPen)
        self._painter.setBrush(colours.mix(colours.surface(self._palette), colours.text(self._palette), 0.07))
        self._painter.drawRoundedRect(whole, 5, 5)
        first = 0
        for letter, run in groupby(letters):
            last = first + len(list(run))
            fill(self._painter, self._layout.span(day, first, last), Cell(letter), self._palette)
            first = last

    def _ticks(self) -> None:
        painter, layout = self._painter, self._layout
        for hour in range(1, 24):
            ink = QColor(colours.surface(self._palette))
            ink.setAlpha(230 if hour % 6 == 0 else 110)
            painter.setPen(QPen(ink, 2 if hour % 6 == 0 else 1))
            x = layout.left + hour * 2 * layout.column
            painter.drawLine(QPointF(x, layout.top + 2), QPointF(x, layout.top + 7 * layout.row - 2))

    def _now(self, now: float) -> None:
        painter, layout = self._painter, self._layout
        day, half = divmod(now, CELLS_PER_DAY)
        row = layout.span(int(day), 0, 1)
        x = layout.left + half * layout.column
        ink, rim = colours.text(self._palette), colours.surface(self._palette)
        painter.setPen(QPen(rim, 5))
        painter.drawLine(QPointF(x, row.top()), QPointF(x, row.bottom()))
        painter.setPen(QPen(ink, 2))
        painter.drawLine(QPointF(x, row.top() - 1), QPointF(x, row.bottom() + 1))
        painter.setPen(QPen(rim, 1))
        painter.setBrush(ink)
        painter.drawPolygon(QPolygonF([QPointF(x - 5.5, row.top() - 4), QPointF(x + 5.5, row.top() - 4), QPointF(x, row.top() + 3.5)]))

    def _selected(self, selection: QRect) -> None:
        first = self._layout.span(selection.top(), selection.left(), selection.right() + 1)
        last = self._layout.span(selection.bottom(), selection.left(), selection.right() + 1)
        box = first.united(last).adjusted(-1.5, -1.5, 1.5, 1.5)
        self._painter.setBrush(Qt.BrushStyle.NoBrush)
        self._painter.setPen(QPen(colours.surface(self._palette), 4))
        self._painter.drawRoundedRect(box, 5, 5)
        self._painter.setPen(QPen(colours.text(self._palette), 2))
        self._painter.drawRoundedRect(box, 5, 5)
