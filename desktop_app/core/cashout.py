"""A cash-out's life: asked, quoted, confirmed, signed, sent, confirmed on chain or failed.

The signed bytes are kept before they are sent, so that after a crash the same bytes go out again and never a second
payment. The market's relayer carries them, or, when that does not, the owner's own wallet, if it has ether for the gas; the
bytes are good for either, and the chain takes them once. `FAILED` is said only when a final block is past `valid_before` and
the authorisation is unused. Moved by update; read by the wallet page and the command line.
"""

from dataclasses import dataclass
from enum import StrEnum

from desktop_app.core.money import MicroUsd


class Stage(StrEnum):
    """How far a cash-out is."""

    ASKED = "asked"  # a quote is on its way
    QUOTED = "quoted"  # the owner sees the cost and decides
    SIGNING = "signing"
    SIGNED = "signed"  # bytes kept, not known to be sent
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"  # before anything was signed; `reason` says why
    CANCELLED = "cancelled"
    FAILED = "failed"  # expired unused; nothing was paid


OPEN_STAGES = frozenset({Stage.ASKED, Stage.QUOTED, Stage.SIGNING, Stage.SIGNED, Stage.SENT})
UNSTOPPABLE = frozenset({Stage.SIGNED, Stage.SENT})


@dataclass(frozen=True, slots=True)
class Quote:
    """What the relayer asks: `amount` leaves the wallet, `amount - fee` arrives. Times are unix seconds on the chain's clock."""

    amount: MicroUsd
    fee: MicroUsd
    salt: str  # 0x…, 32 bytes
    valid_before: int
    gas: int = 0  # wei that the wallet pays beside it, when it carries the cash-out itself


@dataclass(frozen=True, slots=True)
class CashOut:
    """One cash-out, under the id its asker gave it."""

    id: str
    to: str
    amount: MicroUsd  # 0: everything
    stage: Stage = Stage.ASKED
    quote: Quote | None = None
    authorisation: str = ""  # the signature, 0x…; useless for any other recipient, amount or fee
    transaction: str = ""
    confirmations: int = 0
    reason: str = ""
    own: bool = False  # this wallet carries it, because the market's relayer does not


def arrives(quote: Quote) -> MicroUsd:
    """What the recipient gets."""
    return MicroUsd(quote.amount - quote.fee)


def refusal(quote: Quote, asked: int, balance: int) -> str | None:
    """Why this quote cannot be taken, or None. `asked` is what the owner wanted to cash out, 0 for everything."""
    if quote.amount <= 0:
        return "there is nothing to cash out yet"
    if asked and quote.amount != asked:
        return "the offer is for another amount than was asked for"
    if quote.fee < 0:
        return "the offer makes no sense: its fee is below nothing"
    if quote.amount > balance:
        return "the wallet holds less than that"
    if quote.fee >= quote.amount:
        return "the fee would eat the whole amount"
    return None


def goes_nowhere(to: str, *places: str) -> bool:
    """Whether money sent to `to` would be lost or come back: it is one of the market's contracts, or the sender."""
    return to.lower() in {place.lower() for place in places}
