"""What the pool must not forget, in buckets of its own: vouchers to redeem, deeds done for others, money that waits for somebody.

The pool's parts keep nothing else, so that any number of them may run and each may die. Every change is a compare-and-swap.
Read and written by the pool alone; the market adapter lays the buckets out.
"""

import hashlib
from typing import Annotated, Final

import msgspec

from desktop_app.wire.market import Answer

VOUCHERS: Final = "vouchers"  # <job>.<account> -> KeptVoucher
DEEDS: Final = "deeds"  # a digest of who signed what -> Deed
OWED: Final = "owed"  # address -> Waiting
MOST_DEED: Final = 4_096
DEED_LASTS_S: Final = 2 * 24 * 3_600
"""Longer than any authorisation the pool carries may still be valid."""

_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # unix seconds


class KeptVoucher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The newest voucher of a job for one account. `attested`: signed by the market's attestor, so that it may go in a batch."""

    job_id: str
    gpu_id: int
    units: int
    root: str
    signature: str
    rate: int
    fee_bps: int
    since: _Time  # when something became unpaid on it
    deadline: _Time  # of its job
    attested: bool = False
    paid: int = 0  # units paid when the chain was last asked
    taken_until: _Time = 0  # one pool is redeeming it until then


class Deed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A deed that somebody asked for: being done until `taken_until`, or done, with the answer everybody gets who asks again."""

    taken_until: _Time = 0
    answer: Answer | None = None


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that could not be delivered, seen at `since`."""

    since: _Time


def voucher_key(job_id: str, gpu_id: int) -> str:
    return f"{job_id}.{gpu_id}"


def deed_key(kind: str, sender: str, nonce: str) -> str:
    """The same for everybody who brings the same signed request: (from, nonce) is what the chain takes once."""
    return hashlib.sha256(f"{kind} {sender} {nonce}".lower().encode()).hexdigest()
