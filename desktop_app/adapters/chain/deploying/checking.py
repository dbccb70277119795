"""Reads everything back: that the market is what the deployment says, and that whoever deployed it can do nothing any more.

The addresses already vouch for code and constructor arguments; this is the proof for who would rather see the answers, and
the only proof for what was set afterwards. Until the policy is the timelock's, every difference is a fault. From then on the
owners of GPUs may have voted, so a setting that differs is theirs and is told, not refused. Called by `deploying`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.abi import Call
from desktop_app.adapters.chain.bindings.cash_out import CashOut
from desktop_app.adapters.chain.bindings.gpu_registry import GpuRegistry
from desktop_app.adapters.chain.bindings.market_policy import BoundsAnswer
from desktop_app.adapters.chain.bindings.task_escrow import TaskEscrow
from desktop_app.adapters.chain.bindings.test_usdc import TestUSDC
from desktop_app.adapters.chain.deploying.market import NOBODY, Market
from desktop_app.adapters.chain.deploying.node import LOG_RANGE, Node
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd

Fact = tuple[str, Call[int] | Call[str] | Call[bool] | Call[BoundsAnswer], object]
"""What is asked, the question, the answer that is right."""


@dataclass(frozen=True, slots=True)
class Findings:
    """`wrong` may not be; `voted` differs from what the market began with, by the owners' own decision."""

    wrong: tuple[str, ...]
    voted: tuple[str, ...]


def check(node: Node, market: Market, first_block: int, *, done: bool) -> Findings:
    """Everything that is not as the deployment says, in words with both figures; `done`: the deployer should have gone."""
    owner = node.ask(market.policy.owner())
    handed_over = ids.same_address(owner, market.timelock.address)
    wrong = [*_differences(node, _fixed(market)), *_stablecoin(node, market), *_trusted_before(node, market, first_block)]
    wrong += _granted_by_the_deployer(node, market, first_block)
    settings = [*_differences(node, _settings(market))]
    if handed_over:
        wrong += _differences(node, _powerless(market)) if done else ()
        wrong += _never_given(node, market, first_block)
        return Findings(tuple(wrong), (*settings, *_differences(node, _roles(market))))
    if not ids.same_address(owner, market.deployer):
        wrong.append(f"the policy's owner is {owner}, not {market.timelock.address}")
    return Findings((*wrong, *settings), ())


def check_hand_over(node: Node, market: Market) -> Findings:
    """The part of `check` that handing over changes."""
    owner = ("the policy's owner", market.policy.owner(), market.timelock.address)
    return Findings(tuple(_differences(node, (owner, *_powerless(market), *_roles(market)))), ())


def birth(node: Node, market: Market) -> int:
    """The block in which the policy was made, found by walking back from the newest."""
    last = node.head()
    while last >= 0:
        first = max(0, last - LOG_RANGE + 1)
        found = node.events(market.policy.ownership_transferred_logs(previous_owner=NOBODY), first, last)
        if found:
            return found[0].block
        last = first - 1
    raise AppError("The chain does not show when the policy was made.", "Use a node that keeps all events.")


def _fixed(market: Market) -> Iterator[Fact]:
    """What no vote can change."""
    escrow = TaskEscrow(market.escrow)
    yield "the registry's policy", GpuRegistry(market.registry).policy(), market.policy.address
    yield "the escrow's stablecoin", escrow.usdc(), market.usdc
    yield "the escrow's registry", escrow.registry(), market.registry
    yield "the escrow's policy", escrow.policy(), market.policy.address
    yield "the cash-out's stablecoin", CashOut(market.cash_out).usdc(), market.usdc
    yield "the governor's register of votes", market.governor.token(), market.registry
    yield "the stablecoin's number of decimals", TestUSDC(market.usdc).decimals(), 6
    if market.deployment.usdc is None:
        yield "the test money's owner", TestUSDC(market.usdc).owner(), market.deployer


def _settings(market: Market) -> Iterator[Fact]:
    """What the owners may change."""
    terms, rules = market.deployment, market.deployment.governance
    policy, governor = market.policy, market.governor
    yield "the fee in basis points", policy.fee_bps(), terms.network.fee_bps
    yield "the treasury", policy.treasury(), terms.treasury
    yield "the arbiter", policy.arbiter(), terms.arbiter
    yield "the policy's guardian", policy.guardian(), terms.guardian
    yield "an attestor's micro-dollars a day", policy.allowance(), terms.allowance
    for tier, floor, ceiling in terms.bounds():
        yield f"the bounds of tier {tier}", policy.bounds(tier), BoundsAnswer(floor, ceiling)
    for attestor in terms.attestors:
        yield f"whether {attestor} is an attestor", policy.is_attestor(attestor), True
    yield "the timelock's delay", market.timelock.get_min_delay(), rules.delay
    yield "the governor's timelock", governor.timelock(), market.timelock.address
    yield "the seconds before a vote", governor.voting_delay(), rules.voting_delay
    yield "the seconds of a vote", governor.voting_period(), rules.voting_period
    yield "the GPUs needed to propose", governor.proposal_threshold(), rules.threshold
    yield "the quorum in per cent", governor.quorum_numerator_0(), rules.quorum
    yield "the proposals' guardian", governor.proposal_guardian(), rules.guardian


def _roles(market: Market) -> Iterator[Fact]:
    for name, role, holder in market.roles():
        yield f"whether {holder} is the timelock's {name}", market.timelock.has_role(role, holder), True


def _powerless(market: Market) -> Iterator[Fact]:
    """That the deployer holds nothing."""
    for name, role, _holder in market.roles():
        yield f"whether the deployer is the timelock's {name}", market.timelock.has_role(role, market.deployer), False
    yield "whether the deployer is an attestor", market.policy.is_attestor(market.deployer), False


def _differences(node: Node, facts: Iterable[Fact]) -> Iterator[str]:
    for what, call, right in facts:
        said: object = node.ask(call)
        if said != right and not (isinstance(said, str) and isinstance(right, str) and ids.same_address(said, right)):
            yield f"{what} is {_shown(said)}, not {_shown(right)}"


def _shown(value: object) -> str:
    return f"{value.floor} to {value.ceiling}" if isinstance(value, BoundsAnswer) else str(value)


def _stablecoin(node: Node, market: Market) -> Iterator[str]:
    """Whether what is signed here would be taken there."""
    network = market.network()
    sample = ids.cash_out_typed(network, market.usdc, market.usdc, Quote(MicroUsd(0), MicroUsd(0), "0x" + "00" * 32, 0))
    if node.ask(TestUSDC(market.usdc).domain_separator()) != ids.domain_separator(sample):
        yield f"the stablecoin's DOMAIN_SEPARATOR is not that of {network.usdc_name!r}, version {network.usdc_version!r}"


def _never_given(node: Node, market: Market, first_block: int) -> Iterator[str]:
    """Roles that are missing though no vote took them away."""
    for name, role, holder in market.roles():
        if not node.ask(market.timelock.has_role(role, holder)):
            taken = node.events(market.timelock.role_revoked_logs(role, holder), first_block, node.head())
            if not taken:
                yield f"{holder} was never made the timelock's {name}"


def _granted_by_the_deployer(node: Node, market: Market, first_block: int) -> Iterator[str]:
    """Roles in the timelock that the deployer gave, but for the two that the governor is to have."""
    right = {(role, holder) for _name, role, holder in market.roles()}
    for seen in node.events(market.timelock.role_granted_logs(sender=market.deployer), first_block, node.head()):
        given = (seen.event.role, seen.event.account)
        if given not in right and node.ask(market.timelock.has_role(*given)):
            yield f"the deployer gave {given[1]} the timelock's role {given[0]}"


def _trusted_before(node: Node, market: Market, first_block: int) -> Iterator[str]:
    """Attestors that the deployer named before it handed the policy on, and was not asked to."""
    head, policy = node.head(), market.policy
    handed = node.events(policy.ownership_transferred_logs(new_owner=market.timelock.address), first_block, head)
    until = min([(seen.block, seen.place) for seen in handed], default=(head + 1, 0))
    right = {ids.checksummed(one.lower()) for one in market.deployment.attestors}
    for seen in node.events(policy.attestor_set_logs(), first_block, head):
        who = seen.event.account
        if who not in right and (seen.block, seen.place) < until and node.ask(policy.is_attestor(who)):
            yield f"{who} is an attestor, and the deployment names no such one"
