"""The money's life: vouchers, payouts and the cash-out. Called by `update`.

Pending, earned and paid are three numbers: delivered work, work with a checked voucher, money on chain. A payout counts
once, whatever happens: it is known by its transaction and job, and by the block up to which events were counted.
"""

from dataclasses import replace
from datetime import UTC, datetime

from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Quote, Stage, refusal
from desktop_app.core.effects import Effect, QuoteCashOut, SendCashOut, SignCashOut, WatchCashOut
from desktop_app.core.ledger import due
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.schedule import local_date
from desktop_app.core.settings import is_address, is_zero
from desktop_app.core.state import JobAccount, NoticeKind, Paid, Payout, State, TaskRecord
from desktop_app.core.update import keeping
from desktop_app.core.update.owner import notice

PAYOUTS_KEPT = 20
DAYS_KEPT = 40
ACCOUNTS_KEPT = 50
TASKS_KEPT = 50  # per account
IDS_KEPT = 50

Word = (
    m.VoucherArrived | m.RenterRejectedResult | m.ChainPaid | m.ChainSaid | m.ChainLost | keeping.Word
    | m.OwnerAskedCashOut | m.OwnerConfirmedCashOut | m.OwnerCancelledCashOut | m.CarrierFailed
    | m.CashOutQuoted | m.CashOutRefused | m.CashOutSigned | m.CashOutSent | m.CashOutConfirmed | m.CashOutFailed
)
_AboutCashOut = (
    m.OwnerConfirmedCashOut | m.OwnerCancelledCashOut
    | m.CashOutQuoted | m.CashOutRefused | m.CashOutSigned | m.CashOutSent | m.CashOutConfirmed | m.CashOutFailed
)
Step = tuple[State, tuple[Effect, ...]]


def hear(state: State, message: Word) -> Step:
    """The state after a word about money."""
    match message:
        case m.VoucherArrived():
            return _vouched(state, message), ()
        case m.RenterRejectedResult(task_id, reason):
            return _rejected(state, task_id, reason), ()
        case m.ChainPaid(payout, units):
            return _paid(state, payout, units), ()
        case m.ChainSaid(balance, block):
            wallet = replace(state.wallet, balance=balance, block=max(block, state.wallet.block), chain_ok=True)
            return replace(state, wallet=replace(wallet, payouts=_kept(wallet.payouts, wallet.block))), ()
        case m.ChainLost():
            return replace(state, wallet=replace(state.wallet, chain_ok=False)), ()
        case m.OwnerAskedCashOut():
            return _asked(state, message)
        case m.ChainNamedGpu() | m.ChainSaidJob() | m.ChainClosedJob() | m.RedeemFailed():
            return keeping.hear(state, message)
        case _:
            cash_out = state.cash_out
            if cash_out is None or cash_out.id != message.id:
                return state, ()
            if isinstance(message, m.CarrierFailed):
                cash_out, effects = _carrier_failed(state, cash_out, message)
            else:
                cash_out, effects = _about_cash_out(state, cash_out, message)
            return replace(state, cash_out=cash_out), effects


def resume_cash_out(state: State) -> Step:
    """After a restart: what the saved cash-out still owes. Signed bytes go out again; nothing is ever signed twice unasked."""
    cash_out = state.cash_out
    if cash_out is None:
        return state, ()
    match cash_out.stage:
        case Stage.ASKED:
            return state, (QuoteCashOut(cash_out, due(state)),)
        case Stage.SIGNING:
            return replace(state, cash_out=replace(cash_out, stage=Stage.QUOTED)), ()
        case Stage.SIGNED:
            return state, (SendCashOut(cash_out),)
        case Stage.SENT:
            return state, (WatchCashOut(cash_out),)
        case _:
            return state, ()  # the owner decides, or it is over


def _vouched(state: State, voucher: m.VoucherArrived) -> State:
    known = _account(state, voucher.job_id) or JobAccount(voucher.job_id, voucher.rate, voucher.fee_bps)
    tasks = tuple(dict.fromkeys((*voucher.task_ids, *known.tasks)))[:TASKS_KEPT]
    account = replace(known, rate=voucher.rate, fee_bps=voucher.fee_bps, tasks=tasks)
    if voucher.units > account.vouched:
        kept = replace(account.keeping, gpu=voucher.gpu)
        account = replace(account, vouched=voucher.units, root=voucher.root, signature=voucher.signature, keeping=kept)
    settled = account.redeemed >= voucher.units
    paid = Paid.PAID if settled else Paid.EARNED
    transaction = next((one.transaction for one in state.wallet.payouts if one.job_id == voucher.job_id), "") if settled else ""

    def vouch(line: TaskRecord) -> TaskRecord:
        if line.job_id != voucher.job_id or line.task_id not in voucher.task_ids or line.paid not in (Paid.PENDING, Paid.HANDED_BACK):
            return line
        return replace(line, paid=paid, voucher_units=voucher.units, transaction=transaction)

    return replace(_keep(state, account), history=tuple(vouch(line) for line in state.history))


def _rejected(state: State, task_id: str, reason: str) -> State:
    if not any(line.task_id == task_id and line.paid is not Paid.REJECTED for line in state.history):
        return state

    def reject(line: TaskRecord) -> TaskRecord:
        return replace(line, paid=Paid.REJECTED, reason=reason) if line.task_id == task_id and line.paid is Paid.PENDING else line

    state = replace(state, history=tuple(reject(line) for line in state.history))
    return notice(state, NoticeKind.RESULT_REJECTED, f"{task_id}: {reason}")


def _paid(state: State, payout: Payout, units: Units) -> State:
    wallet = state.wallet
    name = (payout.transaction, payout.job_id, payout.gpu)
    known = any((one.transaction, one.job_id, one.gpu) == name for one in wallet.payouts)
    if known or payout.block <= wallet.block:
        return state
    wallet = replace(
        wallet,
        paid=MicroUsd(wallet.paid + payout.amount),
        payouts=_kept((payout, *wallet.payouts), wallet.block),
        by_day=_add_to_day(state, payout),
    )
    if not payout.job_id:  # it had waited as owed, and its work was counted when it was redeemed
        return replace(state, wallet=wallet)
    # Paid before its voucher was heard of: nothing is due on it, and the voucher will bring the terms.
    before = _account(state, payout.job_id) or JobAccount(payout.job_id, Rate(0), 0)
    account = replace(before, redeemed=Units(max(units, before.redeemed)), vouched=Units(max(units, before.vouched)))
    lines = _covered(state, payout, units, account.redeemed - before.redeemed)
    return replace(_keep(replace(state, wallet=wallet), account), history=lines)


def _covered(state: State, payout: Payout, units: Units, fresh: int) -> tuple[TaskRecord, ...]:
    """The history after a payout up to `units`, of which `fresh` were not paid before."""

    def earned(line: TaskRecord) -> bool:
        return line.job_id == payout.job_id and line.paid is Paid.EARNED and line.voucher_units <= units

    def settle(line: TaskRecord) -> TaskRecord:
        if not earned(line):
            return line
        # The escrow rounds the job's total, not each task: a line that was paid alone says what arrived.
        amount = payout.amount if line.units == fresh else line.amount
        return replace(line, paid=Paid.PAID, transaction=payout.transaction, amount=amount)

    return tuple(settle(line) for line in state.history)


def _kept(payouts: tuple[Payout, ...], block: int) -> tuple[Payout, ...]:
    """The newest payouts, and all after `block`: those may be told again, and must be known then."""
    return payouts[:PAYOUTS_KEPT] + tuple(one for one in payouts[PAYOUTS_KEPT:] if one.block > block)


def _add_to_day(state: State, payout: Payout) -> tuple[tuple[str, int], ...]:
    moment = datetime.fromtimestamp(payout.time, UTC)
    day = local_date(moment, state.zone).isoformat()
    days = dict(state.wallet.by_day)
    days[day] = days.get(day, 0) + payout.amount
    return tuple(sorted(days.items()))[-DAYS_KEPT:]


def _account(state: State, job_id: str) -> JobAccount | None:
    return next((one for one in state.accounts if one.job_id == job_id), None)


def _keep(state: State, account: JobAccount) -> State:
    """The state with this account newest; settled ones beyond the limit are forgotten, owing ones never."""
    rest = tuple(one for one in state.accounts if one.job_id != account.job_id)
    kept = rest[: ACCOUNTS_KEPT - 1] + tuple(one for one in rest[ACCOUNTS_KEPT - 1 :] if one.vouched > one.redeemed)
    return replace(state, accounts=(account, *kept))


def _asked(state: State, asked: m.OwnerAskedCashOut) -> Step:
    held = state.cash_out
    if asked.id in state.cash_outs_asked or (held is not None and held.stage in UNSTOPPABLE):
        return state, ()
    state = replace(state, cash_outs_asked=(asked.id, *state.cash_outs_asked)[:IDS_KEPT])
    cash_out = CashOut(asked.id, asked.to, asked.amount)
    reason = _unfit(state, cash_out)
    if reason is not None:
        return replace(state, cash_out=replace(cash_out, stage=Stage.REFUSED, reason=reason)), ()
    return replace(state, cash_out=cash_out), (QuoteCashOut(cash_out, due(state)),)


def _unfit(state: State, cash_out: CashOut) -> str | None:
    to = cash_out.to
    if not is_address(to):
        return "that is not an address: it takes 0x and 40 hexadecimal digits"
    if is_zero(to):
        return "money sent to the zero address is gone for ever"
    if to.lower() == state.wallet.address.lower():
        return "that is this wallet's own address"
    if cash_out.amount < 0:
        return "an amount is never negative"
    if not state.wallet.ready:
        return "the wallet is not open yet"
    return None


def _carrier_failed(state: State, cash_out: CashOut, failed: m.CarrierFailed) -> tuple[CashOut, tuple[Effect, ...]]:
    """The other carrier tries: the wallet where the relayer did not, and once it is signed the relayer again, until its time is over."""
    if cash_out.own is not failed.own:
        return cash_out, ()
    other = replace(cash_out, own=not cash_out.own, reason=failed.reason)
    if cash_out.stage is Stage.ASKED:
        if failed.own:
            return replace(cash_out, stage=Stage.REFUSED, reason=failed.reason), ()
        return other, (QuoteCashOut(other, due(state)),)
    return (other, (SendCashOut(other),)) if cash_out.stage is Stage.SIGNED else (cash_out, ())


def _about_cash_out(state: State, cash_out: CashOut, message: _AboutCashOut) -> tuple[CashOut, tuple[Effect, ...]]:
    stage = cash_out.stage
    match message:
        case m.CashOutQuoted(_, quote) if stage is Stage.ASKED:
            return _quoted(state, cash_out, quote), ()
        case m.OwnerConfirmedCashOut() if stage is Stage.QUOTED:
            if cash_out.quote is None or cash_out.quote.valid_before <= state.now.timestamp():
                return replace(cash_out, stage=Stage.REFUSED, reason="the offer ran out before it was confirmed; ask again"), ()
            signing = replace(cash_out, stage=Stage.SIGNING, reason="")
            return signing, (SignCashOut(signing),)
        case m.OwnerCancelledCashOut() if stage in OPEN_STAGES - UNSTOPPABLE:
            return replace(cash_out, stage=Stage.CANCELLED), ()
        case m.CashOutRefused(_, reason) if stage is Stage.ASKED:
            return replace(cash_out, stage=Stage.REFUSED, reason=reason), ()
        case m.CashOutRefused(_, reason) if stage is Stage.SIGNING:
            return replace(cash_out, stage=Stage.QUOTED, reason=reason), ()  # a wrong passphrase: the quote still stands
        case m.CashOutSigned(_, authorisation) if stage is Stage.SIGNING:
            signed = replace(cash_out, stage=Stage.SIGNED, authorisation=authorisation)
            return signed, (SendCashOut(signed),)
        case m.CashOutSent(_, transaction) if stage is Stage.SIGNED:
            sent = replace(cash_out, stage=Stage.SENT, transaction=transaction)
            return sent, (WatchCashOut(sent),)
        case m.CashOutConfirmed(_, transaction, confirmations) if stage in UNSTOPPABLE or stage is Stage.CONFIRMED:
            more = max(confirmations, cash_out.confirmations)
            return replace(cash_out, stage=Stage.CONFIRMED, transaction=transaction, confirmations=more), ()
        case m.CashOutFailed(_, reason) if stage in UNSTOPPABLE:
            return replace(cash_out, stage=Stage.FAILED, reason=reason), ()
        case _:
            return cash_out, ()


def _quoted(state: State, cash_out: CashOut, quote: Quote) -> CashOut:
    reason = refusal(quote, cash_out.amount, state.wallet.balance or 0)
    if reason is not None:
        return replace(cash_out, quote=quote, stage=Stage.REFUSED, reason=reason)
    return replace(cash_out, quote=quote, stage=Stage.QUOTED, reason="")
