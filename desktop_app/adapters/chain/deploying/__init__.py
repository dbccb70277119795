"""Founds a market on a chain: its contracts at addresses known beforehand, handed to the GPUs' owners for good.

`deploy` sends what the chain does not show yet and nothing else, so that it may be run again at any time; `plan` says what
that would be. Both compare all that is there with the deployment. No key comes here: the caller signs. Called by the roots
that found markets, `desktop_app/deploy.py` and the practice network's office.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.deploying.artefacts import FACTORY_PRICE, FACTORY_SIGNER
from desktop_app.adapters.chain.deploying.checking import Findings, birth, check, check_hand_over
from desktop_app.adapters.chain.deploying.market import Market, Phase, Step
from desktop_app.adapters.chain.deploying.node import WAIT_S, No, Node, Sign
from desktop_app.core.errors import AppError
from desktop_app.wire.deployment import Deployment
from desktop_app.wire.networks import Places

__all__ = ["FACTORY_PRICE", "FACTORY_SIGNER", "Deployed", "Planned", "Step", "deploy", "places", "plan"]

_MOST_ROUNDS: Final = 2 * len(Phase)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A founded market. `sent` counts the transactions of this run, `gas` what they took; `voted`: what its owners changed since."""

    places: Places
    sent: int
    gas: int
    voted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would send: each step with its gas, exact or at most. Prices in wei; `ether` is what the deployer has."""

    places: Places
    steps: tuple[tuple[Step, int, bool], ...]
    gas_price: int
    ether: int

    @property
    def gas(self) -> int:
        return sum(gas for _step, gas, _exact in self.steps)

    @property
    def cost(self) -> int:
        """Wei, at most."""
        return self.gas * self.gas_price + sum(FACTORY_PRICE for step, _gas, _exact in self.steps if step.raw)


def places(deployment: Deployment, deployer: str) -> Places:
    """Where everything will be; no chain is asked."""
    return Market(deployment, _allowed(deployment, deployer)).places(0)


def plan(deployment: Deployment, deployer: str) -> Planned:
    """What `deploy` would send now. Sends nothing. Raises AppError for what `deploy` would refuse."""
    market = Market(deployment, _allowed(deployment, deployer))
    with _node(deployment, WAIT_S) as node:
        steps = market.remaining(node)
        price = node.price()[0]
        priced = tuple((step, *_gas(node, step, market.deployer, bool(node.code(step.to)))) for step in steps)
        if not any(step.phase < Phase.HAND_OVER for step in steps):
            _require_right(check(node, market, birth(node, market), done=not steps))
        return Planned(market.places(0), priced, price, node.balance(market.deployer))


def deploy(
    deployment: Deployment,
    deployer: str,
    sign: Sign,
    tell: Callable[[str], None] = lambda _line: None,
    *,
    first_block: int | None = None,
    own: bool = False,
    wait_s: float = WAIT_S,
) -> Deployed:
    """Send what is missing, compare all that is there, and leave the deployer with nothing.

    `first_block` spares the search for the market's first block where it is known. On a chain of one's `own` the gas is known
    too, so that almost everything goes into one block, and of a market that was founded before only the code is looked at.
    Raises AppError with the exact difference when the market that is there is not the deployment's; nothing is handed over
    then.
    """
    market = Market(deployment, _allowed(deployment, deployer))
    with _node(deployment, wait_s) as node:
        sent, gas, last = 0, 0, None
        for _ in range(_MOST_ROUNDS):
            node.settle(market.deployer)  # what an earlier run sent may still be to come, and would be sent again
            batch = _next_batch(market.remaining(node), own)
            if not batch:
                break
            if (last := batch[0].phase) is Phase.HAND_OVER:
                _require_right(check(node, market, _born(node, market, first_block), done=False))
            for step in batch:
                tell(step.what)
            gas += node.send(batch, market.deployer, sign, guess=own)
            sent += len(batch)
        else:
            raise AppError("The chain forgets what was sent to it.", "Use another node; then run this again.")
        born = _born(node, market, first_block)
        if last is Phase.HAND_OVER:
            findings = check_hand_over(node, market)
        else:
            findings = check(node, market, born, done=True) if sent or not own else Findings((), ())
        _require_right(findings)
        return Deployed(market.places(born), sent, gas, findings.voted)


def _next_batch(steps: tuple[Step, ...], own: bool) -> tuple[Step, ...]:
    """What can be sent together now."""
    first = steps[0].phase if steps else Phase.HAND_OVER
    last = Phase.SETTLE if own and Phase.FUND < first < Phase.SETTLE else first
    return tuple(step for step in steps if step.phase <= last)


def _born(node: Node, market: Market, first_block: int | None) -> int:
    return birth(node, market) if first_block is None else first_block


def _gas(node: Node, step: Step, deployer: str, there: bool) -> tuple[int, bool]:
    """Gas for a step, and whether the chain could say."""
    if step.raw or not (there or step.value):
        return step.usual_gas, False
    try:
        return node.estimate(step, deployer), True
    except No:
        return step.usual_gas, False  # what it builds on is not there yet


def _allowed(deployment: Deployment, deployer: str) -> str:
    """The deployer, checksummed, if it is to have no power afterwards."""
    named = (deployment.arbiter, deployment.guardian, deployment.governance.guardian, *deployment.attestors)
    if any(ids.same_address(deployer, one) for one in named):
        raise AppError("The deployer may hold no office in the market.", "Name others as arbiter, guardians and attestors.")
    return ids.checksummed(deployer)


def _require_right(findings: Findings) -> None:
    if findings.wrong:
        differences = "; ".join(findings.wrong)
        raise AppError(f"The market on this chain is not the deployment's: {differences}.", "This run handed nothing over; found another.")


@contextlib.contextmanager
def _node(deployment: Deployment, wait_s: float) -> Iterator[Node]:
    node = Node(deployment.rpc_urls, deployment.network.chain_id, wait_s)
    try:
        yield node
    finally:
        node.close()
