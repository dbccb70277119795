"""The verbs that touch the wallet's secret and its money: unlock and cash-out. Called by `cli`.

A passphrase is typed unseen and goes to the agent in a frame of its own; it is never an argument.
"""

import argparse
import getpass
import sys
import uuid
from collections.abc import Callable

from desktop_app.core import messages
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Quote, Stage, arrives
from desktop_app.core.money import MicroUsd
from desktop_app.core.settings import is_address
from desktop_app.core.state import State
from desktop_app.wire import phrases
from desktop_app.wire.guest import Guest

CASH_OUT_PATIENCE_S = 120.0
CANCEL_PATIENCE_S = 10.0
_GONE_OUT = UNSTOPPABLE | {Stage.CONFIRMED, Stage.FAILED}


def unlock(guest: Guest, _chosen: argparse.Namespace) -> int:
    """Give the wallet its passphrase; the first one makes it."""
    made = bool(guest.state.wallet.address)
    passphrase = _secret("Passphrase: " if made else "Choose a passphrase for your wallet: ")
    if not passphrase:
        return misused("No passphrase was given.")
    if not made and _secret("Once more: ") != passphrase:
        print("The two differ; nothing was made.", file=sys.stderr)
        return 1
    if not _taken(guest, "unlock", passphrase):
        return 1
    print("The wallet is open.")
    return 0


def _secret(prompt: str) -> str:
    """What was typed unseen; "" when there is nobody to type."""
    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""


def _taken(guest: Guest, purpose: str, passphrase: str) -> bool:
    """Hand a passphrase over; what is wrong with it is said."""
    answer = guest.hand_over(purpose, passphrase)
    if not answer.ok:
        print(answer.detail, file=sys.stderr)
    return answer.ok


def cash_out(guest: Guest, chosen: argparse.Namespace) -> int:
    """Ask, show the whole cost, confirm, and wait for the chain's word."""
    amount = phrases.parse_money(chosen.amount) if chosen.amount is not None else MicroUsd(0)
    if amount is None or (chosen.amount is not None and amount <= 0):
        return misused(f"{chosen.amount[:40]!r} is no amount in dollars; leave it out to send everything.")
    if not is_address(chosen.to):
        return misused(f"{chosen.to[:60]!r} is no address: it takes 0x and 40 hexadecimal digits.")
    under_way = guest.state.cash_out
    if under_way is not None and under_way.stage in UNSTOPPABLE:
        print(f"Another cash-out is on its way: {phrases.cash_out(under_way)}", file=sys.stderr)
        return 1
    name = uuid.uuid4().hex
    guest.post(messages.OwnerAskedCashOut(name, chosen.to, amount))
    held = _wait_cash_out(guest, name, lambda one: one.stage is not Stage.ASKED)
    if held is None or held.stage is not Stage.QUOTED or held.quote is None:
        return _end_cash_out(guest, name, held)
    _show_quote(held.to, held.quote)
    agreed = chosen.yes or _agreed()
    if not agreed or (guest.state.wallet.needs_passphrase and not _taken(guest, "spend", _secret("Passphrase: "))):
        return _cancel(guest, name, "Nothing was sent.")
    guest.post(messages.OwnerConfirmedCashOut(name))
    held = _wait_cash_out(guest, name, lambda one: one.stage not in OPEN_STAGES or (one.stage is Stage.QUOTED and bool(one.reason)))
    if held is not None and held.stage is Stage.QUOTED:
        return _cancel(guest, name, f"Nothing was sent: {phrases.plain(held.reason)}")
    return _end_cash_out(guest, name, held)


def _show_quote(to: str, quote: Quote) -> None:
    print(f"Leaves the wallet: {phrases.exact(quote.amount)}")
    print(f"Fee: {phrases.exact(quote.fee)} ({phrases.share(quote.fee, quote.amount)}){phrases.gas(quote)}")
    print(f"Arrives: {phrases.exact(arrives(quote))} at {phrases.grouped(to)}", flush=True)


def _agreed() -> bool:
    try:
        return input("Send it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _cancel(guest: Guest, name: str, words: str) -> int:
    """Call it off, and stay until that was heard. Where the word came too late, say how the cash-out stands instead."""
    guest.post(messages.OwnerCancelledCashOut(name))
    guest.wait_for(lambda state: state.cash_out is None or state.cash_out.stage not in OPEN_STAGES - UNSTOPPABLE, CANCEL_PATIENCE_S)
    now = guest.state.cash_out
    if now is not None and now.id == name and now.stage in _GONE_OUT:
        return _end_cash_out(guest, name, now)
    print(words, file=sys.stderr)
    return 1


def _wait_cash_out(guest: Guest, name: str, reached: Callable[[CashOut], bool]) -> CashOut | None:
    """The cash-out once it is as wanted; None when the agent did not move it in time."""

    def there(state: State) -> bool:
        return state.cash_out is not None and state.cash_out.id == name and reached(state.cash_out)

    return state.cash_out if (state := guest.wait_for(there, CASH_OUT_PATIENCE_S)) else None


def _end_cash_out(guest: Guest, name: str, held: CashOut | None) -> int:
    """Say how it ended; 0 only when the chain confirmed it. One that was not signed in time is not left lying about."""
    if held is None:
        now = guest.state.cash_out
        if now is None or now.id != name or now.stage not in UNSTOPPABLE:
            return _cancel(guest, name, "The agent did not move it in time; nothing was sent. Try again in a moment.")
        held = now
    print(phrases.cash_out(held), *((f"Transaction: {held.transaction}",) if held.transaction else ()), sep="\n")
    return 0 if held.stage is Stage.CONFIRMED else 1


def misused(words: str) -> int:
    """The exit status of words that make no sense."""
    print(words, file=sys.stderr)
    return 2
