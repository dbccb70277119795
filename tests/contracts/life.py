"""The chain and the model side by side: every action is done in both, and both must say the same and end the same.

Called by the state machine `test_life` and by the benchmark `money_road`; the actions themselves are in `life_jobs`,
`life_gpus` and `life_market`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from eth_utils.crypto import keccak
from web3.contract.contract import ContractFunction

from tests.contracts.market import ALLOWANCE, DAY, FEE_BPS, MOST_RATE, OTHER_TIER, TIER, Market
from tests.contracts.model import ESCROW, Model
from tests.contracts.model_gpus import Refusal
from tests.contracts.people import ATTESTOR, OWNER, STRANGER, TREASURY, Person
from tests.contracts.refusals import Refused
from tests.contracts.solidity.sources import deploy_here

PURSE = 5_000_000_000
"""What each renter has at the beginning: enough for most jobs, not for all."""
_Thing = TypeVar("_Thing")
SLICE = 200
"""As many things are read from the chain in one call."""


@dataclass(frozen=True)
class Crowd:
    """Who takes part. Nobody here needs ether unless an action of its own hand is among those played."""

    renters: tuple[Person, ...]
    owners: tuple[Person, ...]
    """Hold GPUs and shares of them."""

    @property
    def everybody(self) -> tuple[Person, ...]:
        return (*self.renters, *self.owners, STRANGER, ATTESTOR, TREASURY)

    def named(self, address: str) -> Person:
        (found,) = (one for one in self.everybody if one.address == address)
        return found


class Life:
    """A market in which `crowd` lives. `counts` says how often each action was done, and how often refused with what."""

    def __init__(self, market: Market, crowd: Crowd, modules: Path) -> None:
        self.market, self.crowd = market, crowd
        self.look = deploy_here(market, modules, "Look", market.usdc.address, market.escrow.address)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.serial = 0

    def begin(self) -> None:
        """Money for the renters' purses, and a model of the market as it is then; to be called before anything else."""
        self.model = Model(TREASURY.address, FEE_BPS, ALLOWANCE)
        self.model.trusted = {ATTESTOR.address}
        self.model.bounds = dict.fromkeys((TIER, OTHER_TIER), (1, MOST_RATE))
        self.model.gpus.register(OWNER.address, keccak(text="first"), TIER, OWNER.address)  # the market's own, not played with
        for renter in self.crowd.renters:
            self.market.mint(renter.address, PURSE)
            self.model.money[renter.address] = PURSE
        self.now = self.market.now

    def both(self, act: str, in_model: Callable[[int], object], call: ContractFunction, by: Person = STRANGER) -> bool:
        """Does it in the model and on the chain in the same second; whether it was done and not refused."""
        said = found = ""
        try:
            in_model(self.now)
        except Refusal as refusal:
            said = refusal.error
        try:
            self.market.send(by, call)
        except Refused as refused:
            found = refused.name
        assert found == said, f"{act}: the chain says {found or 'yes'}, the model {said or 'yes'}"
        self.now += 1
        self.counts[act, said] += 1
        return not said

    def travel(self, to: int) -> None:
        """The next action happens at second `to`."""
        if to > self.now:
            self.market.travel(to)
            self.now = to

    def number(self) -> int:
        """One that was never given before, for salts and names."""
        self.serial += 1
        return self.serial

    def check(self, jobs: Sequence[bytes] | None = None) -> int:
        """Micro-dollars by which chain and model differ, summed over all accounts; everything else must be equal. Looks at
        every job, or at these."""
        model = self.model
        assert self.market.now == self.now
        off = self._money()
        assert model.in_escrow() == model.money[ESCROW]
        for some in _slices(list(model.jobs) if jobs is None else jobs):
            found, claims = self.look.functions.jobs(some).call()
            for job, record, claim in zip(some, found, claims, strict=True):
                self._same_job(job, tuple(record), tuple(claim))
        pairs = [pair for pair in model.paid if jobs is None or pair[0] in jobs]
        for part in _slices(pairs):
            units = self.look.functions.paid([job for job, _ in part], [account for _, account in part]).call()
            assert units == [model.paid[pair] for pair in part]
        return off

    def _money(self) -> int:
        model = self.model
        names = {self.market.escrow.address: ESCROW} | {one.address: one.address for one in self.crowd.everybody}
        names[self.market.cash_out.address] = self.market.cash_out.address
        held, owed, fees = self.look.functions.money(list(names)).call()
        off: int = sum(abs(have - model.money[name]) for have, name in zip(held, names.values(), strict=True))
        off += sum(abs(have - model.owed[name]) for have, name in zip(owed, names.values(), strict=True))
        return off + abs(int(fees) - model.accrued)

    def _same_job(self, job: bytes, record: tuple[object, ...], claim: tuple[object, ...]) -> None:
        held = self.model.jobs[job]
        terms = held.terms
        assert record == (
            terms.renter, terms.rate, terms.gpu, terms.tier, held.held, held.fees, held.units, held.used, held.deadline, held.fee_bps,
        )  # fmt: skip
        made = self.model.claims.get(job)
        stage = (2 if made.challenged else 1) if made else 3 if job in self.model.barred else 0
        assert claim == ((made.account, made.units, made.due, stage) if made else (0, 0, 0, stage))


def usual_jumps(life: Life) -> list[int]:
    """The seconds at which something changes, and the ones beside them: later than now, soonest first."""
    model, edges = life.model, {life.now + 60, life.now + DAY}
    for job, held in model.jobs.items():
        if held.deadline:
            edges |= {held.deadline, held.deadline + 1, held.deadline + DAY, held.deadline + DAY + 1}
        if job in model.claims:
            edges |= {model.claims[job].due, model.claims[job].due + 1}
    return sorted(edge for edge in edges if edge > life.now)


def give_allowances(life: Life) -> None:
    """Every renter lets the escrow take what it likes, so that opening by hand needs no second step."""
    for renter in life.crowd.renters:
        life.market.send(renter, life.market.usdc.functions.approve(life.market.escrow.address, 2**256 - 1))
        life.now += 1


def _slices(things: Sequence[_Thing]) -> list[Sequence[_Thing]]:
    return [things[at : at + SLICE] for at in range(0, len(things), SLICE)]
