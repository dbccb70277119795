"""What the practice market is founded with: the shipped network's fee and bounds, small figures for votes, and no waiting.

Other terms or other contracts are another market at other addresses; `version` tells them apart, so that a profile made by
an older Sublet is noticed. Called by the practice network's office and root.
"""

import hashlib
import json
from typing import Final

import msgspec

from desktop_app.adapters.keys import Keys
from desktop_app.core.money import DOLLAR
from desktop_app.practice.folder import ARBITER, ATTESTOR, GUARDIAN, TREASURY
from desktop_app.wire.deployment import Deployment, Governance
from desktop_app.wire.networks import practice_constants
from desktop_app.wire.resources import resource

ALLOWANCE: Final = 10_000 * DOLLAR
"""What an attestor may have paid out within a day."""
DELAY_S, VOTING_DELAY_S, VOTING_PERIOD_S = 5, 1, 30
THRESHOLD, QUORUM = 1, 10  # GPUs, per cent


def deployment(keys: Keys, rpc_url: str, nats_url: str) -> Deployment:
    """The practice market, with the offices held by these keys."""
    return Deployment(
        network=practice_constants(),
        rpc_urls=(rpc_url,),
        nats_urls=(nats_url,),
        treasury=keys.address(TREASURY),
        arbiter=keys.address(ARBITER),
        guardian=keys.address(GUARDIAN),
        attestors=(keys.address(ATTESTOR),),
        allowance=ALLOWANCE,
        governance=_governance(keys.address(GUARDIAN)),
    )


def version() -> str:
    """Names the contracts and the terms, whoever holds the offices; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(resource("contracts/compiled").glob("*.json")):
        digest.update(json.loads(path.read_bytes())["bytecode"].encode())
    constants = practice_constants()
    digest.update(msgspec.json.encode((ALLOWANCE, _governance("0x" + "00" * 20), constants.fee_bps, constants.tiers)))
    return digest.hexdigest()


def _governance(guardian: str) -> Governance:
    return Governance(
        delay=DELAY_S, voting_delay=VOTING_DELAY_S, voting_period=VOTING_PERIOD_S, threshold=THRESHOLD, quorum=QUORUM, guardian=guardian
    )
