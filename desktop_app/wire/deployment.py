"""What a market is founded with, as a file says it: the terms that its contracts are created with, and who may sign for that.

The terms are the creation's, for good: every address follows from them, so other terms are another market, and what the
GPUs' owners change by vote later is not written back here. Called by the root that deploys (`deploy.py`), by the practice
network, which says the same in code, and by the chain adapter, which does it.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from desktop_app.core.gpu import TIER_NUMBERS
from desktop_app.core.money import MicroUsd
from desktop_app.wire.networks import Address, Constants, Count, NatsUrls, Positive, RpcUrls, read_toml

LOCAL_CHAIN = 31337
"""The id of chains that live on one machine: the practice chain, and Anvil. Only there is test money made."""

_Attestors = Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=16)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=90 * 86_400)]
_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class Governance(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the GPUs' owners decide. Times in seconds."""

    delay: _Seconds  # between a vote's end and its effect
    voting_delay: _Seconds
    voting_period: Annotated[int, msgspec.Meta(ge=1, le=90 * 86_400)]
    threshold: Count  # GPUs one must own to propose
    quorum: Annotated[int, msgspec.Meta(ge=0, le=100)]  # per cent of all GPUs that must take part
    guardian: Address  # may cancel proposals, and nothing else


class DeployerKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the deployer's key is: a version 3 keystore, and what opens it. Paths count from the file that names them."""

    keystore: _Path
    passphrase_file: Annotated[str, msgspec.Meta(max_length=1_000)] = ""  # mode 600
    keyring: Annotated[str, msgspec.Meta(max_length=200)] = ""  # the entry's name, service "Sublet"

    def __post_init__(self) -> None:
        if bool(self.passphrase_file) == bool(self.keyring):
            raise ValueError("the deployer's key is opened by a passphrase_file or by a keyring entry, one of them")


class Deployment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A market to be founded. The network's fee and its tiers' bounds are what the policy begins with."""

    network: Constants
    rpc_urls: RpcUrls
    nats_urls: NatsUrls
    treasury: Address
    arbiter: Address
    guardian: Address  # may stop new jobs, and nothing else
    attestors: _Attestors  # the first is the one that this market's pool signs with
    allowance: Positive  # micro-dollars an attestor may have paid out within a day
    governance: Governance
    usdc: Address | None = None  # none: test money is made
    deployer: DeployerKey | None = None

    def __post_init__(self) -> None:
        if self.usdc is None and self.network.chain_id != LOCAL_CHAIN:
            raise ValueError(f"a stablecoin (usdc) must be named; test money is made only on chain {LOCAL_CHAIN}")
        if len({one.lower() for one in self.attestors}) != len(self.attestors):
            raise ValueError("an attestor is named twice")
        if any(int(one, 16) == 0 for one in (*self.attestors, self.treasury, self.arbiter, self.usdc or "0x1")):
            raise ValueError("the zero address cannot hold anything")

    def bounds(self) -> tuple[tuple[int, MicroUsd, MicroUsd], ...]:
        """Number, floor and ceiling of every tier, micro-dollars per GPU-hour; a ceiling of 0: not traded."""
        traded = self.network.tiers
        return tuple(
            (number, MicroUsd(traded[tier].floor), MicroUsd(traded[tier].ceiling)) if tier in traded else (number, MicroUsd(0), MicroUsd(0))
            for tier, number in TIER_NUMBERS.items()
        )


def load_deployment(path: Path) -> Deployment:
    """The deployment that a file describes. Raises AppError when there is none, or it is not whole."""
    return read_toml(path, Deployment, "Write one; resources/contracts/README.md shows how.")
