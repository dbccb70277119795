"""The cash-out card: form, quote, progress and outcome, one face at a time. Called by the wallet page.

The owner sees the whole cost before anything can be sent. The passphrase goes to the engine in a frame of its own and is not
kept here; the confirmation follows when the engine has taken it.
"""

from collections.abc import Callable

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QGridLayout, QHBoxLayout, QLineEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.core.messages import OwnerCancelledCashOut, OwnerConfirmedCashOut, OwnerMessage
from desktop_app.core.state import State
from desktop_app.ui.pages.cash_form import Form
from desktop_app.ui.present_money import CashView, Face, cash
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.steps import Steps
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say

Post = Callable[[OwnerMessage], None]
Confide = Callable[[str, str], None]


class CashOutCard(Card):
    """Shows the face that fits the state."""

    def __init__(self, post: Post, confide: Confide) -> None:
        super().__init__()
        self._view: CashView | None = None
        self._state: State | None = None
        self._seen = ""
        self.form = Form(post)
        self.quote = QuoteFace(post, confide)
        self.progress = ProgressFace(post)
        self.outcome = OutcomeFace(self._again)
        self._faces: dict[Face, Form | QuoteFace | ProgressFace | OutcomeFace] = {
            Face.FORM: self.form, Face.QUOTE: self.quote, Face.PROGRESS: self.progress, Face.OUTCOME: self.outcome,
        }
        self.body.addWidget(Text(Tone.HEADING, say("cash.title")))
        for face in self._faces.values():
            self.body.addWidget(face)
            face.setVisible(face is self.form)

    @property
    def face(self) -> Face:
        """Which face is up."""
        return Face.FORM if self._view is None else self._view.face

    def show_state(self, state: State | None) -> None:
        """Draw another state; None: the engine is silent."""
        self._state = state
        view = cash(state, self._seen)
        if view == self._view:
            return
        self._view = view
        shown = self._faces[view.face]
        shown.show_view(view)
        focus = QApplication.focusWidget()
        moves = focus is not None and self.isAncestorOf(focus) and not shown.isAncestorOf(focus)
        for face in self._faces.values():
            face.setVisible(face is shown)
        if moves:  # else Qt would hand the keyboard to whatever comes next, and a space meant for this card would click that
            shown.first.setFocus()

    def answer(self, ok: bool, detail: str) -> None:
        """The engine's word on the passphrase."""
        self.quote.answer(ok, detail)

    def _again(self) -> None:
        if self._view is not None:
            self._seen = self._view.id
            self.form.clear()
            self.show_state(self._state)


class QuoteFace(QWidget):
    """What leaves, what it costs, what arrives and where; then yes or no."""

    def __init__(self, post: Post, confide: Confide) -> None:
        super().__init__()
        self._post, self._confide = post, confide
        self._view = CashView(Face.QUOTE, live=False)
        self._asked = False  # a passphrase is with the engine
        self._rows = QGridLayout()
        self._rows.setHorizontalSpacing(3 * GAP)
        self._rows.setVerticalSpacing(4)
        self._rows.setColumnStretch(1, 1)
        self._texts: list[tuple[Text, Text]] = []
        self.passphrase = QLineEdit()
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.passphrase.setPlaceholderText(say("wallet.passphrase"))
        self.passphrase.setAccessibleName(say("wallet.passphrase"))
        self.passphrase.returnPressed.connect(self._confirm)
        self.wrong = Text(Tone.WRONG)
        self.confirm = QPushButton()
        self.confirm.clicked.connect(self._confirm)
        self.cancel = QPushButton(say("cash.cancel"))
        self.cancel.clicked.connect(self._cancel)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        for widget in (self.passphrase, self.confirm, self.cancel):
            buttons.addWidget(widget)
        buttons.addStretch()
        _stack_up(self, self._rows, self.wrong, buttons)

    @property
    def first(self) -> QWidget:
        """Where the keyboard begins: never on the button that sends."""
        return self.passphrase if self._view.needs_passphrase else self.cancel

    def show_view(self, view: CashView) -> None:
        """Draw a quote."""
        fresh = view.id != self._view.id
        self._view = view
        while len(self._texts) < len(view.rows):
            texts = (Text(Tone.CAPTION), Text(Tone.HEADING))
            texts[1].setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            for column, text in enumerate(texts):
                self._rows.addWidget(text, len(self._texts), column)
            self._texts.append(texts)
        for (label, value), row in zip(self._texts, view.rows, strict=True):
            label.say(row.label)
            value.say(row.value)
        self.confirm.setText(view.send)
        self.passphrase.setVisible(view.needs_passphrase)
        self.confirm.setEnabled(True)
        if fresh:
            self._asked = False
            self.passphrase.clear()
            self.wrong.say("")

    def answer(self, ok: bool, detail: str) -> None:
        """The engine's word on the passphrase: taken, and the cash-out is confirmed; or not, and the owner may try again."""
        if not self._asked:
            return
        self._asked = False
        if ok:
            self._post(OwnerConfirmedCashOut(self._view.id))
            return
        self.wrong.say(phrases.plain(detail))
        self.confirm.setEnabled(True)
        self.passphrase.setFocus()

    @Slot()
    def _confirm(self) -> None:
        secret = self.passphrase.text()
        if self._view.needs_passphrase:
            if not secret:
                self.wrong.say(say("cash.error.passphrase"))
                self.passphrase.setFocus()
                return
            self.passphrase.clear()
            self._asked = True
        self.wrong.say("")
        self.confirm.setEnabled(False)
        if self._asked:
            self._confide("spend", secret)
        else:
            self._post(OwnerConfirmedCashOut(self._view.id))

    @Slot()
    def _cancel(self) -> None:
        self.passphrase.clear()
        self._post(OwnerCancelledCashOut(self._view.id))


class ProgressFace(QWidget):
    """The steps of a cash-out under way."""

    def __init__(self, post: Post) -> None:
        super().__init__()
        self._post = post
        self._id = ""
        self._sentence = Text(Tone.BODY)
        self._steps = Steps()
        self._transaction = TransactionLine()
        self.cancel = QPushButton(say("cash.cancel"))
        self.cancel.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.cancel.clicked.connect(self._cancel)
        _stack_up(self, self._sentence, self._steps, self._transaction, self.cancel)

    @property
    def first(self) -> QWidget:
        """Where the keyboard begins."""
        return self._transaction.copy

    def show_view(self, view: CashView) -> None:
        """Draw how far it is."""
        self._id = view.id
        self._sentence.say(view.sentence)
        self._steps.show_steps(view.steps)
        self._transaction.show_hash(view.transaction)
        self.cancel.setVisible(view.can_cancel)

    @Slot()
    def _cancel(self) -> None:
        self._post(OwnerCancelledCashOut(self._id))


class OutcomeFace(QWidget):
    """How it ended, in words, and a way back to the form."""

    def __init__(self, again: Callable[[], None]) -> None:
        super().__init__()
        self._sentence = Text(Tone.BODY, lines=2)
        self._steps = Steps()
        self._transaction = TransactionLine()
        self.again = QPushButton(say("cash.again"))
        self.again.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.again.clicked.connect(lambda: again())
        _stack_up(self, self._sentence, self._steps, self._transaction, self.again)

    @property
    def first(self) -> QWidget:
        """Where the keyboard begins."""
        return self.again

    def show_view(self, view: CashView) -> None:
        """Draw the outcome."""
        self._sentence.say(view.sentence)
        self._steps.show_steps(view.steps)
        self._transaction.show_hash(view.transaction)


class TransactionLine(QWidget):
    """A transaction hash to look up, with a button that copies it; hidden while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._hash = ""
        self._words = Text(Tone.CAPTION)
        self.copy = QPushButton(say("cash.transaction.copy"))
        self.copy.clicked.connect(self._copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._words)
        row.addWidget(self.copy)
        row.addStretch()

    def show_hash(self, transaction: str) -> None:
        """Draw another hash."""
        self._hash = transaction
        self._words.say(say("cash.transaction", hash=phrases.short(transaction)))
        self._words.setToolTip(transaction)
        self.setVisible(bool(transaction))

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._hash)


def _stack_up(face: QWidget, *parts: QWidget | QGridLayout | QHBoxLayout) -> None:
    box = QVBoxLayout(face)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(GAP)
    for part in parts:
        if isinstance(part, QWidget):
            box.addWidget(part)
        else:
            box.addLayout(part)
    box.addStretch()
