"""Vouchers and payouts: each micro-dollar is counted once, in whatever order it is told."""

from datetime import timedelta

from desktop_app.core import messages as m
from desktop_app.core.ledger import earned
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.schedule import Zone
from desktop_app.core.state import NoticeKind, Paid
from desktop_app.core.update import update
from desktop_app.core.update.money import ACCOUNTS_KEPT, DAYS_KEPT, PAYOUTS_KEPT, TASKS_KEPT
from tests.builders import (
    JOB,
    NOON,
    a_payout,
    a_record,
    a_state,
)
from tests.core.update.hearing import hear


def voucher(units: int = 1_000, *task_ids: str, job_id: str = JOB) -> m.VoucherArrived:
    return m.VoucherArrived(job_id, Units(units), Rate(3_600_000), 10, f"0xroot{units}", f"0xsig{units}", task_ids or ("task-1",))


def paid(units: int = 1_000, transaction: str = "0xt1", *, amount: int = 999, block: int = 5, job_id: str = JOB) -> m.ChainPaid:
    return m.ChainPaid(a_payout(transaction, job_id=job_id, amount=amount, block=block), Units(units))


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


def test_one_transaction_may_pay_several_gpus_of_one_job() -> None:
    other = m.ChainPaid(a_payout(gpu=8), Units(0))
    state = hear(a_state(), paid(), other, other)[0]
    assert (state.wallet.paid, len(state.wallet.payouts)) == (2 * 999, 2)


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


def test_money_that_had_waited_as_owed_is_paid_and_of_no_job() -> None:
    state = hear(a_state(history=(a_record(),)), voucher(1_000), paid(1_000, amount=0), paid(0, "0xt2", amount=999, block=6, job_id=""))[0]
    assert (earned(state), state.wallet.paid, [one.job_id for one in state.accounts]) == (0, 999, [JOB])
