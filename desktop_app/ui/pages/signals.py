"""Signals: what gives the owner the GPU back, each with its switch, and how the last give-backs went. Called by the window."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QGridLayout, QSizePolicy, QWidget

from desktop_app.core.messages import OwnerAskedPrograms, OwnerChangedSettings, OwnerMessage
from desktop_app.core.settings import Value
from desktop_app.core.state import State
from desktop_app.ui.pages.frame import Page
from desktop_app.ui.pages.signals_chosen import AppsCard, LimitsCard
from desktop_app.ui.present import Heard, Silence
from desktop_app.ui.present_signals import BackRow, SignalRow, SignalsView, view
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.text import Text, Tone, embolden
from desktop_app.wire.phrases import say

_Tell = Callable[[str, Value], None]


class SignalsPage(Page):
    """The table of signals, the programs and limits the owner chose, and the log."""

    def __init__(self, post: Callable[[OwnerMessage], None], parent: QWidget | None = None) -> None:
        super().__init__(say("signals.title"), parent)
        self._post = post
        self._view: SignalsView | None = None
        self._known: State | None = None
        self.table = TableCard(self._tell)
        self.apps = AppsCard(self._tell, self._ask)
        self.limits = LimitsCard(self._tell)
        self.backs = BacksCard()
        for card in (self.table, self.apps, self.limits, self.backs):
            self.body.addWidget(card)
        self.body.addStretch()
        self.show_heard(Silence.STARTING)

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last."""
        if isinstance(heard, State):
            self._known = heard
        seen = view(heard, self._known)
        self.table.show_switches(seen)  # also when nothing else changed: a click flips one before the engine has spoken
        self.limits.show_limits(seen)
        if seen == self._view:
            return
        self._view = seen
        self.practice.setVisible(seen.practice)
        self.table.show_rows(seen.rows)
        self.apps.show_apps(seen)
        self.backs.show_backs(seen.backs)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask()

    def _ask(self) -> None:
        self._post(OwnerAskedPrograms())

    def _tell(self, setting: str, value: Value) -> None:
        self._post(OwnerChangedSettings(((setting, value),)))


class TableCard(Card):
    """A line for each signal: its switch and name, what it says now, when it last asked."""

    def __init__(self, tell: _Tell) -> None:
        super().__init__()
        self._tell = tell
        self.switches: dict[str, QCheckBox] = {}
        self._lines: list[tuple[QWidget, Text, Text]] = []
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(3 * GAP)
        self._grid.setVerticalSpacing(GAP - 2)
        self._grid.setColumnStretch(0, 1)
        self._grid.addWidget(Text(Tone.HEADING, say("signals.table")), 0, 0)
        for column, key in ((1, "signals.column.now"), (2, "signals.column.last")):
            self._grid.addWidget(Text(Tone.CAPTION, say(key)), 0, column)
        for column, longest in ((1, "signals.now.untold"), (2, "signals.last.room")):  # so that nothing jumps as the words change
            self._grid.setColumnMinimumWidth(column, Text(Tone.CAPTION, say(longest)).sizeHint().width())
        self.body.addLayout(self._grid)
        self.body.addWidget(Text(Tone.CAPTION, say("signals.hint")))

    def show_switches(self, seen: SignalsView) -> None:
        """Every switch as the engine has it."""
        self._make(seen.rows)
        for row in seen.rows:
            if row.switch:
                self.switches[row.switch].setChecked(row.on)
                self.switches[row.switch].setEnabled(seen.live)

    def show_rows(self, rows: tuple[SignalRow, ...]) -> None:
        """Draw what each signal says."""
        for row, (title, now, last) in zip(rows, self._lines, strict=True):
            title.setAccessibleDescription(row.spoken)
            now.say(row.now)
            last.say(row.last)
            for widget in (title, now):
                embolden(widget, row.asking)

    def _make(self, rows: tuple[SignalRow, ...]) -> None:
        """The lines, once: those with a switch first."""
        if self._lines:
            return
        for row in rows:
            if not row.switch and all(isinstance(title, QCheckBox) for title, _, _ in self._lines):
                always = Text(Tone.CAPTION, say("signals.always_on"))
                always.setContentsMargins(0, GAP, 0, 0)
                self._grid.addWidget(always, self._grid.rowCount(), 0, 1, 3)
            title = self._switch(row) if row.switch else Text(Tone.BODY, row.name)
            line, place = (title, Text(Tone.CAPTION), Text(Tone.CAPTION)), self._grid.rowCount()
            for column, widget in enumerate(line):
                self._grid.addWidget(widget, place, column)
            self._lines.append(line)

    def _switch(self, row: SignalRow) -> QCheckBox:
        box = self.switches[row.switch] = QCheckBox(row.name)
        box.clicked.connect(lambda on, setting=row.switch: self._tell(setting, bool(on)))
        return box


class BacksCard(Card):
    """The last give-backs, each with its times."""

    def __init__(self) -> None:
        super().__init__()
        self.body.addWidget(Text(Tone.HEADING, say("signals.backs")))
        self._none = Text(Tone.CAPTION, say("signals.backs.none"))
        self.body.addWidget(self._none)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(3 * GAP)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(2, 1)
        self.body.addLayout(self._grid)
        self._lines: list[tuple[Text, Text, Text, Text]] = []

    def show_backs(self, backs: tuple[BackRow, ...]) -> None:
        """Draw other give-backs; lines are kept and filled anew."""
        self._none.setVisible(not backs)
        while len(self._lines) < len(backs):
            self._add_line()
        for number, texts in enumerate(self._lines):
            row = backs[number] if number < len(backs) else BackRow("", "", "", "")
            for text, words in zip(texts, (row.when, row.trigger, row.took, row.steps), strict=True):
                text.say(words)
                text.setVisible(bool(words))

    def _add_line(self) -> None:
        texts = (Text(Tone.CAPTION), Text(Tone.BODY), Text(Tone.BODY), Text(Tone.CAPTION, lines=2))
        place = 2 * len(self._lines)
        for column, text in enumerate(texts[:3]):
            text.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            text.setContentsMargins(0, GAP // 2 if place else 0, 0, 0)
            self._grid.addWidget(text, place, column, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(texts[3], place + 1, 1, 1, 2)
        self._lines.append(texts)
