"""What the owners of GPUs can decide, as calls to be voted on, and what any call to be voted on says in words.

The words are made from the bytes that will be executed, whoever wrote the proposal, so that nobody votes on a description.
Called by `governing.py`, and by the roots through it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.abi import Deed, decoded
from desktop_app.adapters.chain.bindings import GpuGovernor, GpuTimelock, MarketPolicy
from desktop_app.adapters.chain.refusals import abi_of
from desktop_app.core.errors import AppError
from desktop_app.wire.networks import Network

ROLES: Final = ("PROPOSER", "CANCELLER", "EXECUTOR", "DEFAULT_ADMIN")

_SAYINGS: Final = {
    ("MarketPolicy", "setFee"): "jobs to come pay a fee of {0} basis points",
    ("MarketPolicy", "setTreasury"): "fees go to {0}",
    ("MarketPolicy", "setArbiter"): "{0} decides what is challenged",
    ("MarketPolicy", "setGuardian"): "{0} may stop new jobs",
    ("MarketPolicy", "setAttestor"): "whether {0} may attest hardware and work: {1}",
    ("MarketPolicy", "setAllowance"): "an attestor may have {0} micro-dollars paid out a day",
    ("MarketPolicy", "setBounds"): "jobs to come in tier {0} cost between {1} and {2} micro-dollars an hour",
    ("MarketPolicy", "setPaused"): "whether new jobs are refused: {0}",
    ("MarketPolicy", "transferOwnership"): "{0} owns the market's policy from then on, and these votes no longer do",
    ("MarketPolicy", "renounceOwnership"): "nobody owns the market's policy from then on",
    ("GpuTimelock", "updateDelay"): "what was voted waits {0} seconds",
    ("GpuTimelock", "grantRole"): "{1} becomes the timelock's {0}",
    ("GpuTimelock", "revokeRole"): "{1} is the timelock's {0} no more",
    ("GpuGovernor", "setVotingDelay"): "a vote begins {0} seconds after its proposal",
    ("GpuGovernor", "setVotingPeriod"): "a vote lasts {0} seconds",
    ("GpuGovernor", "setProposalThreshold"): "proposing takes {0} GPUs",
    ("GpuGovernor", "updateQuorumNumerator"): "{0} per cent of all GPUs must take part in a vote",
    ("GpuGovernor", "setProposalGuardian"): "{0} may cancel proposals",
    ("GpuGovernor", "updateTimelock"): "votes are carried out by the timelock at {0}",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One call that a proposal has the timelock make. `words` are made from `target` and `data`; `value` in wei."""

    target: str
    data: str
    words: str
    value: int = 0


class Measures:
    """Makes what can be proposed on one network, and reads what was."""

    def __init__(self, network: Network) -> None:
        places = {"MarketPolicy": network.policy, "GpuTimelock": network.timelock, "GpuGovernor": network.governor}
        self._names = {address.lower(): name for name, address in places.items()}
        self.policy = MarketPolicy(network.policy)
        self.timelock = GpuTimelock(network.timelock)
        self.governor = GpuGovernor(network.governor)

    def set_fee(self, bps: int) -> Measure:
        """The fee of jobs to come, in basis points, at most 100."""
        return self.of(self.policy.set_fee(bps))

    def set_treasury(self, to: str) -> Measure:
        """Where fees go."""
        return self.of(self.policy.set_treasury(ids.checksummed(to)))

    def set_arbiter(self, who: str) -> Measure:
        """Who decides what is challenged."""
        return self.of(self.policy.set_arbiter(ids.checksummed(who)))

    def set_guardian(self, who: str) -> Measure:
        """Who may stop new jobs."""
        return self.of(self.policy.set_guardian(ids.checksummed(who)))

    def set_attestor(self, who: str, trusted: bool) -> Measure:
        """Whether somebody may attest hardware and work."""
        return self.of(self.policy.set_attestor(ids.checksummed(who), trusted))

    def set_allowance(self, per_day: int) -> Measure:
        """What an attestor may have paid out within a day, in micro-dollars."""
        return self.of(self.policy.set_allowance(per_day))

    def set_bounds(self, tier: int, floor: int, ceiling: int) -> Measure:
        """Between what a tier's rate may be locked, in micro-dollars per GPU-hour; a ceiling of 0 ends its trade."""
        return self.of(self.policy.set_bounds(tier, floor, ceiling))

    def set_delay(self, seconds: int) -> Measure:
        """How long what was voted waits."""
        return self.of(self.timelock.update_delay(seconds))

    def grant(self, role: str, who: str) -> Measure:
        """Give somebody one of ROLES in the timelock."""
        return self.of(self.timelock.grant_role(role_hash(role), ids.checksummed(who)))

    def revoke(self, role: str, who: str) -> Measure:
        """Take one of ROLES in the timelock from somebody."""
        return self.of(self.timelock.revoke_role(role_hash(role), ids.checksummed(who)))

    def of(self, deed: Deed[None]) -> Measure:
        """Any other call that the bindings can say, to the policy, the timelock or the governor."""
        return self.read(deed.address, deed.data, 0)

    def read(self, target: str, data: str, value: int) -> Measure:
        """A measure from the bytes of a proposal, whoever made it."""
        words = _words(self._names.get(target.lower(), ""), data) or f"a call to {target} that this app does not know: {data[:74]}"
        return Measure(target, data, f"{words}; and {value} wei go to {target}" if value else words, value)


def role_hash(role: str) -> str:
    """The name of one of ROLES as the timelock knows it, 0x-hex."""
    from eth_utils.crypto import keccak

    if role not in ROLES:
        raise AppError(f"The timelock has no role {role}.", f"Choose one of {', '.join(ROLES)}.")
    return "0x" + ("00" * 32 if role == "DEFAULT_ADMIN" else bytes(keccak(text=f"{role}_ROLE")).hex())


def _words(contract: str, data: str) -> str | None:
    known = _calls().get((contract, data[:10].lower()))
    if known is None:
        return None
    kinds, saying = known
    try:
        values = decoded(kinds, "0x" + data[10:])
    except AppError:
        return None
    return saying.format(*(_shown(kind, value) for kind, value in zip(kinds, values, strict=True)))


def _shown(kind: str, value: object) -> str:
    if kind == "bytes32" and isinstance(value, bytes):
        return next((role.lower().replace("default_", "") for role in ROLES if role_hash(role) == "0x" + value.hex()), "0x" + value.hex())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ids.checksummed(str(value)) if kind == "address" else str(value)


@cache
def _calls() -> dict[tuple[str, str], tuple[tuple[str, ...], str]]:
    """Contract and selector to argument types and saying."""
    from eth_utils.crypto import keccak

    found = {}
    for (contract, name), saying in _SAYINGS.items():
        entry = next(one for one in abi_of(contract) if one["type"] == "function" and one["name"] == name)
        inputs = entry["inputs"]
        kinds = tuple(str(one["type"]) for one in inputs) if isinstance(inputs, list) else ()
        found[contract, "0x" + bytes(keccak(text=f"{name}({','.join(kinds)})"))[:4].hex()] = (kinds, saying)
    return found
