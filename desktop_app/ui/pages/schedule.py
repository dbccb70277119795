"""Schedule: the week to paint, what is painted with, presets, and the sentence on what comes next. Called by the window."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QRadioButton, QWidget

from desktop_app.core.messages import OwnerChangedSettings, OwnerMessage
from desktop_app.core.schedule import CELLS_PER_DAY, CELLS_PER_WEEK, Cell, Schedule
from desktop_app.ui import colours
from desktop_app.ui.pages.frame import Page
from desktop_app.ui.present import Heard
from desktop_app.ui.present_schedule import schedule
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.grid import WeekGrid
from desktop_app.ui.widgets.grid_paint import fill
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say

_NIGHT = "".join((Cell.ALWAYS if half < 14 or half >= 44 else Cell.OFF).value for half in range(CELLS_PER_DAY))
PRESETS: dict[str, Schedule] = {
    "always": Schedule(Cell.ALWAYS.value * CELLS_PER_WEEK),
    "nights": Schedule(_NIGHT * 7),
    "away": Schedule(Cell.AWAY.value * CELLS_PER_WEEK),
    "clear": Schedule(Cell.OFF.value * CELLS_PER_WEEK),
}
COALESCE_MS = 250
PATIENCE_MS = 3_000


class SchedulePage(Page):
    """Paints locally at once, tells the engine after a stroke, and shows the engine's week again if it does not agree."""

    def __init__(self, post: Callable[[OwnerMessage], None], parent: QWidget | None = None) -> None:
        super().__init__(say("schedule.title"), parent)
        self._post = post
        self._told: Schedule | None = None  # what the engine should say soon
        self._engine = Schedule()
        self._sentence = Text(Tone.BODY)
        self.grid = WeekGrid()
        self.grid.painted.connect(self._painted)
        self.grid.pointed.connect(self._pointed)
        self._words = Text(Tone.CAPTION, say("schedule.hint"))
        self._soon = QTimer(self, singleShot=True, interval=COALESCE_MS)
        self._soon.timeout.connect(self._tell)
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._give_up)
        self.brushes = {cell: BrushButton(cell) for cell in Cell}
        self.presets = {name: QPushButton(say(f"schedule.preset.{name}")) for name in PRESETS}
        self._arrange()

    def _arrange(self) -> None:
        card = Card()
        card.body.addLayout(self._legend())
        card.body.addWidget(self.grid, 1)
        card.body.addWidget(self._words)
        keys = Text(Tone.CAPTION, say("schedule.keys"), lines=2)
        self.body.addWidget(self._sentence)
        self.body.addWidget(card, 1)
        self.body.addLayout(self._preset_row())
        self.body.addWidget(keys)

    def _legend(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2 * GAP)
        row.addWidget(QLabel(say("schedule.paint")))
        self._group = QButtonGroup(self)
        for button in self.brushes.values():
            self._group.addButton(button)
            row.addWidget(button)
            button.toggled.connect(self._picked)
        self.brushes[Cell.ALWAYS].setChecked(True)
        row.addStretch()
        return row

    def _preset_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(QLabel(say("schedule.presets")))
        for name, button in self.presets.items():
            button.setToolTip(say(f"schedule.preset.{name}.hint"))
            button.setAccessibleDescription(button.toolTip())
            button.clicked.connect(lambda checked=False, name=name: self._preset(name))
            row.addWidget(button)
        row.addStretch()
        return row

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last; a stroke under way, or one not yet answered, stays."""
        view = schedule(heard)
        self.practice.setVisible(view.live and not isinstance(heard, str) and heard.settings.network == "practice")
        self._sentence.say(view.sentence)
        self.grid.show_now(view.now_place)
        for widget in (self.grid, *self.brushes.values(), *self.presets.values()):
            widget.setEnabled(view.live)
        self._engine = view.schedule
        if view.schedule == self._told:
            self._told = None
            self._patience.stop()
        if self._told is None and not self._soon.isActive():
            self.grid.show_schedule(view.schedule)

    def _preset(self, name: str) -> None:
        self.grid.show_schedule(PRESETS[name])
        self._painted(PRESETS[name])

    @Slot(object)
    def _painted(self, week: Schedule) -> None:
        self._told = week
        self._soon.start()

    @Slot()
    def _tell(self) -> None:
        if self._told is not None:
            self._patience.start()
            self._post(OwnerChangedSettings((("schedule", self._told.cells),)))

    @Slot()
    def _give_up(self) -> None:
        self._told = None
        self.grid.show_schedule(self._engine)

    @Slot(str)
    def _pointed(self, words: str) -> None:
        self._words.say(words or say("schedule.hint"))

    @Slot()
    def _picked(self) -> None:
        self.grid.brush = next((cell for cell, button in self.brushes.items() if button.isChecked()), Cell.ALWAYS)


class BrushButton(QRadioButton):
    """One state to paint with; its swatch is the legend."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(phrases.cell(cell))
        self._cell = cell
        self.setIconSize(QSize(26, 16))
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self._draw()

    def _draw(self) -> None:
        size, ratio = self.iconSize(), self.devicePixelRatioF()
        pixmap = QPixmap(size * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        place = QRectF(0.5, 0.5, size.width() - 1, size.height() - 1)
        fill(painter, place, self._cell, self.palette())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(colours.mix(colours.line(self.palette()), colours.text(self.palette()), 0.3))
        painter.drawRoundedRect(place, 4, 4)
        painter.end()
        self.setIcon(QIcon(pixmap))
