"""Vouchers, payouts and the cash-out: each micro-dollar is counted once, and nothing is signed that the owner did not confirm."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Stage
from desktop_app.core.ledger import earned
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.schedule import Zone
from desktop_app.core.state import NoticeKind, Paid, State
from desktop_app.core.update import update
from desktop_app.core.update.money import ACCOUNTS_KEPT, DAYS_KEPT, IDS_KEPT, PAYOUTS_KEPT, TASKS_KEPT
from tests.builders import (
    ADDRESS,
    JOB,
    NOON,
    OTHER_ADDRESS,
    a_cash_out,
    a_payout,
    a_quote,
    a_record,
    a_state,
    a_wallet,
    an_account,
)
from tests.core.update.hearing import hear

SIGNATURE = "0x" + "99" * 65
CLOSED = [stage for stage in Stage if stage not in OPEN_STAGES]


def voucher(units: int = 1_000, *task_ids: str, job_id: str = JOB) -> m.VoucherArrived:
    return m.VoucherArrived(job_id, Units(units), Rate(3_600_000), 10, f"0xroot{units}", f"0xsig{units}", task_ids or ("task-1",))


def paid(units: int = 1_000, transaction: str = "0xt1", *, amount: int = 999, block: int = 5, job_id: str = JOB) -> m.ChainPaid:
    return m.ChainPaid(a_payout(transaction, job_id=job_id, amount=amount, block=block), Units(units))


def cash_out(state: State) -> CashOut:
    assert state.cash_out is not None
    return state.cash_out


# --- vouchers and payouts


def test_a_voucher_turns_delivered_work_into_earned_money() -> None:
    state, effects = hear(a_state(history=(a_record(),)), voucher(1_000))
    assert effects[:0] == () and earned(state) == 999
    assert [(line.paid, line.voucher_units) for line in state.history] == [(Paid.EARNED, 1_000)]


def test_a_payout_turns_earned_money_into_paid() -> None:
    state = hear(a_state(history=(a_record(),)), voucher(1_000), paid(1_000))[0]
    assert (earned(state), state.wallet.paid, state.wallet.by_day) == (0, 999, (("2026-06-03", 999),))
    assert [(line.paid, line.transaction) for line in state.history] == [(Paid.PAID, "0xt1")]


def test_a_payout_that_is_heard_before_its_voucher_ends_the_same() -> None:
    lines = (a_record(amount=999),)
    first = hear(a_state(history=lines), voucher(1_000), paid(1_000))[0]
    other = hear(a_state(history=lines), paid(1_000), voucher(1_000))[0]
    assert (other.history, other.wallet) == (first.history, first.wallet)
    assert earned(other) == 0


def test_a_line_that_was_paid_alone_says_what_arrived_to_the_micro_dollar() -> None:
    lines = (a_record("task-2", amount=1_000), a_record("task-1", amount=1_000))
    one_by_one = (voucher(1_000, "task-1"), paid(1_000, amount=999), voucher(2_000, "task-2"), paid(2_000, "0xt2", amount=999))
    assert [line.amount for line in hear(a_state(history=lines), *one_by_one)[0].history] == [999, 999]
    together = (voucher(1_000, "task-1"), voucher(2_000, "task-2"), paid(2_000, amount=1_998))
    assert [line.amount for line in hear(a_state(history=lines), *together)[0].history] == [1_000, 1_000]


def test_a_payout_that_also_covers_work_not_yet_vouched_for_is_not_one_lines_own() -> None:
    lines = (a_record("task-2", amount=1_000), a_record("task-1", amount=1_000))
    state = hear(a_state(history=lines), voucher(1_000, "task-1"), paid(2_000, amount=1_998), voucher(2_000, "task-2"))[0]
    assert [(line.paid, line.amount) for line in state.history] == [(Paid.PAID, 1_000)] * 2


def test_a_payout_covers_only_the_vouchers_up_to_its_units() -> None:
    lines = (a_record("task-2"), a_record("task-1"))
    state = hear(a_state(history=lines), voucher(1_000, "task-1"), voucher(2_000, "task-2"), paid(1_000))[0]
    assert [line.paid for line in state.history] == [Paid.EARNED, Paid.PAID]
    assert earned(state) == 1_998 - 999


def test_an_older_voucher_does_not_take_back_a_newer_one() -> None:
    state = hear(a_state(), voucher(2_000, "task-2"), voucher(1_000, "task-1"))[0]
    (account,) = state.accounts
    assert (account.vouched, account.root, account.signature) == (2_000, "0xroot2000", "0xsig2000")
    assert account.tasks == ("task-1", "task-2")


def test_a_voucher_touches_only_the_tasks_it_names() -> None:
    lines = (
        a_record("task-2"),
        a_record("task-1", job_id="another"),
        a_record("task-1", paid=Paid.REJECTED),
        a_record("task-1", paid=Paid.HANDED_BACK),
    )
    state = hear(a_state(history=lines), voucher(1_000, "task-1"))[0]
    assert [line.paid for line in state.history] == [Paid.PENDING, Paid.PENDING, Paid.REJECTED, Paid.EARNED]


def test_the_same_payout_is_counted_once() -> None:
    state = hear(a_state(), paid(1_000), paid(1_000), paid(1_500, "0xt2", amount=500), paid(1_000))[0]
    assert (state.wallet.paid, len(state.wallet.payouts)) == (1_499, 2)


def test_payouts_told_out_of_order_do_not_make_paid_work_look_owed() -> None:
    state = hear(a_state(), voucher(2_000), paid(2_000, "0xt2", block=6), paid(1_000, "0xt1", block=5))[0]
    assert (earned(state), state.wallet.paid, state.accounts[0].redeemed) == (0, 2 * 999, 2_000)


def test_one_transaction_may_pay_several_jobs() -> None:
    state = hear(a_state(), paid(job_id="j1"), paid(job_id="j2"))[0]
    assert state.wallet.paid == 2 * 999


def test_a_payout_in_a_block_that_was_counted_is_an_old_one() -> None:
    state = hear(a_state(), paid(), m.ChainSaid(MicroUsd(999), 5), paid(transaction="0xother"))[0]
    assert state.wallet.paid == 999


def test_a_long_catch_up_that_is_told_twice_is_counted_once() -> None:
    """More payouts than are kept for show, and a crash before the block was said."""
    many = [paid(number, f"0xt{number}", amount=1, block=number) for number in range(1, 51)]
    state = hear(a_state(), *many, *many)[0]
    assert (state.wallet.paid, len(state.wallet.payouts)) == (50, 50)
    state = hear(state, m.ChainSaid(MicroUsd(50), 50), *many)[0]
    assert (state.wallet.paid, len(state.wallet.payouts)) == (50, PAYOUTS_KEPT)


def test_the_chains_word_sets_balance_and_block_and_the_block_never_goes_back() -> None:
    state = hear(a_state(), m.ChainLost("no answer"), m.ChainSaid(MicroUsd(7), 9), m.ChainSaid(MicroUsd(3), 8))[0]
    assert (state.wallet.balance, state.wallet.block, state.wallet.chain_ok) == (3, 9, True)
    assert not hear(state, m.ChainLost("no answer"))[0].wallet.chain_ok


def test_money_is_shown_on_the_owners_day_and_days_are_kept_for_a_while() -> None:
    state = a_state(zone=Zone("far east", 13 * 3_600))
    for day in range(60):
        time = int((NOON + timedelta(days=day)).timestamp())
        state = update(state, m.ChainPaid(a_payout(f"0xt{day}", amount=2, block=5, time=time), Units(1)))[0]
    assert len(state.wallet.by_day) == DAYS_KEPT and state.wallet.by_day[-1] == ("2026-08-02", 2)
    assert state.wallet.paid == 120


def test_settled_accounts_are_forgotten_in_time_and_owing_ones_never() -> None:
    state = hear(a_state(), *(voucher(job_id=f"j{number}") for number in range(60)))[0]
    assert len(state.accounts) == 60
    state = hear(state, *(paid(transaction=f"0xt{number}", job_id=f"j{number}") for number in range(60)), voucher(job_id="new"))[0]
    assert len(state.accounts) == ACCOUNTS_KEPT and state.accounts[0].job_id == "new"


def test_an_account_remembers_only_so_many_tasks() -> None:
    state = hear(a_state(), *(voucher(number, f"t{number}") for number in range(80)))[0]
    assert state.accounts[0].tasks == tuple(f"t{number}" for number in range(79, 79 - TASKS_KEPT, -1))


def test_a_rejected_result_is_told_and_no_longer_pending() -> None:
    lines = (a_record("task-1"), a_record("task-1", paid=Paid.HANDED_BACK), a_record("task-2"))
    state = hear(a_state(history=lines), m.RenterRejectedResult("task-1", "accuracy 0.31"))[0]
    assert [line.paid for line in state.history] == [Paid.REJECTED, Paid.HANDED_BACK, Paid.PENDING]
    assert state.history[0].reason == "accuracy 0.31"
    assert [(one.kind, one.detail) for one in state.notices] == [(NoticeKind.RESULT_REJECTED, "task-1: accuracy 0.31")]


def test_the_rejection_of_an_unknown_task_changes_nothing() -> None:
    state = hear(a_state(history=(a_record(),)), m.ClockTicked(NOON, Zone()))[0]
    assert hear(state, m.RenterRejectedResult("task-9", "no")) == (state, ())


# --- the cash-out


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
