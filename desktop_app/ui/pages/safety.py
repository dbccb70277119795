"""Safety: how tasks are shut in, what that promises and does not, what would help, and each wall of the self-test. Called by the window."""

from PySide6.QtCore import QRectF, Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from desktop_app.ui import colours
from desktop_app.ui.pages.frame import Page
from desktop_app.ui.present import Heard, Silence
from desktop_app.ui.present_safety import SafetyView, WallRow, view
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.command import CommandLine
from desktop_app.ui.widgets.signs import LevelSign, WallSign
from desktop_app.ui.widgets.text import Paragraph, Text, Tone, embolden
from desktop_app.wire.isolation import Remedy
from desktop_app.wire.phrases import say

_COPIED_MS = 1_500


class SafetyPage(Page):
    """Nothing here is switched: the page tells what the engine found."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(say("safety.title"), parent)
        self._view: SafetyView | None = None
        self.standing, self.fix, self.walls = StandingCard(), FixCard(), WallsCard()
        for card in (self.standing, self.fix, self.walls):
            self.body.addWidget(card)
        self.body.addStretch()
        self.show_heard(Silence.STARTING)

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last."""
        seen = view(heard)
        if seen == self._view:
            return
        self._view = seen
        self.practice.setVisible(seen.practice)
        self.standing.show_view(seen)
        self.fix.show_remedy(seen.remedy)
        self.walls.show_view(seen)


class ReadCard(Card):
    """A card to read: Tab stops at it, so that it is read out, and so that the arrow keys scroll a page without controls."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setAccessibleName(title)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if colours.focus_shows(self):
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(colours.accent(self.palette()), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)


class StandingCard(ReadCard):
    """The level, when it was found, and what it is worth."""

    def __init__(self) -> None:
        super().__init__(say("safety.standing"))
        self.sign, self.level, self.tested = LevelSign(), Text(Tone.FIGURE), Paragraph(Tone.CAPTION)
        self.promise, self.limit = Paragraph(Tone.BODY), Paragraph(Tone.BODY)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.level)
        words.addWidget(self.tested)
        row = QHBoxLayout()
        row.setSpacing(GAP + 4)
        row.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.body.addWidget(Text(Tone.HEADING, say("safety.standing")))
        self.body.addLayout(row)
        self._told: list[QWidget] = []
        for key, text in (("safety.promise", self.promise), ("safety.limit", self.limit)):
            label = Text(Tone.CAPTION, say(key))
            self._told += [label, text]
            said = QVBoxLayout()
            said.setSpacing(1)
            said.addWidget(label)
            said.addWidget(text)
            self.body.addLayout(said)

    def show_view(self, seen: SafetyView) -> None:
        """Draw another level."""
        self.setAccessibleDescription(seen.spoken)
        self.sign.show_level(seen.level)
        self.level.say(seen.standing)
        self.tested.say(seen.tested)
        self.promise.say(seen.promise)
        self.limit.say(seen.limit)
        for widget in self._told:
            widget.setVisible(bool(seen.promise))


class FixCard(Card):
    """What the owner can do, with the exact line to type. Only while something is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.more = _selectable(), _selectable()
        self.command = CommandLine(say("safety.fix.command"))
        self.copy = QPushButton(say("safety.fix.copied"))
        self.copy.setMinimumWidth(self.copy.sizeHint().width())
        self.copy.setText(say("safety.fix.copy"))
        self.copy.setAccessibleDescription(say("safety.fix.command"))
        self.copy.clicked.connect(self._copy)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.command, 1)
        row.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addWidget(Text(Tone.HEADING, say("safety.fix")))
        self.body.addWidget(self.words)
        self.body.addLayout(row)
        self.body.addWidget(self.more)

    def show_remedy(self, remedy: Remedy | None) -> None:
        """Draw other advice, or nothing."""
        self.setVisible(remedy is not None)
        if remedy is None:
            return
        self.words.say(remedy.words)
        self.command.say(remedy.command)
        self.more.say(remedy.more)
        self.more.setVisible(bool(remedy.more))
        for widget in (self.command, self.copy):
            widget.setVisible(bool(remedy.command))

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.command.toPlainText())
        self.copy.setText(say("safety.fix.copied"))
        QTimer.singleShot(_COPIED_MS, self, self._copied_long_ago)

    @Slot()
    def _copied_long_ago(self) -> None:
        self.copy.setText(say("safety.fix.copy"))


class WallsCard(ReadCard):
    """A line for each wall, those that fell on top. Only when something was tried."""

    def __init__(self) -> None:
        super().__init__(say("safety.walls"))
        self.summary = Text(Tone.CAPTION)
        self._lines: list[tuple[WallSign, Paragraph, Text, Paragraph]] = []
        head = QVBoxLayout()
        head.setSpacing(1)
        head.addWidget(Text(Tone.HEADING, say("safety.walls")))
        head.addWidget(self.summary)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self.body.addLayout(head)
        self.body.addLayout(self._grid)
        self.body.addWidget(Paragraph(Tone.CAPTION, say("safety.walls.hint")))

    def show_view(self, seen: SafetyView) -> None:
        """Draw other walls; lines are kept and filled anew."""
        self.summary.say(seen.summary)
        self.setVisible(bool(seen.walls))
        self.setAccessibleDescription(". ".join((seen.summary, *(f"{row.name}: {row.verdict}" for row in seen.walls))))
        while len(self._lines) < len(seen.walls):
            self._add_line()
        for number, widgets in enumerate(self._lines):
            for widget in widgets:
                widget.setVisible(number < len(seen.walls))
            if number < len(seen.walls):
                _fill(*widgets, seen.walls[number])

    def _add_line(self) -> None:
        sign, name, verdict, seen = WallSign(), Paragraph(Tone.BODY), Text(Tone.CAPTION), Paragraph(Tone.CAPTION)
        verdict.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        place = 2 * len(self._lines)
        for column, widget in enumerate((sign, name, verdict)):
            self._grid.addWidget(widget, place, column)
        self._grid.addWidget(seen, place + 1, 1, 1, 2)
        self._lines.append((sign, name, verdict, seen))


def _fill(sign: WallSign, name: Paragraph, verdict: Text, seen: Paragraph, row: WallRow) -> None:
    sign.show_held(row.held)
    sign.setAccessibleName(row.verdict)
    for text in (name, verdict):
        embolden(text, not row.held)
    name.say(row.name)
    name.setToolTip(row.seen)
    name.setAccessibleDescription(f"{row.verdict}. {row.seen}")
    verdict.say(row.verdict)
    seen.say("" if row.held else row.seen)
    seen.setVisible(bool(seen.text()))


def _selectable() -> Paragraph:
    text = Paragraph(Tone.BODY)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
    text.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # otherwise Tab passes it by, and no key can select
    return text
