"""The form that asks what a cash-out costs: where to, and how much. One face of the cash-out card."""

import uuid
from collections.abc import Callable

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from desktop_app.core.messages import OwnerAskedCashOut, OwnerMessage
from desktop_app.ui.present_money import CashView, Face, Field, Wrong, order
from desktop_app.ui.widgets.card import GAP
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say


class Form(QWidget):
    """Where to, how much, and a button that only asks for the cost."""

    def __init__(self, post: Callable[[OwnerMessage], None]) -> None:
        super().__init__()
        self._post = post
        self._view = CashView(Face.FORM, live=False)
        self._asking = False
        self.to, self.to_wrong = _field("cash.to")
        self.to.setMaxLength(64)
        self.amount, self.amount_wrong = _field("cash.amount")
        self.amount.setMaxLength(24)
        self.everything = QCheckBox(say("cash.max"))
        self.everything.toggled.connect(self._toggled)
        self.ask = QPushButton(say("cash.ask"))
        self.ask.clicked.connect(self._ask)
        for line in (self.to, self.amount):
            line.returnPressed.connect(self._ask)
            line.textEdited.connect(self._edited)
        self._arrange()

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(2 * GAP)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 2)
        grid.addWidget(_label("cash.to", self.to), 0, 0)
        grid.addWidget(_label("cash.amount", self.amount), 0, 1)
        grid.addWidget(self.to, 1, 0)
        grid.addWidget(self.amount, 1, 1)
        grid.addWidget(self.everything, 1, 2)
        grid.addWidget(self.to_wrong, 2, 0)
        grid.addWidget(self.amount_wrong, 2, 1, 1, 2)
        foot = QHBoxLayout()
        foot.setSpacing(2 * GAP)
        foot.addWidget(self.ask)
        foot.addWidget(Text(Tone.CAPTION, say("cash.ask.hint")), 1)
        grid.addLayout(foot, 3, 0, 1, 3)
        grid.setRowStretch(4, 1)

    @property
    def first(self) -> QWidget:
        """Where the keyboard begins."""
        return self.to

    def show_view(self, view: CashView) -> None:
        """Take what is available from the state."""
        self._view, self._asking = view, False
        for widget in (self.to, self.everything, self.ask):
            widget.setEnabled(view.live)
        self._toggled(self.everything.isChecked())

    def clear(self) -> None:
        """An empty form, after a finished cash-out."""
        for line in (self.to, self.amount):
            line.clear()
        self.everything.setChecked(False)

    @Slot(bool)
    def _toggled(self, everything: bool) -> None:
        self.amount.setEnabled(self._view.live and not everything)
        self.amount.setPlaceholderText(phrases.exact(self._view.available) if everything else say("cash.amount.hint"))
        if everything:
            self.amount.clear()
            self._edited()

    @Slot()
    def _edited(self) -> None:
        self.to_wrong.say("")
        self.amount_wrong.say("")

    @Slot()
    def _ask(self) -> None:
        self._edited()
        asked = order(self.to.text(), self.amount.text(), self.everything.isChecked(), self._view.available)
        if isinstance(asked, Wrong):
            line, words = (self.to, self.to_wrong) if asked.field is Field.TO else (self.amount, self.amount_wrong)
            words.say(asked.words)
            line.setFocus()
            return
        if self._asking:
            return  # until the engine has answered, one click is one question
        self._asking = True
        self._post(OwnerAskedCashOut(uuid.uuid4().hex, asked.to, asked.amount))


def _field(key: str) -> tuple[QLineEdit, Text]:
    """A line to fill in, and the place below it for what is wrong."""
    line = QLineEdit()
    line.setPlaceholderText(say(f"{key}.hint"))
    line.setAccessibleName(say(key))
    return line, Text(Tone.WRONG)


def _label(key: str, buddy: QWidget) -> Text:
    label = Text(Tone.CAPTION, say(key))
    label.setBuddy(buddy)
    return label
