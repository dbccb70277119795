"""The owner's money as views: pending, earned and paid as separate numbers, payouts, and the cash-out from form to outcome.

Pure functions without Qt. Called by `present` for Home and by the wallet page.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from desktop_app.core import ledger
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Quote, Stage, arrives
from desktop_app.core.money import MicroUsd
from desktop_app.core.schedule import local_date
from desktop_app.core.state import Paid, State
from desktop_app.wire import phrases
from desktop_app.wire.phrases import say

_PAYOUTS_SHOWN = 6
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Figure:
    """A labelled amount with a line of explanation."""

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class PayoutRow:
    """One payment that arrived."""

    when: str
    amount: str
    transaction: str


@dataclass(frozen=True, slots=True)
class WalletView:
    """Everything on Wallet but the cash-out."""

    live: bool
    practice: bool
    locked: bool  # a passphrase would open it
    new: bool  # there is no wallet yet; the passphrase given will seal it
    balance: Figure
    figures: tuple[Figure, Figure, Figure]
    address: str
    payouts: tuple[PayoutRow, ...]


class Mark(StrEnum):
    """How far one step is; each has a sign of its own."""

    DONE = "done"
    DOING = "doing"
    TODO = "todo"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a cash-out."""

    label: str
    mark: Mark


class Face(StrEnum):
    """Which of its four faces the cash-out card shows."""

    FORM = "form"
    QUOTE = "quote"
    PROGRESS = "progress"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class CashView:
    """The cash-out card. `available` is what "everything" would be, as far as is known."""

    face: Face
    live: bool
    id: str = ""
    sentence: str = ""
    rows: tuple[Figure, ...] = ()
    send: str = ""
    needs_passphrase: bool = False
    can_cancel: bool = False
    steps: tuple[Step, ...] = ()
    transaction: str = ""
    good: bool = False
    available: MicroUsd = MicroUsd(0)


@dataclass(frozen=True, slots=True)
class Order:
    """A cash-out as it may be asked for; amount 0 is everything."""

    to: str
    amount: MicroUsd


class Field(StrEnum):
    """The two fields of the form."""

    TO = "to"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one field, in words."""

    field: Field
    words: str


def earned_today(state: State) -> MicroUsd:
    """What was paid on chain today, and what was vouched for today and is still to be paid."""
    today = local_date(state.now, state.zone)
    vouched = sum(
        record.amount
        for record in state.history
        if record.paid is Paid.EARNED and local_date(datetime.fromtimestamp(record.ended, UTC), state.zone) == today
    )
    return MicroUsd(ledger.paid_today(state) + vouched)


def wallet(state: State | None) -> WalletView:
    """The wallet page; None: the engine is silent."""
    if state is None:
        return _unknown_wallet()
    shown, purse = state, state.wallet
    balance = phrases.exact(purse.balance) if purse.balance is not None else say("wallet.balance.unknown")
    hint = say("wallet.balance.hint" if purse.chain_ok or purse.balance is None else "wallet.balance.offline")
    return WalletView(
        live=True,
        practice=shown.settings.network == "practice",
        locked=not purse.ready and purse.needs_passphrase,
        new=not purse.address,
        balance=Figure(say("wallet.balance"), balance, hint),
        figures=(
            Figure(say("wallet.pending"), phrases.exact(ledger.pending(shown)), say("wallet.pending.hint")),
            Figure(say("wallet.earned"), phrases.exact(ledger.earned(shown)), say("wallet.earned.hint")),
            Figure(say("wallet.paid"), phrases.exact(purse.paid), say("wallet.paid.hint")),
        ),
        address=purse.address,
        payouts=tuple(
            PayoutRow(phrases.ago(payout.time, shown.now, shown.zone), phrases.aligned(payout.amount), payout.transaction)
            for payout in purse.payouts[:_PAYOUTS_SHOWN]
        ),
    )


def _unknown_wallet() -> WalletView:
    """What is not known is not shown as nothing."""
    keys = ("wallet.pending", "wallet.earned", "wallet.paid")
    one, two, three = (Figure(say(key), say("unknown"), say(f"{key}.hint")) for key in keys)
    balance = Figure(say("wallet.balance"), say("unknown"), say("wallet.balance.hint"))
    return WalletView(False, False, False, False, balance, (one, two, three), "", ())


def cash(state: State | None, seen: str = "") -> CashView:
    """The cash-out card. `seen` is the id of a finished cash-out whose outcome the owner has put away."""
    if state is None:
        return CashView(Face.FORM, live=False)
    available = MicroUsd((state.wallet.balance or 0) + ledger.earned(state))
    one = state.cash_out
    if one is None or (one.id == seen and one.stage not in OPEN_STAGES):
        return CashView(Face.FORM, live=state.wallet.ready, available=available)
    if one.stage is Stage.QUOTED and one.quote is not None:
        return _quote(one, one.quote, state.wallet.needs_passphrase)
    if one.stage in OPEN_STAGES:
        return CashView(
            Face.PROGRESS, True, one.id, phrases.cash_out(one), can_cancel=one.stage not in UNSTOPPABLE and one.stage is not Stage.SIGNING,
            steps=_steps(one), transaction=one.transaction,
        )
    good = one.stage is Stage.CONFIRMED
    return CashView(
        Face.OUTCOME, True, one.id, phrases.cash_out(one), steps=_steps(one) if good else (), transaction=one.transaction, good=good
    )


def _quote(one: CashOut, quote: Quote, needs_passphrase: bool) -> CashView:
    fee = phrases.exact(quote.fee)
    if quote.amount > 0:
        fee = say("cash.quote.fee.value", fee=fee, share=phrases.share(quote.fee, quote.amount)) + phrases.gas(quote)
    rows = (
        Figure(say("cash.quote.leaves"), phrases.exact(quote.amount)),
        Figure(say("cash.quote.fee"), fee),
        Figure(say("cash.quote.arrives"), phrases.exact(arrives(quote))),
        Figure(say("cash.quote.to"), phrases.grouped(one.to)),
    )
    send = say("cash.confirm", amount=phrases.exact(arrives(quote)))
    return CashView(Face.QUOTE, True, one.id, phrases.cash_out(one), rows, send, needs_passphrase, can_cancel=True)


_REACHED = {Stage.ASKED: 0, Stage.QUOTED: 1, Stage.SIGNING: 1, Stage.SIGNED: 2, Stage.SENT: 3, Stage.CONFIRMED: 4}


def _steps(one: CashOut) -> tuple[Step, ...]:
    reached = _REACHED.get(one.stage, 0)
    names = [say("cash.step.asked"), say("cash.step.signed"), say("cash.step.sent"), _confirmed(one.confirmations)]
    marks = [Mark.DONE] * reached + [Mark.DOING] + [Mark.TODO] * len(names)
    return tuple(Step(name, mark) for name, mark in zip(names, marks, strict=False))


def _confirmed(blocks: int) -> str:
    if blocks < 1:
        return say("cash.step.confirmed")
    return say("cash.step.confirmed.one") if blocks == 1 else say("cash.step.confirmed.count", count=str(blocks))


def order(to: str, amount: str, everything: bool, available: MicroUsd) -> Order | Wrong:
    """What the form asks for, or what is wrong with it. The checksum of the address is the engine's to judge."""
    address = to.strip()
    if len(address) != 42 or not address.startswith("0x") or set(address[2:]) - _HEX:
        return Wrong(Field.TO, say("cash.error.address"))
    if available <= 0:
        return Wrong(Field.AMOUNT, say("cash.error.empty"))
    if everything:
        return Order(address, MicroUsd(0))
    micro = phrases.parse_money(amount)
    if micro is None:
        return Wrong(Field.AMOUNT, say("cash.error.amount"))
    if micro <= 0:
        return Wrong(Field.AMOUNT, say("cash.error.zero"))
    if micro > available:
        return Wrong(Field.AMOUNT, say("cash.error.balance", balance=phrases.exact(available)))
    return Order(address, micro)
