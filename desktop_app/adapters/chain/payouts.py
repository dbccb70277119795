"""What reached an address, rebuilt from the escrow's events to the micro-dollar.

A payment names the holder's part (`VoucherRedeemed`) and each co-owner's (`SharePaid`) whether or not the stablecoin let it
through; what it did not is `PayeeOwed` in the same transaction, and arrives with `OwedWithdrawn`. Called by `reading.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from desktop_app.adapters.chain.answers import Seen
from desktop_app.adapters.chain.bindings.task_escrow import OwedWithdrawn, PayeeOwed, SharePaid, VoucherRedeemed
from desktop_app.adapters.chain.client import Client
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.state import Payout

_SOME_JOBS: Final = 50  # nodes limit how many alternatives a question for events may name

Event = VoucherRedeemed | SharePaid | PayeeOwed | OwedWithdrawn
Key = tuple[str, str, int]
"""Transaction, job, GPU account; money that had waited as owed is of no job ("") and no account (0)."""


@dataclass(slots=True)
class _Entry:
    amount: int
    block: int
    units: int | None = None


def payouts(client: Client, address: str, first: int, last: int, account: int | None) -> list[tuple[Payout, Units]]:
    """See `Chain.payouts`."""
    found = _entries(_events(client, address, first, last))
    _add_units(client, found)
    times = {number: client.block_time(number)[1] for number in {entry.block for entry in found.values()}}
    return [
        (
            Payout(job, MicroUsd(entry.amount), transaction, entry.block, times[entry.block], gpu),
            Units(entry.units or 0) if account in (None, gpu) else Units(0),
        )
        for (transaction, job, gpu), entry in found.items()
    ]


def _events(client: Client, address: str, first: int, last: int) -> list[Seen[Event]]:
    """Everything that says something about the address, in the order it happened."""
    escrow = client.escrow

    def asked() -> Iterator[Seen[Event]]:
        yield from client.events(escrow.voucher_redeemed_logs(holder=address), first, last)
        yield from client.events(escrow.share_paid_logs(payee=address), first, last)
        yield from client.events(escrow.payee_owed_logs(payee=address), first, last)
        yield from client.events(escrow.owed_withdrawn_logs(account=address), first, last)

    return sorted(asked(), key=lambda seen: (seen.block, seen.place))


def _entries(events: list[Seen[Event]]) -> dict[Key, _Entry]:
    """One entry per transaction, job and account.

    A push that failed covers the last parts before it: one co-owner's, or all rows of the holder since its last push. So
    what is owed is taken from the parts in reverse, within its transaction.
    """
    found: dict[Key, _Entry] = {}
    parts: list[tuple[_Entry, int]] = []  # of the present transaction, not known to be owed
    transaction = ""
    for seen in events:
        if seen.transaction != transaction:
            transaction, parts = seen.transaction, []
        match seen.event:
            case PayeeOwed(amount=owed):
                _take_back(parts, owed)
            case OwedWithdrawn(amount=amount):
                found.setdefault((transaction, "", 0), _Entry(0, seen.block, 0)).amount += amount
            case VoucherRedeemed(job=job, gpu=gpu, amount=amount, units=units):
                entry = found.setdefault((transaction, job, gpu), _Entry(0, seen.block))
                entry.amount += amount
                entry.units = max(entry.units or 0, units)
                parts.append((entry, amount))
            case SharePaid(job=job, gpu=gpu, amount=amount):
                entry = found.setdefault((transaction, job, gpu), _Entry(0, seen.block))
                entry.amount += amount
                parts.append((entry, amount))
    return found


def _take_back(parts: list[tuple[_Entry, int]], owed: int) -> None:
    while owed and parts:
        entry, amount = parts.pop()
        taken = min(amount, owed)
        entry.amount -= taken
        owed -= taken
        if amount > taken:
            parts.append((entry, amount - taken))
    if owed:
        raise _incomplete("more was held back than was paid")


def _add_units(client: Client, found: dict[Key, _Entry]) -> None:
    """A co-owner's part does not say what it was paid up to; the redemption that made it does."""
    wanted = {key: entry for key, entry in found.items() if entry.units is None}
    jobs = sorted({job for _, job, _ in wanted})
    blocks = [entry.block for entry in wanted.values()]
    for start in range(0, len(jobs), _SOME_JOBS):
        asked = client.escrow.voucher_redeemed_logs(job=tuple(jobs[start : start + _SOME_JOBS]))
        for seen in client.events(asked, min(blocks), max(blocks)):
            entry = wanted.get((seen.transaction, seen.event.job, seen.event.gpu))
            if entry is not None:
                entry.units = max(entry.units or 0, seen.event.units)
    if any(entry.units is None for entry in wanted.values()):
        raise _incomplete("a payment without its redemption")


def _incomplete(what: str) -> AppError:
    return AppError(f"The chain shows {what}.", "Ask again in a minute, or use another node.")
