"""The card that opens a wallet sealed with a passphrase, or seals a new one. On the wallet page, only while it is needed."""

from collections.abc import Callable

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton

from desktop_app.ui.present_money import WalletView
from desktop_app.ui.widgets.card import GAP, Card
from desktop_app.ui.widgets.text import Text, Tone
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say


class UnlockCard(Card):
    """`confide` takes the passphrase to the engine; it is not kept here."""

    def __init__(self, confide: Callable[[str, str], None]) -> None:
        super().__init__()
        self._confide = confide
        self._asked = self._new = False
        self._title, self._hint = Text(Tone.HEADING), Text(Tone.CAPTION, lines=2)
        self.field, self.again = _secret("wallet.passphrase"), _secret("wallet.passphrase.again")
        self.do = QPushButton()
        self.wrong = Text(Tone.WRONG)
        for line in (self.field, self.again):
            line.returnPressed.connect(self._unlock)
        self.do.clicked.connect(self._unlock)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.field, 1)
        row.addWidget(self.again, 1)
        row.addWidget(self.do)
        self.body.addWidget(self._title)
        self.body.addWidget(self._hint)
        self.body.addLayout(row)
        self.body.addWidget(self.wrong)
        self.hide()

    def show_view(self, view: WalletView) -> None:
        """Come up while the wallet is locked."""
        self._new = view.new
        key = "wallet.new" if view.new else "wallet.unlock"
        self._title.say(say(key))
        self._hint.say(say(f"{key}.hint"))
        self.do.setText(say(f"{key}.do"))
        self.again.setVisible(view.new)
        self.setVisible(view.locked)

    def answer(self, ok: bool, detail: str) -> None:
        """The engine's word."""
        if self._asked:
            self._asked = False
            self.do.setEnabled(True)
            self.wrong.say("" if ok else say("wallet.unlock.refused", detail=phrases.plain(detail)))

    @Slot()
    def _unlock(self) -> None:
        secret, again = self.field.text(), self.again.text()
        if not secret:
            self.field.setFocus()
            return
        if self._new and secret != again:
            self.wrong.say(say("wallet.new.differ"))
            self.again.setFocus()
            return
        self.field.clear()
        self.again.clear()
        self.wrong.say("")
        self.do.setEnabled(False)
        self._asked = True
        self._confide("unlock", secret)


def _secret(key: str) -> QLineEdit:
    line = QLineEdit()
    line.setEchoMode(QLineEdit.EchoMode.Password)
    line.setPlaceholderText(say(key))
    line.setAccessibleName(say(key))
    return line
