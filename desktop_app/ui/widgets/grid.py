"""The week as 7 × 48 half hours, painted by dragging or by keys. Used on Schedule.

Off is empty, "when I'm away" is hatched, "always" is solid: the pattern says it, the colour repeats it. It keeps only what
is being painted; the truth comes in through `show_schedule`, and every finished stroke goes out through `painted`.
"""

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QKeyEvent, QMouseEvent, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.core.schedule import CELLS_PER_DAY, Cell, Schedule, paint
from desktop_app.ui.widgets.grid_paint import GridPainter, Layout
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say

_KEYS = Qt.Key
_STEPS = {_KEYS.Key_Left: (0, -1), _KEYS.Key_Right: (0, 1), _KEYS.Key_Up: (-1, 0), _KEYS.Key_Down: (1, 0),
          _KEYS.Key_Home: (0, -CELLS_PER_DAY), _KEYS.Key_End: (0, CELLS_PER_DAY), _KEYS.Key_PageUp: (-7, 0), _KEYS.Key_PageDown: (7, 0)}
_PAINTS = {_KEYS.Key_1: Cell.OFF, _KEYS.Key_2: Cell.AWAY, _KEYS.Key_3: Cell.ALWAYS}
_AFTER = {Cell.OFF: Cell.AWAY, Cell.AWAY: Cell.ALWAYS, Cell.ALWAYS: Cell.OFF}


def spoken(schedule: Schedule, place: int) -> str:
    """One half hour in words: "Wednesday 18:00 to 18:30: Always"."""
    day, half = divmod(place, CELLS_PER_DAY)
    start, end = (f"{moment // 2:02d}:{moment % 2 * 30:02d}" for moment in (half, half + 1))
    return say("schedule.spoken", day=phrases.day(day), start=start, end=end, cell=phrases.cell(Cell(schedule.cells[place])))


class WeekGrid(QWidget):
    """The grid. `painted` gives a whole Schedule after a stroke or key; `pointed` the words for the half hour pointed at."""

    painted = Signal(object)
    pointed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._schedule = Schedule()
        self._before = self._schedule  # as it was when the stroke began
        self._now: float | None = None
        self._anchor = self._cursor = (0, 0)  # day, half hour
        self._stroke: Cell | None = None
        self._keyed = False  # the cursor is drawn for keys, and is in the way of a mouse
        self.brush = Cell.ALWAYS
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(say("schedule.grid"))
        self._describe()

    @property
    def schedule(self) -> Schedule:
        """What is drawn."""
        return self._schedule

    @property
    def painting(self) -> bool:
        """Whether a stroke is going on; nothing from outside may change the grid under it."""
        return self._stroke is not None

    def show_schedule(self, schedule: Schedule) -> None:
        """Draw another week."""
        if schedule != self._schedule and not self.painting:
            self._schedule = schedule
            self._describe()
            self.update()

    def show_now(self, place: float | None) -> None:
        """Move the mark of the current time."""
        if place != self._now:
            self._now = place
            self.update()

    def cell_rect(self, place: int) -> QRect:
        """Where one half hour is drawn."""
        return self._layout().cell(place).toRect()

    def sizeHint(self) -> QSize:
        return QSize(620, 290)

    def minimumSizeHint(self) -> QSize:
        return QSize(400, 8 * (self.fontMetrics().height() + 8))

    def paintEvent(self, event: QPaintEvent) -> None:
        by_keys = self.hasFocus() and (self._keyed or self.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange))
        GridPainter(self, self._layout()).draw(self._schedule, self._now, self._selection() if by_keys else QRect())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        buttons = {Qt.MouseButton.LeftButton: self.brush, Qt.MouseButton.RightButton: Cell.OFF}
        where = self._layout().place_at(event.position())
        if where is None or event.button() not in buttons or self.painting:
            return
        self._before, self._stroke = self._schedule, buttons[event.button()]
        self._anchor = self._cursor = where
        self._keyed = False
        self._paint_stroke()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        layout = self._layout()
        if self.painting:
            self._cursor = layout.nearest(event.position())
            self._paint_stroke()
            return
        where = layout.place_at(event.position())
        self.pointed.emit("" if where is None else spoken(self._schedule, where[0] * CELLS_PER_DAY + where[1]))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if not self.painting:
            return
        self._stroke = None
        self._anchor = self._cursor
        self._moved()
        self._give()

    def leaveEvent(self, event: QEvent) -> None:
        self.pointed.emit("")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = _KEYS(event.key())
        self._keyed = True
        if key in _STEPS:
            self._step(*_STEPS[key], extend=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif key in _PAINTS:
            self._set(_PAINTS[key])
        elif key == _KEYS.Key_Space:
            self._set(_AFTER[Cell(self._schedule.cells[self._cursor_place()])])
        elif key == _KEYS.Key_Escape and self.painting:
            self._schedule, self._stroke = self._before, None
            self._moved()
        else:
            super().keyPressEvent(event)

    def _layout(self) -> Layout:
        return Layout.of(self)

    def _cursor_place(self) -> int:
        return self._cursor[0] * CELLS_PER_DAY + self._cursor[1]

    def _selection(self) -> QRect:
        """Columns and rows between anchor and cursor, as a rectangle of half hours by days."""
        one, other = QPoint(self._anchor[1], self._anchor[0]), QPoint(self._cursor[1], self._cursor[0])
        return QRect(one, other).normalized() if one != other else QRect(one, QSize(1, 1))

    def _places(self) -> frozenset[int]:
        days, halves = (sorted(pair) for pair in zip(self._anchor, self._cursor, strict=True))
        return frozenset(
            day * CELLS_PER_DAY + half for day in range(days[0], days[1] + 1) for half in range(halves[0], halves[1] + 1)
        )

    def _paint_stroke(self) -> None:
        if self._stroke is not None:
            self._schedule = paint(self._before, self._places(), self._stroke)
            self._moved()

    def _set(self, cell: Cell) -> None:
        self._before = self._schedule
        self._schedule = paint(self._schedule, self._places(), cell)
        self._moved()
        self._give()

    def _give(self) -> None:
        if self._schedule != self._before:
            self._before = self._schedule
            self.painted.emit(self._schedule)

    def _step(self, days: int, halves: int, extend: bool) -> None:
        day = min(6, max(0, self._cursor[0] + days))
        half = min(CELLS_PER_DAY - 1, max(0, self._cursor[1] + halves))
        self._cursor = (day, half)
        if not extend:
            self._anchor = self._cursor
        self._moved()

    def _moved(self) -> None:
        self._describe()
        self.pointed.emit(self.accessibleDescription())
        self.update()

    def _describe(self) -> None:
        """Say the cursor's half hour, or the size of the selection, to whoever cannot see it."""
        count = len(self._places())
        words = spoken(self._schedule, self._cursor_place())
        if count > 1:
            first = min(self._places())
            day, half = divmod(first, CELLS_PER_DAY)
            start = f"{half // 2:02d}:{half % 2 * 30:02d}"
            words = say("schedule.spoken.many", count=str(count), day=phrases.day(day), start=start)
        if words != self.accessibleDescription():
            self.setAccessibleDescription(words)
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))
