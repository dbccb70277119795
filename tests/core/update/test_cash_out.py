"""The cash-out: nothing is signed that the owner did not confirm, and nothing is sent that was not kept."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Stage
from desktop_app.core.money import MicroUsd
from desktop_app.core.schedule import Zone
from desktop_app.core.state import State
from desktop_app.core.update import update
from desktop_app.core.update.money import IDS_KEPT
from tests.builders import (
    ADDRESS,
    NOON,
    OTHER_ADDRESS,
    a_cash_out,
    a_quote,
    a_state,
    a_wallet,
    an_account,
)
from tests.core.update.hearing import hear

SIGNATURE = "0x" + "99" * 65
CLOSED = [stage for stage in Stage if stage not in OPEN_STAGES]


def cash_out(state: State) -> CashOut:
    assert state.cash_out is not None
    return state.cash_out


ASK = m.OwnerAskedCashOut("c1", OTHER_ADDRESS, MicroUsd(0))
QUOTED = m.CashOutQuoted("c1", a_quote())
CONFIRM = m.OwnerConfirmedCashOut("c1")
SIGNED = m.CashOutSigned("c1", SIGNATURE)
SENT = m.CashOutSent("c1", "0xtx")
DONE = m.CashOutConfirmed("c1", "0xtx", 1)


def settled(state: State) -> State:
    """The same with its offer made, so that only the cash-out speaks."""
    return update(state, m.ClockTicked(state.now, state.zone))[0]


def in_stage(stage: Stage, **parts: object) -> State:
    return settled(a_state(cash_out=replace(a_cash_out(stage), **parts), cash_outs_asked=("c1",)))  # type: ignore[arg-type]


def test_a_cash_out_goes_from_question_to_confirmation() -> None:
    owing = an_account(vouched=5)
    state, effects = hear(settled(a_state(accounts=(owing, an_account("settled")))), ASK)
    assert effects == (e.QuoteCashOut(CashOut("c1", OTHER_ADDRESS, MicroUsd(0)), (owing,)),)
    state, effects = hear(state, QUOTED)
    assert cash_out(state).stage is Stage.QUOTED and effects == ()
    state, effects = hear(state, CONFIRM)
    assert effects == (e.SignCashOut(cash_out(state)),) and cash_out(state).stage is Stage.SIGNING
    state, effects = hear(state, SIGNED)
    assert effects == (e.SendCashOut(cash_out(state)),) and cash_out(state).authorisation == SIGNATURE
    state, effects = hear(state, SENT)
    assert effects == (e.WatchCashOut(cash_out(state)),) and cash_out(state).transaction == "0xtx"
    state, effects = hear(state, DONE, m.CashOutConfirmed("c1", "0xtx", 3), m.CashOutConfirmed("c1", "0xtx", 2))
    assert (cash_out(state).stage, cash_out(state).confirmations, effects) == (Stage.CONFIRMED, 3, ())


@pytest.mark.parametrize(
    ("to", "amount", "ready", "reason"),
    [
        ("nobody", 0, True, "not an address"),
        ("0x" + "0" * 40, 0, True, "gone for ever"),
        (ADDRESS.upper().replace("X", "x"), 0, True, "own address"),
        (OTHER_ADDRESS, -1, True, "never negative"),
        (OTHER_ADDRESS, 0, False, "not open"),
    ],
)
def test_a_cash_out_that_makes_no_sense_is_refused_before_anything_is_asked(to: str, amount: int, ready: bool, reason: str) -> None:
    state = settled(a_state(wallet=a_wallet(ready=ready)))
    state, effects = hear(state, m.OwnerAskedCashOut("c1", to, MicroUsd(amount)))
    assert cash_out(state).stage is Stage.REFUSED and reason in cash_out(state).reason and effects == ()


def test_a_quote_the_wallet_cannot_bear_is_refused_with_its_figures_kept() -> None:
    state = hear(settled(a_state(wallet=a_wallet(balance=None))), ASK, QUOTED)[0]
    assert cash_out(state).stage is Stage.REFUSED and "holds less" in cash_out(state).reason and cash_out(state).quote == a_quote()


def test_a_quote_for_more_than_was_asked_is_refused() -> None:
    state = hear(settled(a_state()), m.OwnerAskedCashOut("c1", OTHER_ADDRESS, MicroUsd(1_000_000)), QUOTED)[0]
    assert cash_out(state).stage is Stage.REFUSED and "another amount" in cash_out(state).reason


def test_a_quote_that_ran_out_is_not_signed() -> None:
    late = replace(in_stage(Stage.QUOTED), now=NOON + timedelta(seconds=600))
    state, effects = hear(late, CONFIRM)
    assert cash_out(state).stage is Stage.REFUSED and "ran out" in cash_out(state).reason and effects == ()
    assert len(hear(replace(late, now=NOON + timedelta(seconds=599)), CONFIRM)[1]) == 1


def test_a_wrong_passphrase_leaves_the_quote_standing() -> None:
    state = hear(in_stage(Stage.SIGNING), m.CashOutRefused("c1", "wrong passphrase"))[0]
    assert (cash_out(state).stage, cash_out(state).reason) == (Stage.QUOTED, "wrong passphrase")
    state, effects = hear(state, CONFIRM)
    assert cash_out(state).reason == "" and len(effects) == 1


def test_a_relayer_that_refuses_ends_the_question() -> None:
    state = hear(in_stage(Stage.ASKED), m.CashOutRefused("c1", "too small"))[0]
    assert (cash_out(state).stage, cash_out(state).reason) == (Stage.REFUSED, "too small")


@pytest.mark.parametrize("stage", [Stage.ASKED, Stage.QUOTED, Stage.SIGNING])
def test_the_owner_can_cancel_until_bytes_are_signed_and_what_is_signed_later_is_not_sent(stage: Stage) -> None:
    state = hear(in_stage(stage), m.OwnerCancelledCashOut("c1"))[0]
    assert cash_out(state).stage is Stage.CANCELLED
    assert hear(state, SIGNED) == (state, ())


@pytest.mark.parametrize("stage", [Stage.SIGNED, Stage.SENT])
def test_failed_is_only_said_of_what_was_signed(stage: Stage) -> None:
    state = hear(in_stage(stage), m.CashOutFailed("c1", "its time ran out"))[0]
    assert (cash_out(state).stage, cash_out(state).reason) == (Stage.FAILED, "its time ran out")
    assert hear(in_stage(stage), m.OwnerCancelledCashOut("c1"))[1] == ()


def test_a_confirmation_may_come_before_the_word_that_it_was_sent() -> None:
    assert cash_out(hear(in_stage(Stage.SIGNED), DONE)[0]).stage is Stage.CONFIRMED


@pytest.mark.parametrize("stage", list(Stage))
def test_words_that_come_in_the_wrong_stage_change_nothing(stage: Stage) -> None:
    takes = {
        Stage.ASKED: {"OwnerCancelledCashOut", "CashOutQuoted", "CashOutRefused"},
        Stage.QUOTED: {"OwnerCancelledCashOut", "OwnerConfirmedCashOut"},
        Stage.SIGNING: {"OwnerCancelledCashOut", "CashOutSigned", "CashOutRefused"},
        Stage.SIGNED: {"CashOutSent", "CashOutConfirmed", "CashOutFailed"},
        Stage.SENT: {"CashOutConfirmed", "CashOutFailed"},
        Stage.CONFIRMED: {"CashOutConfirmed"},
    }
    state = in_stage(stage)
    words = (QUOTED, CONFIRM, SIGNED, SENT, DONE, m.OwnerCancelledCashOut("c1"), m.CashOutRefused("c1", ""), m.CashOutFailed("c1", ""), ASK)
    for word in words:
        changed = hear(state, word) != (state, ())
        assert changed == (type(word).__name__ in takes.get(stage, set())), word


def test_words_about_another_cash_out_change_nothing() -> None:
    for state in (in_stage(Stage.QUOTED), settled(a_state())):
        for word in (m.OwnerConfirmedCashOut("c9"), m.CashOutSigned("c9", ""), m.CashOutFailed("c9", ""), m.OwnerCancelledCashOut("c9")):
            assert hear(state, word) == (state, ())


@pytest.mark.parametrize("stage", sorted(set(Stage) - UNSTOPPABLE))
def test_a_new_question_takes_the_place_of_one_that_moves_no_money(stage: Stage) -> None:
    state, effects = hear(in_stage(stage), replace(ASK, id="c2"))
    assert cash_out(state).id == "c2" and isinstance(effects[0], e.QuoteCashOut)


@pytest.mark.parametrize("stage", sorted(UNSTOPPABLE))
def test_while_money_moves_no_other_cash_out_begins(stage: Stage) -> None:
    state = in_stage(stage)
    assert hear(state, replace(ASK, id="c2")) == (state, ())


def test_an_id_is_good_for_one_cash_out_even_when_another_came_between() -> None:
    first = hear(settled(a_state()), ASK, QUOTED, CONFIRM, SIGNED, SENT, DONE)[0]
    second = hear(first, replace(ASK, id="c2"), m.OwnerCancelledCashOut("c2"))[0]
    assert hear(second, ASK) == (second, ())


def test_only_so_many_ids_are_remembered() -> None:
    state = hear(settled(a_state()), *(replace(ASK, id=f"c{number}") for number in range(70)))[0]
    assert state.cash_outs_asked == tuple(f"c{number}" for number in range(69, 69 - IDS_KEPT, -1))


def test_after_a_restart_the_same_bytes_are_sent_again_and_nothing_is_signed() -> None:
    def started(stage: Stage) -> tuple[CashOut, tuple[e.Effect, ...]]:
        state, effects = hear(in_stage(stage), m.AgentStarted(NOON, Zone()))
        return cash_out(state), effects

    one, effects = started(Stage.SIGNED)
    assert effects == (e.SendCashOut(one),) and one.authorisation == SIGNATURE
    one, effects = started(Stage.SENT)
    assert effects == (e.WatchCashOut(one),)
    one, effects = started(Stage.ASKED)
    assert effects == (e.QuoteCashOut(one, ()),)
    one, effects = started(Stage.SIGNING)
    assert one.stage is Stage.QUOTED and effects == ()
    for stage in (Stage.QUOTED, *CLOSED):
        one, effects = started(stage)
        assert one.stage is stage and effects == ()
    assert hear(settled(a_state()), m.AgentStarted(NOON, Zone()))[1] == ()


# --- who carries it

NO_POOL = m.CarrierFailed("c1", False, "The market's relayer does not answer.")
NO_ETHER = m.CarrierFailed("c1", True, "With about 0.0001 ETH in your wallet Sublet can send it itself.")


def test_where_the_relayer_does_not_quote_the_wallet_does() -> None:
    owing = an_account(vouched=5)
    state, effects = hear(settled(a_state(accounts=(owing,))), ASK, NO_POOL)
    own = CashOut("c1", OTHER_ADDRESS, MicroUsd(0), own=True, reason=NO_POOL.reason)
    assert (cash_out(state), effects) == (own, (e.QuoteCashOut(own, (owing,)),))
    quoted = hear(state, QUOTED)[0]
    assert (cash_out(quoted).stage, cash_out(quoted).own, cash_out(quoted).reason) == (Stage.QUOTED, True, "")
    effects = hear(quoted, CONFIRM, SIGNED)[1]
    assert [effect.cash_out.own for effect in effects if isinstance(effect, e.SendCashOut)] == [True]


def test_without_relayer_and_ether_the_owner_hears_what_is_missing() -> None:
    state, effects = hear(settled(a_state()), ASK, NO_POOL, NO_ETHER)
    assert (cash_out(state).stage, cash_out(state).reason, effects) == (Stage.REFUSED, NO_ETHER.reason, ())


def test_what_is_signed_is_tried_by_one_carrier_after_the_other() -> None:
    state, effects = hear(in_stage(Stage.SIGNED), NO_POOL)
    assert [(one.cash_out.own, one.cash_out.authorisation) for one in effects if isinstance(one, e.SendCashOut)] == [(True, SIGNATURE)]
    assert hear(state, NO_POOL) == (state, ())
    state, effects = hear(state, NO_ETHER)
    assert [one.cash_out.own for one in effects if isinstance(one, e.SendCashOut)] == [False]
    assert (cash_out(state).stage, cash_out(state).reason) == (Stage.SIGNED, NO_ETHER.reason)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in (Stage.ASKED, Stage.SIGNED)])
def test_a_carriers_failure_changes_nothing_where_nothing_is_carried(stage: Stage) -> None:
    state = in_stage(stage)
    assert hear(state, NO_POOL) == (state, ())
