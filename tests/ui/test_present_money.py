"""Pending, earned and paid stay apart; the cash-out card shows the one face that fits; a bad form is refused in words."""

import pytest

from desktop_app.core.cashout import Stage
from desktop_app.core.money import MicroUsd
from desktop_app.ui.present_money import Face, Field, Mark, Order, Wrong, cash, order, wallet
from tests.ui import states


def test_three_numbers_never_mixed() -> None:
    view = wallet(states.seasoned())
    assert [figure.value for figure in view.figures] == ["$0.003996", "$0.003996", "$1.784532"]
    assert view.balance.value == "$1.284532"
    assert len(view.payouts) == 6
    assert view.payouts[0].amount == "$0.003996"


def test_silence_and_an_unopened_wallet_show_nothing_as_nothing() -> None:
    assert {figure.value for figure in wallet(None).figures} == {"–"}
    assert wallet(states.locked()).balance.value == "not known yet"
    assert wallet(states.locked()).locked
    assert not wallet(states.locked()).new
    assert wallet(states.locked(new=True)).new
    assert not wallet(states.seasoned()).locked


@pytest.mark.parametrize(
    ("stage", "face"),
    [
        (Stage.ASKED, Face.PROGRESS),
        (Stage.QUOTED, Face.QUOTE),
        (Stage.SIGNING, Face.PROGRESS),
        (Stage.SIGNED, Face.PROGRESS),
        (Stage.SENT, Face.PROGRESS),
        (Stage.CONFIRMED, Face.OUTCOME),
        (Stage.REFUSED, Face.OUTCOME),
        (Stage.CANCELLED, Face.OUTCOME),
        (Stage.FAILED, Face.OUTCOME),
    ],
)
def test_each_stage_has_its_face(stage: Stage, face: Face) -> None:
    assert cash(states.cashing(stage)).face is face


def test_the_quote_shows_the_fee_as_money_and_share_and_what_arrives() -> None:
    view = cash(states.cashing(Stage.QUOTED, needs_passphrase=True))
    assert [row.value for row in view.rows][:3] == ["$1.00", "$0.0025 (0.25 %)", "$0.9975"]
    assert view.rows[3].value.startswith("0x 8617 E340")
    assert view.send == "Send $0.9975"
    assert view.needs_passphrase


def test_steps_move_on() -> None:
    done, doing, todo = Mark.DONE, Mark.DOING, Mark.TODO
    assert [step.mark for step in cash(states.cashing(Stage.ASKED)).steps] == [doing, todo, todo, todo]
    assert [step.mark for step in cash(states.cashing(Stage.SIGNED)).steps] == [done, done, doing, todo]
    assert [step.mark for step in cash(states.cashing(Stage.SENT)).steps] == [done, done, done, doing]
    confirmed = cash(states.cashing(Stage.CONFIRMED, confirmations=3))
    assert [step.mark for step in confirmed.steps] == [done] * 4
    assert confirmed.steps[3].label == "Confirmed (3 blocks)"
    assert confirmed.good


def test_only_what_is_not_signed_can_be_cancelled() -> None:
    assert cash(states.cashing(Stage.ASKED)).can_cancel
    assert not cash(states.cashing(Stage.SIGNING)).can_cancel
    assert not cash(states.cashing(Stage.SENT)).can_cancel


def test_a_finished_cash_out_can_be_put_away_and_an_open_one_cannot() -> None:
    assert cash(states.cashing(Stage.FAILED), seen="cash-1").face is Face.FORM
    assert cash(states.cashing(Stage.SENT), seen="cash-1").face is Face.PROGRESS
    assert cash(None).face is Face.FORM
    assert not cash(None).live


def test_available_is_the_balance_and_what_is_earned() -> None:
    assert cash(states.seasoned()).available == 1_284_532 + 3_996


@pytest.mark.parametrize(
    ("to", "amount", "everything", "outcome"),
    [
        (states.OTHER, "12.50", False, Order(states.OTHER, MicroUsd(12_500_000))),
        (f"  {states.OTHER} ", "$0.000001", False, Order(states.OTHER, MicroUsd(1))),
        (states.OTHER, "rubbish", True, Order(states.OTHER, MicroUsd(0))),
        ("0x12", "1", False, Field.TO),
        (states.OTHER[:-1] + "g", "1", False, Field.TO),
        ("", "", True, Field.TO),
        (states.OTHER, "", False, Field.AMOUNT),
        (states.OTHER, "1e3", False, Field.AMOUNT),
        (states.OTHER, "0", False, Field.AMOUNT),
        (states.OTHER, "20.000001", False, Field.AMOUNT),
    ],
)
def test_the_form(to: str, amount: str, everything: bool, outcome: Order | Field) -> None:
    asked = order(to, amount, everything, MicroUsd(20_000_000))
    assert (asked.field if isinstance(asked, Wrong) else asked) == outcome


def test_an_empty_wallet_has_nothing_to_cash_out() -> None:
    asked = order(states.OTHER, "", True, MicroUsd(0))
    assert asked == Wrong(Field.AMOUNT, "There is nothing to cash out yet.")
