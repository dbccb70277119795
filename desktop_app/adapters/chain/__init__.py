"""The chain, as the app meets it: `Chain` reads, `Relayer` writes, `ids` knows what needs no chain at all.

Importing this does not import web3; the first question does. No private key comes here: the relayer is handed a way to
sign. Called by the roots.
"""

from desktop_app.adapters.chain.ids import (
    cash_out_nonce,
    cash_out_typed,
    checksummed,
    escrow_domain,
    funding_typed,
    is_address,
    job_id,
    recover_message,
    recover_typed,
    registry_domain,
    same_address,
)
from desktop_app.adapters.chain.reading import Chain, Done, ExpiredUnused, Job, RegisteredGpu, Unused, VoucherCheck
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.adapters.chain.relaying import Relayer
from desktop_app.adapters.chain.sending import Mined, Sign

__all__ = [
    "Chain",
    "Done",
    "ExpiredUnused",
    "Job",
    "Mined",
    "Refused",
    "RegisteredGpu",
    "Relayer",
    "Sign",
    "Unused",
    "VoucherCheck",
    "cash_out_nonce",
    "cash_out_typed",
    "checksummed",
    "escrow_domain",
    "funding_typed",
    "is_address",
    "job_id",
    "recover_message",
    "recover_typed",
    "registry_domain",
    "same_address",
]
