"""Pending, earned and paid are three numbers; and a quote is only taken when it makes sense."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.cashout import Quote, arrives, goes_nowhere, refusal
from desktop_app.core.errors import AppError
from desktop_app.core.ledger import due, earned, paid_today, pending
from desktop_app.core.money import net
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Paid
from tests.builders import NOON, a_quote, a_record, a_state, a_wallet, an_account


def test_pending_is_what_was_delivered_or_handed_back_and_nothing_else() -> None:
    history = tuple(a_record(f"t{number}", amount=10**number, paid=paid) for number, paid in enumerate(Paid))
    by_paid = {line.paid: line.amount for line in history}
    assert pending(a_state(history=history)) == by_paid[Paid.PENDING] + by_paid[Paid.HANDED_BACK]
    assert pending(a_state()) == 0


def test_earned_is_what_vouchers_will_still_bring_net_of_the_fee() -> None:
    open_, closed = an_account("j1", vouched=2_000, redeemed=500), an_account("j2", vouched=7, redeemed=7)
    state = a_state(accounts=(open_, closed))
    assert earned(state) == 1_998 - 500
    assert due(state) == (open_,)


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 100))
def test_earned_is_never_negative_and_rounds_as_the_contract_does(one: int, other: int, rate: int, bps: int) -> None:
    redeemed, vouched = sorted((one, other))
    account = an_account(rate=rate, fee_bps=bps, vouched=vouched, redeemed=redeemed)
    assert earned(a_state(accounts=(account,))) == net(vouched, rate, bps) - net(redeemed, rate, bps) >= 0


def test_today_is_the_owners_day() -> None:
    wallet = a_wallet(by_day=(("2026-06-03", 5), ("2026-06-04", 7)))
    assert paid_today(a_state(wallet=wallet)) == 5
    assert paid_today(a_state(wallet=wallet, zone=Zone("far east", 13 * 3_600))) == 7
    assert paid_today(a_state(wallet=wallet, now=NOON + timedelta(days=3))) == 0


def test_what_arrives_is_the_amount_less_the_fee() -> None:
    assert arrives(a_quote(amount=5_000_000, fee=20_000)) == 4_980_000


@pytest.mark.parametrize(
    ("quote", "asked", "balance", "reason"),
    [
        (a_quote(), 0, 5_000_000, None),
        (a_quote(), 5_000_000, 5_000_000, None),
        (a_quote(fee=0), 0, 5_000_000, None),
        (a_quote(amount=0), 0, 5_000_000, "nothing to cash out"),
        (a_quote(amount=-1), 0, 5_000_000, "nothing to cash out"),
        (a_quote(), 4_000_000, 5_000_000, "another amount"),
        (a_quote(fee=-1), 0, 5_000_000, "below nothing"),
        (a_quote(), 0, 4_999_999, "holds less"),
        (a_quote(fee=5_000_000), 0, 5_000_000, "eat the whole"),
        (a_quote(fee=6_000_000), 0, 5_000_000, "eat the whole"),
    ],
)
def test_a_quote_that_makes_no_sense_is_refused_with_the_reason(quote: Quote, asked: int, balance: int, reason: str | None) -> None:
    said = refusal(quote, asked, balance)
    assert said is None if reason is None else said is not None and reason in said


def test_a_quote_that_is_taken_leaves_something_for_the_owner() -> None:
    quote = a_quote(fee=4_999_999)
    assert refusal(quote, 0, 5_000_000) is None and arrives(quote) == 1


def test_an_error_carries_title_and_advice() -> None:
    error = AppError("The disk is full.", "Make room.")
    assert (error.title, error.advice, str(error)) == ("The disk is full.", "Make room.", "The disk is full. Make room.")


def test_money_for_a_contract_or_for_its_sender_goes_nowhere() -> None:
    escrow, own = "0x" + "aB" * 20, "0x" + "c1" * 20
    assert goes_nowhere("0x" + "ab" * 20, escrow, own)
    assert goes_nowhere(own.upper(), escrow, own)
    assert not goes_nowhere("0x" + "cd" * 20, escrow, own)
