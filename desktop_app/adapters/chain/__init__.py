"""The chain, as the app meets it: `Chain` reads, `Relayer` writes, `ids` knows what needs no chain at all.

No web3 here: the contracts are spoken to through generated bindings, and only the first question imports what that takes.
No private key comes here: the relayer is handed a way to
sign. Called by the roots.
"""

from desktop_app.adapters.chain.flights import Sign
from desktop_app.adapters.chain.ids import (
    account_of,
    batch_hash,
    batch_typed,
    cash_out_nonce,
    cash_out_typed,
    checksummed,
    era_of_account,
    escrow_domain,
    funding_typed,
    gpu_of_account,
    is_address,
    job_id,
    recover_message,
    recover_typed,
    registry_domain,
    same_address,
    top_up_amount,
    top_up_nonce,
    top_up_typed,
)
from desktop_app.adapters.chain.reading import Chain
from desktop_app.adapters.chain.records import (
    Bounds,
    Claim,
    ClaimStage,
    Done,
    ExpiredUnused,
    Job,
    Machine,
    Policy,
    RegisteredGpu,
    Unused,
    VoucherCheck,
)
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.adapters.chain.relaying import Relayer, Settled
from desktop_app.adapters.chain.sending import Mined

__all__ = [
    "Bounds",
    "Chain",
    "Claim",
    "ClaimStage",
    "Done",
    "ExpiredUnused",
    "Job",
    "Machine",
    "Mined",
    "Policy",
    "Refused",
    "RegisteredGpu",
    "Relayer",
    "Settled",
    "Sign",
    "Unused",
    "VoucherCheck",
    "account_of",
    "batch_hash",
    "batch_typed",
    "cash_out_nonce",
    "cash_out_typed",
    "checksummed",
    "era_of_account",
    "escrow_domain",
    "funding_typed",
    "gpu_of_account",
    "is_address",
    "job_id",
    "recover_message",
    "recover_typed",
    "registry_domain",
    "same_address",
    "top_up_amount",
    "top_up_nonce",
    "top_up_typed",
]
