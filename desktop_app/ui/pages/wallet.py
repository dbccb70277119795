"""Wallet: balance, the three stages of earned money, the address with its QR code, payouts and the cash-out. Called by the window."""

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.core.messages import OwnerMessage
from desktop_app.core.state import State
from desktop_app.ui.pages.cash_out import CashOutCard
from desktop_app.ui.pages.frame import Page
from desktop_app.ui.pages.unlock import UnlockCard
from desktop_app.ui.present import Heard
from desktop_app.ui.present_money import PayoutRow, WalletView, wallet
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.qr import QrCode
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say

_COPIED_MS = 1_500


class WalletPage(Page):
    """The owner's money."""

    def __init__(
        self, post: Callable[[OwnerMessage], None], confide: Callable[[str, str], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(say("wallet.title"), parent)
        self._view: WalletView | None = None
        self.unlock = UnlockCard(confide)
        self._purse = PurseCard()
        self.cash = CashOutCard(post, confide)
        self._payouts = PayoutsCard()
        for card in (self.unlock, self._purse, self.cash, self._payouts):
            self.body.addWidget(card)
        self.body.addStretch()

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last."""
        state = heard if isinstance(heard, State) else None
        self.cash.show_state(state)
        view = wallet(state)
        if view == self._view:
            return
        self._view = view
        self.practice.setVisible(view.practice)
        self.unlock.show_view(view)
        self._purse.show_view(view)
        self._payouts.show_payouts(view.payouts)

    def answer(self, ok: bool, detail: str) -> None:
        """The engine's word on a passphrase."""
        self.unlock.answer(ok, detail)
        self.cash.answer(ok, detail)


class PurseCard(Card):
    """Balance and stages on the left, the address and its code on the right."""

    def __init__(self) -> None:
        super().__init__()
        self._address = ""
        self._balance, self._balance_hint = Text(Tone.TITLE), Text(Tone.CAPTION)
        self._figures = tuple((Text(Tone.CAPTION), Text(Tone.HEADING), Text(Tone.CAPTION, lines=2)) for _ in range(3))
        self._groups = Text(Tone.BODY, lines=2)
        self._groups.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        self._groups.setAccessibleName(say("wallet.address"))
        self.copy = QPushButton(say("wallet.copy"))
        self.copy.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.copy.setMinimumWidth(self.copy.sizeHint().width())
        self.copy.setToolTip(say("wallet.address.hint"))
        self.copy.clicked.connect(self._copy)
        self._qr = QrCode()
        row = QHBoxLayout()
        row.setSpacing(3 * GAP)
        row.addLayout(self._words(), 1)
        row.addWidget(self._qr, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(row)

    def _words(self) -> QVBoxLayout:
        stages = QGridLayout()
        stages.setHorizontalSpacing(2 * GAP)
        stages.setVerticalSpacing(1)
        for column, texts in enumerate(self._figures):
            stages.setColumnStretch(column, 1)
            for line, text in enumerate(texts):
                stages.addWidget(text, line, column)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(Text(Tone.CAPTION, say("wallet.balance")))
        words.addWidget(self._balance)
        words.addWidget(self._balance_hint)
        words.addSpacing(GAP)
        words.addLayout(stages)
        words.addSpacing(GAP)
        words.addWidget(Text(Tone.CAPTION, say("wallet.address")))
        below = QHBoxLayout()
        below.setSpacing(2 * GAP)
        below.addWidget(self._groups, 1)
        below.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignTop)
        words.addLayout(below)
        return words

    def show_view(self, view: WalletView) -> None:
        """Draw other figures."""
        self._address = view.address
        self._balance.say(view.balance.value)
        self._balance_hint.say(view.balance.hint)
        for texts, figure in zip(self._figures, view.figures, strict=True):
            for text, words in zip(texts, (figure.label, figure.value, figure.hint), strict=True):
                text.say(words)
        self._groups.say(_two_lines(phrases.grouped(view.address)) or say("wallet.address.none"))
        self._qr.show_text(view.address)
        self.copy.setEnabled(bool(view.address))

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._address)
        self.copy.setText(say("wallet.copied"))
        QTimer.singleShot(_COPIED_MS, self, self._copied_long_ago)

    @Slot()
    def _copied_long_ago(self) -> None:
        self.copy.setText(say("wallet.copy"))


def _two_lines(groups: str) -> str:
    """An address broken in the middle: five groups of four, and five more."""
    words = groups.split()
    return " ".join(words[:6]) + ("\n" + " ".join(words[6:]) if len(words) > 6 else "")


class PayoutsCard(Card):
    """The newest payments that arrived, with the transaction that anyone can look up."""

    def __init__(self) -> None:
        super().__init__()
        self.body.addWidget(Text(Tone.HEADING, say("wallet.payouts")))
        self._none = Text(Tone.CAPTION, say("wallet.payouts.none"))
        self.body.addWidget(self._none)
        self._rows = QGridLayout()
        self._rows.setHorizontalSpacing(3 * GAP)
        self._rows.setVerticalSpacing(4)
        self._rows.setColumnStretch(2, 1)
        self.body.addLayout(self._rows)
        self._lines: list[tuple[Text, Text, Text]] = []

    def show_payouts(self, payouts: tuple[PayoutRow, ...]) -> None:
        """Draw other payments; lines are kept and filled anew."""
        self._none.setVisible(not payouts)
        while len(self._lines) < len(payouts):
            self._add_line()
        for number, texts in enumerate(self._lines):
            row = payouts[number] if number < len(payouts) else None
            for text in texts:
                text.setVisible(row is not None)
            if row is None:
                continue
            for text, words in zip(texts, (row.when, row.amount, phrases.short(row.transaction)), strict=True):
                text.say(words)
            texts[2].setToolTip(row.transaction)
            texts[2].setAccessibleName(say("wallet.payouts.transaction", hash=row.transaction))

    def _add_line(self) -> None:
        texts = (Text(Tone.CAPTION), Text(Tone.BODY), Text(Tone.CAPTION))
        texts[1].setAlignment(Qt.AlignmentFlag.AlignRight)
        for column, text in enumerate(texts):
            self._rows.addWidget(text, len(self._lines), column)
        self._lines.append(texts)
