"""What the chain, the relayer and the wallet say of the owner's money. A part of `core.messages`, where everybody finds them.

Adapters post them; `update` is their only reader.
"""

from dataclasses import dataclass

from desktop_app.core.cashout import Quote
from desktop_app.core.money import MicroUsd, Units
from desktop_app.core.state import Payout


@dataclass(frozen=True, slots=True)
class ChainPaid:
    """A redemption paid this wallet. `units` is the cumulative figure it paid up to."""

    payout: Payout
    units: Units


@dataclass(frozen=True, slots=True)
class ChainSaid:
    """The wallet's balance at a block; all events up to `block` have been posted."""

    balance: MicroUsd
    block: int


@dataclass(frozen=True, slots=True)
class ChainLost:
    detail: str


@dataclass(frozen=True, slots=True)
class ChainNamedGpu:
    """The account that this machine's GPU is paid on now, and the co-owners' basis points."""

    account: int
    co_bps: int


@dataclass(frozen=True, slots=True)
class ChainSaidJob:
    """Until when (unix seconds) the vouchers of an open job count for certain."""

    job_id: str
    until: int


@dataclass(frozen=True, slots=True)
class ChainClosedJob:
    """The job was closed before its voucher was redeemed: the rest of it is worth nothing."""

    job_id: str


@dataclass(frozen=True, slots=True)
class RedeemFailed:
    """What these jobs owe was not redeemed: by the market's relayer, or by this wallet (`own`)."""

    job_ids: tuple[str, ...]
    own: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CarrierFailed:
    """The market's relayer, or this wallet (`own`), did not quote or carry the cash-out, through no fault of the cash-out's."""

    id: str
    own: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CashOutQuoted:
    id: str
    quote: Quote


@dataclass(frozen=True, slots=True)
class CashOutRefused:
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CashOutSigned:
    id: str
    authorisation: str


@dataclass(frozen=True, slots=True)
class CashOutSent:
    id: str
    transaction: str


@dataclass(frozen=True, slots=True)
class CashOutConfirmed:
    id: str
    transaction: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class CashOutFailed:
    """A final block is past valid_before and the authorisation is unused."""

    id: str
    reason: str
