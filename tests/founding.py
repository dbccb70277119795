"""Terms for markets that tests found on chains of their own: the practice network's figures, with votes that take seconds."""

from typing import Final

import msgspec

from desktop_app.wire.deployment import Deployment, Governance
from desktop_app.wire.networks import practice_constants

NATS: Final = "nats://127.0.0.1:4222"
VOTES: Final = {"delay": 2, "voting_delay": 1, "voting_period": 10, "threshold": 1, "quorum": 10}


def terms(url: str, treasury: str, arbiter: str, guardian: str, *attestors: str, fee_bps: int = 10) -> Deployment:
    """A market on the chain at `url`, offices held by these addresses."""
    return Deployment(
        network=msgspec.structs.replace(practice_constants(), fee_bps=fee_bps),
        rpc_urls=(url,),
        nats_urls=(NATS,),
        treasury=treasury,
        arbiter=arbiter,
        guardian=guardian,
        attestors=attestors,
        allowance=10**12,
        governance=Governance(**VOTES, guardian=guardian),
    )
