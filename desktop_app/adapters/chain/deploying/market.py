"""A market to be founded, worked out before anything is sent: its contracts, where each will be, and what is still to do.

Whoever knows the deployment and the deployer's address knows every address here (EIP-1014). What is still to do follows
from what the chain shows, never from a diary, so that a run cut short is simply done again. Called by `deploying`.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.abi import Call, Deed
from desktop_app.adapters.chain.bindings.gpu_governor import GpuGovernor
from desktop_app.adapters.chain.bindings.gpu_timelock import GpuTimelock
from desktop_app.adapters.chain.bindings.market_policy import MarketPolicy
from desktop_app.adapters.chain.deploying.artefacts import (
    FACTORY,
    FACTORY_CODE,
    FACTORY_PRICE,
    FACTORY_SIGNER,
    FACTORY_TRANSACTION,
    Artefact,
    address_of,
    artefact,
)
from desktop_app.core.errors import AppError
from desktop_app.wire.deployment import Deployment
from desktop_app.wire.networks import Network, Places, network_of

NOBODY: Final = "0x" + "00" * 20
ADMIN: Final = "0x" + "00" * 32
"""OpenZeppelin's DEFAULT_ADMIN_ROLE."""

_CALL_GAS: Final = 80_000
_TRANSFER_GAS: Final = 21_000
_CONSTRUCTOR_GAS: Final = 300_000  # what our constructors write, at most

_T = TypeVar("_T")


class Phase(IntEnum):
    """What must be on the chain before the next can be sent; within one, order is enough."""

    FUND = 0
    FACTORY = 1
    CREATE = 2
    SETTLE = 3  # and what creation asks of other contracts
    HAND_OVER = 4


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction. `usual_gas` is a bound for when the chain cannot estimate it yet; `raw` was signed by nobody's key."""

    what: str
    phase: Phase
    to: str
    data: str  # 0x-hex
    usual_gas: int = _CALL_GAS
    value: int = 0
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Piece:
    """One contract of the market."""

    artefact: Artefact
    creation: bytes
    salt: bytes
    address: str
    phase: Phase

    def step(self) -> Step:
        words = (len(self.creation) + 31) // 32
        gas = 53_000 + 17 * len(self.creation) + 2 * words + 200 * len(self.artefact.runtime) + _CONSTRUCTOR_GAS
        data = "0x" + (self.salt + self.creation).hex()
        return Step(f"create {self.artefact.name} at {self.address}", self.phase, FACTORY, data, gas)


class Asked(Protocol):
    """What this module wants of a node."""

    def code(self, address: str) -> bytes: ...
    def balance(self, address: str) -> int: ...
    def ask(self, call: Call[_T]) -> _T: ...


class Market:
    """The whole of it. `pieces` are in the order of their creation; `policy`, `timelock` and `governor` can be asked.

    The policy's salt is the hash of the terms that its constructor does not see, and the timelock's is the policy's address,
    so that markets of different terms share nothing that has an owner.
    """

    def __init__(self, deployment: Deployment, deployer: str) -> None:
        self.deployment, self.deployer = deployment, ids.checksummed(deployer)
        terms, rules = deployment, deployment.governance
        start = (self.deployer, terms.treasury, terms.arbiter, terms.guardian, terms.attestors[0], terms.network.fee_bps, terms.allowance)
        money = None if terms.usdc else _piece("TestUSDC", self.deployer)
        self.usdc = money.address if money else ids.checksummed(str(terms.usdc))
        policy = _piece("MarketPolicy", tuple(one.lower() if isinstance(one, str) else one for one in start), salt=_rest(terms))
        registry = _piece("GpuRegistry", policy.address)
        timelock = _piece("GpuTimelock", rules.delay, [], [NOBODY], self.deployer, salt=bytes.fromhex(policy.address[2:]).rjust(32, b"\0"))
        cash_out = _piece("CashOut", self.usdc)
        escrow = _piece("TaskEscrow", self.usdc, registry.address, phase=Phase.SETTLE)
        votes = (rules.voting_delay, rules.voting_period, rules.threshold, rules.quorum, rules.guardian.lower())
        governor = _piece("GpuGovernor", registry.address, timelock.address, votes, phase=Phase.SETTLE)
        self.pieces = (*((money,) if money else ()), policy, registry, timelock, cash_out, escrow, governor)
        self.registry, self.escrow, self.cash_out = registry.address, escrow.address, cash_out.address
        self.policy, self.timelock = MarketPolicy(policy.address), GpuTimelock(timelock.address)
        self.governor = GpuGovernor(governor.address)

    def places(self, first_block: int) -> Places:
        """Where everything is, for the network's profile."""
        return Places(
            rpc_urls=self.deployment.rpc_urls, usdc=self.usdc, policy=self.policy.address, registry=self.registry, escrow=self.escrow,
            cash_out=self.cash_out, timelock=self.timelock.address, governor=self.governor.address,
            attestor=ids.checksummed(self.deployment.attestors[0].lower()), nats_urls=self.deployment.nats_urls, first_block=first_block,
        )  # fmt: skip

    def network(self) -> Network:
        """The network that it becomes."""
        return network_of(self.deployment.network, self.places(0))

    def roles(self) -> tuple[tuple[str, str, str], ...]:
        """Name, role and holder of every role in the timelock, once the deployer has gone."""
        proposer, canceller, executor = (_role(name) for name in ("PROPOSER", "CANCELLER", "EXECUTOR"))
        return (
            ("admin", ADMIN, self.timelock.address),
            ("proposer", proposer, self.governor.address),
            ("canceller", canceller, self.governor.address),
            ("executor", executor, NOBODY),
        )

    def remaining(self, node: Asked) -> tuple[Step, ...]:
        """Every transaction that is still to be sent, in order. Raises AppError where something else stands in our place."""
        steps = _factory(node)
        found = {piece.address: node.code(piece.address) for piece in self.pieces}
        for piece in self.pieces:
            if not found[piece.address]:
                steps.append(piece.step())
            elif not piece.artefact.left(found[piece.address]):
                raise _stranger(piece.address, piece.artefact.name)
        ruled, timed = bool(found[self.policy.address]), bool(found[self.timelock.address])
        ours = not ruled or ids.same_address(node.ask(self.policy.owner()), self.deployer)
        admin = not timed or node.ask(self.timelock.has_role(ADMIN, self.deployer))
        if ours:
            steps += self._settings(node if ruled else None)
        if admin:
            steps += self._grants(node if timed else None)
        if ours:
            steps.append(_call("hand the policy to the timelock", self.policy.transfer_ownership(self.timelock.address), Phase.HAND_OVER))
        if admin:
            steps.append(_call("give up the deployer's own role", self.timelock.renounce_role(ADMIN, self.deployer), Phase.HAND_OVER))
        return tuple(steps)

    def _settings(self, node: Asked | None) -> list[Step]:
        """What the policy is not yet told; `node` is None while there is no policy."""
        steps = []
        for tier, floor, ceiling in self.deployment.bounds():
            known = node.ask(self.policy.bounds(tier)) if node else None
            if (known.floor, known.ceiling) != (floor, ceiling) if known else ceiling:
                what = f"keep tier {tier} between {floor} and {ceiling} micro-dollars an hour"
                steps.append(_call(what, self.policy.set_bounds(tier, floor, ceiling)))
        untold = [one for one in self.deployment.attestors[1:] if not (node and node.ask(self.policy.is_attestor(one)))]
        return steps + [_call(f"trust the attestor {one}", self.policy.set_attestor(one, True)) for one in untold]

    def _grants(self, node: Asked | None) -> list[Step]:
        """What the governor may not yet do in the timelock; `node` is None while there is no timelock."""
        return [
            _call(f"make the governor {name}", self.timelock.grant_role(role, who))
            for name, role, who in self.roles()
            if name in ("proposer", "canceller") and not (node and node.ask(self.timelock.has_role(role, who)))
        ]


def _factory(node: Asked) -> list[Step]:
    """What brings the factory to a chain that has none."""
    code = node.code(FACTORY)
    if code == FACTORY_CODE:
        return []
    if code:
        raise _stranger(FACTORY, "the factory")
    steps = []
    if (missing := FACTORY_PRICE - node.balance(FACTORY_SIGNER)) > 0:
        steps.append(Step("pay for the factory's transaction", Phase.FUND, FACTORY_SIGNER, "0x", _TRANSFER_GAS, value=missing))
    steps.append(Step(f"create the factory at {FACTORY}", Phase.FACTORY, FACTORY, "0x", 0, raw=FACTORY_TRANSACTION))
    return steps


def _call(what: str, deed: Deed[None], phase: Phase = Phase.SETTLE) -> Step:
    return Step(what, phase, deed.address, deed.data)


def _piece(name: str, *arguments: object, phase: Phase = Phase.CREATE, salt: bytes = bytes(32)) -> Piece:
    made = artefact(name)
    creation = made.creation(*arguments)
    return Piece(made, creation, salt, address_of(creation, salt), phase)


def _rest(terms: Deployment) -> bytes:
    """What the policy is told after its creation, and how votes are held, in 32 bytes."""
    rules = terms.governance
    votes = [rules.delay, rules.voting_delay, rules.voting_period, rules.threshold, rules.quorum, rules.guardian.lower()]
    return hashlib.sha256(json.dumps([terms.bounds(), [one.lower() for one in terms.attestors], votes]).encode()).digest()


def _role(name: str) -> str:
    from eth_utils.crypto import keccak

    return "0x" + bytes(keccak(text=f"{name}_ROLE")).hex()


def _stranger(address: str, name: str) -> AppError:
    return AppError(f"The code at {address} is not that of {name}.", "The node lies, or its chain is none of Ethereum's kind; use another.")
