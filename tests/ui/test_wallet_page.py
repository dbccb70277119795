"""The cash-out by hand, from form to outcome, and the wallet's passphrase: what is posted, in which order, and what is refused."""

import pytest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from desktop_app.core.cashout import Stage
from desktop_app.core.messages import OwnerAskedCashOut, OwnerCancelledCashOut, OwnerConfirmedCashOut, OwnerMessage
from desktop_app.core.money import MicroUsd
from desktop_app.core.state import State
from desktop_app.ui.pages.wallet import WalletPage
from desktop_app.ui.present import Silence
from desktop_app.ui.present_money import Face
from tests.ui import states
from tests.ui.hands import click, write


class Desk:
    """The page, and everything it gave away, in order."""

    def __init__(self, qtbot: QtBot) -> None:
        self.given: list[OwnerMessage | tuple[str, str]] = []
        self.page = WalletPage(self.given.append, lambda purpose, secret: self.given.append((purpose, secret)))
        qtbot.addWidget(self.page)
        self.page.resize(720, 640)
        with qtbot.waitExposed(self.page):
            self.page.show()

    def show(self, state: State) -> None:
        """The engine says so."""
        self.page.show_heard(state)


@pytest.fixture
def desk(qtbot: QtBot) -> Desk:
    return Desk(qtbot)


def test_a_good_form_only_asks_for_the_cost_and_only_once(desk: Desk) -> None:
    desk.show(states.seasoned())
    form = desk.page.cash.form
    write(form.to, states.OTHER)
    write(form.amount, "1.00")
    click(form.ask)
    click(form.ask)
    (asked,) = desk.given
    assert isinstance(asked, OwnerAskedCashOut)
    assert (asked.to, asked.amount) == (states.OTHER, MicroUsd(1_000_000))
    assert len(asked.id) == 32


def test_everything_is_zero_and_needs_no_amount(desk: Desk) -> None:
    desk.show(states.seasoned())
    form = desk.page.cash.form
    write(form.to, states.OTHER)
    form.everything.setChecked(True)
    assert not form.amount.isEnabled()
    assert form.amount.placeholderText() == "$1.288528"
    click(form.ask)
    (asked,) = desk.given
    assert isinstance(asked, OwnerAskedCashOut)
    assert asked.amount == 0


def test_bad_input_is_named_beside_its_field_and_nothing_is_posted(desk: Desk) -> None:
    desk.show(states.seasoned())
    form = desk.page.cash.form
    click(form.ask)
    assert form.to_wrong.text() == "An address is 0x and 40 characters from 0–9 and a–f."
    write(form.to, states.OTHER)
    assert form.to_wrong.text() == ""
    write(form.amount, "99")
    click(form.ask)
    assert form.amount_wrong.text() == "Your wallet holds $1.288528."
    assert desk.given == []


def test_confirm_without_passphrase(desk: Desk) -> None:
    desk.show(states.cashing(Stage.QUOTED))
    quote = desk.page.cash.quote
    assert quote.passphrase.isHidden()
    assert quote.confirm.text() == "Send $0.9975"
    click(quote.confirm)
    click(quote.confirm)
    assert desk.given == [OwnerConfirmedCashOut("cash-1")]


def test_the_passphrase_goes_first_and_alone_and_the_word_follows_when_it_was_taken(desk: Desk) -> None:
    desk.show(states.cashing(Stage.QUOTED, needs_passphrase=True))
    quote = desk.page.cash.quote
    click(quote.confirm)
    assert quote.wrong.text() == "Your passphrase is needed to sign."
    assert desk.given == []
    assert quote.passphrase.echoMode() is QLineEdit.EchoMode.Password
    write(quote.passphrase, "wrong horse")
    click(quote.confirm)
    assert desk.given == [("spend", "wrong horse")]
    assert quote.passphrase.text() == ""
    desk.page.answer(False, "that is not the passphrase")
    assert quote.wrong.text() == "that is not the passphrase"
    write(quote.passphrase, "right horse")
    click(quote.confirm)
    desk.page.answer(True, "")
    desk.page.answer(True, "")  # an answer that nobody asked for
    assert desk.given == [("spend", "wrong horse"), ("spend", "right horse"), OwnerConfirmedCashOut("cash-1")]


def test_the_keyboard_follows_the_card_and_never_lands_on_send(desk: Desk, qtbot: QtBot) -> None:
    desk.page.activateWindow()
    qtbot.waitUntil(desk.page.isActiveWindow)
    card = desk.page.cash
    desk.show(states.seasoned())
    card.form.ask.setFocus()
    desk.show(states.cashing(Stage.QUOTED))
    assert card.quote.cancel.hasFocus()
    desk.show(states.cashing(Stage.SENT))
    assert card.progress._transaction.copy.hasFocus()
    desk.show(states.cashing(Stage.CONFIRMED))
    assert card.outcome.again.hasFocus()


def test_cancel_at_the_quote_and_while_asking(desk: Desk) -> None:
    desk.show(states.cashing(Stage.QUOTED))
    click(desk.page.cash.quote.cancel)
    desk.show(states.cashing(Stage.ASKED))
    click(desk.page.cash.progress.cancel)
    assert desk.given == [OwnerCancelledCashOut("cash-1")] * 2


def test_the_faces_follow_the_stages(desk: Desk) -> None:
    card = desk.page.cash
    seen = []
    for stage in (Stage.ASKED, Stage.QUOTED, Stage.SIGNING, Stage.SIGNED, Stage.SENT, Stage.CONFIRMED):
        desk.show(states.cashing(stage))
        seen.append(card.face)
        assert [face.isVisibleTo(card) for face in (card.form, card.quote, card.progress, card.outcome)].count(True) == 1
    assert seen == [Face.PROGRESS, Face.QUOTE, Face.PROGRESS, Face.PROGRESS, Face.PROGRESS, Face.OUTCOME]


def test_an_outcome_is_put_away_for_a_new_empty_form(desk: Desk) -> None:
    desk.show(states.seasoned())
    write(desk.page.cash.form.to, states.OTHER)
    desk.show(states.cashing(Stage.FAILED, reason="it expired unused"))
    click(desk.page.cash.outcome.again)
    assert desk.page.cash.face is Face.FORM
    assert desk.page.cash.form.to.text() == ""
    desk.show(states.cashing(Stage.FAILED, reason="it expired unused"))
    assert desk.page.cash.face is Face.FORM


def test_unlocking(desk: Desk) -> None:
    desk.show(states.locked())
    unlock = desk.page.unlock
    assert unlock.isVisible()
    assert unlock.again.isHidden()
    click(unlock.do)
    assert desk.given == []
    write(unlock.field, "open sesame")
    click(unlock.do)
    assert desk.given == [("unlock", "open sesame")]
    assert unlock.field.text() == ""
    desk.page.answer(False, "wrong passphrase")
    assert unlock.wrong.text() == "The wallet stayed locked: wrong passphrase"
    desk.show(states.seasoned())
    assert unlock.isHidden()


def test_a_new_passphrase_is_written_twice(desk: Desk) -> None:
    desk.show(states.locked(new=True))
    unlock = desk.page.unlock
    write(unlock.field, "one")
    write(unlock.again, "two")
    click(unlock.do)
    assert unlock.wrong.text() == "The two differ; nothing was made."
    unlock.again.clear()
    write(unlock.again, "one")
    click(unlock.do)
    assert desk.given == [("unlock", "one")]


def test_without_an_engine_nothing_can_be_asked(desk: Desk) -> None:
    desk.show(states.seasoned())
    desk.page.show_heard(Silence.LOST)
    assert not desk.page.cash.form.ask.isEnabled()
    assert not desk.page.cash.form.to.isEnabled()
