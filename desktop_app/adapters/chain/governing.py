"""`Governance`: the owners of GPUs propose, vote, and have done what was voted.

Every deed is safe to ask for twice: one that was done before is a success that sends nothing. A contract's no comes back as
`Refused`; AppError means that the chain is silent, slow, or not the profile's. All methods block, so the roots run them in
threads. Called by the roots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.flights import Sign
from desktop_app.adapters.chain.measures import Measure, Measures
from desktop_app.adapters.chain.reading import Chain
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.adapters.chain.sending import WAIT_S, Mined, Sender

_MOST_DESCRIPTION: Final = 2_000


class Stage(IntEnum):
    """How far a proposal is, as the governor counts."""

    PENDING = 0
    ACTIVE = 1
    CANCELLED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


class Side(IntEnum):
    """What a vote is for."""

    AGAINST = 0
    FOR = 1
    ABSTAIN = 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was proposed. Its id follows from measures and description, so that the same is never proposed twice."""

    id: int
    measures: tuple[Measure, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a proposal stands. Times in unix seconds; votes and `quorum` in GPUs, the quorum as of the vote's beginning."""

    stage: Stage
    proposer: str
    votes_for: int
    votes_against: int
    votes_abstain: int
    quorum: int
    begins: int
    ends: int
    due: int  # when what was voted may be done; 0: not queued
    now: int  # the chain's time

    @property
    def words(self) -> str:
        """One sentence for a person."""
        counted = f"{self.votes_for} for, {self.votes_against} against, {self.votes_abstain} abstaining"
        match self.stage:
            case Stage.PENDING:
                return f"the vote begins at {_moment(self.begins)}"
            case Stage.ACTIVE:
                return f"the vote lasts until {_moment(self.ends)}: {counted}; {self.quorum} must take part"
            case Stage.CANCELLED:
                return "it was called off"
            case Stage.DEFEATED:
                return f"it was voted down: {counted}; {self.quorum} had to take part"
            case Stage.SUCCEEDED:
                return f"it was voted for, and anyone may have it wait its time: {counted}"
            case Stage.QUEUED:
                return "its time has come, and anyone may have it done" if self.now >= self.due else f"it waits until {_moment(self.due)}"
            case Stage.EXPIRED:
                return "its time ran out"
            case Stage.EXECUTED:
                return "it was done"


class Governance:
    """One address that takes part in the votes of one market."""

    def __init__(self, chain: Chain, address: str, sign: Sign, wait_s: float = WAIT_S) -> None:
        self._client = chain.client
        self._sender = Sender(chain.client, address, sign, wait_s)
        self.measures = Measures(chain.network)

    def draft(self, measures: Sequence[Measure], description: str) -> Proposal:
        """A proposal of this address's own: nobody else can make it first, and so call it off."""
        return self._proposal(tuple(measures), f"{description[:_MOST_DESCRIPTION]}\n#proposer={self._sender.address.lower()}")

    def propose(self, proposal: Proposal) -> Mined | Refused:
        """Put it to the vote; takes the threshold's number of GPUs."""
        if self._client.view(self._client.governor.proposal_snapshot(proposal.id)):
            return _already()
        targets, values, calls = _parts(proposal)
        return self._sender.send(self._client.governor.propose(targets, values, calls, proposal.description))

    def vote(self, proposal: Proposal, side: Side, reason: str = "") -> Mined | Refused:
        """Cast this address's votes; what was cast stays."""
        if self._client.view(self._client.governor.has_voted(proposal.id, self._sender.address)):
            return _already()
        deed = self._client.governor.cast_vote_with_reason(proposal.id, int(side), reason[:_MOST_DESCRIPTION])
        return self._sender.send(deed)

    def queue(self, proposal: Proposal) -> Mined | Refused:
        """Have what was voted wait its time in the timelock. Anyone may."""
        if self.stage(proposal) in (Stage.QUEUED, Stage.EXECUTED):
            return _already()
        return self._sender.send(self._client.governor.queue(*_parts(proposal), _hash(proposal.description)))

    def execute(self, proposal: Proposal) -> Mined | Refused:
        """Have done what was voted and has waited. Anyone may."""
        if self.stage(proposal) is Stage.EXECUTED:
            return _already()
        return self._sender.send(self._client.governor.execute(*_parts(proposal), _hash(proposal.description)))

    def cancel(self, proposal: Proposal) -> Mined | Refused:
        """Call it off: the proposer before the vote begins, the guardian until it is done."""
        if self.stage(proposal) is Stage.CANCELLED:
            return _already()
        return self._sender.send(self._client.governor.cancel(*_parts(proposal), _hash(proposal.description)))

    def stage(self, proposal: Proposal) -> Stage | None:
        """How far it is; None: it was not proposed."""
        if not self._client.view(self._client.governor.proposal_snapshot(proposal.id)):
            return None
        return Stage(self._client.view(self._client.governor.state(proposal.id)))

    def standing(self, proposal: Proposal) -> Standing | None:
        """Where it stands, in figures and words; None: it was not proposed."""
        stage, view, governor = self.stage(proposal), self._client.view, self._client.governor
        if stage is None:
            return None
        votes, begins = view(governor.proposal_votes(proposal.id)), view(governor.proposal_snapshot(proposal.id))
        now = self._client.block("latest").time
        begun = begins < now  # before, nobody can say how many GPUs there are at its beginning
        return Standing(
            stage=stage, proposer=view(governor.proposal_proposer(proposal.id)), votes_for=votes.for_votes,
            votes_against=votes.against_votes, votes_abstain=votes.abstain_votes, quorum=view(governor.quorum(begins)) if begun else 0,
            begins=begins, ends=view(governor.proposal_deadline(proposal.id)), due=view(governor.proposal_eta(proposal.id)), now=now,
        )  # fmt: skip

    def votes(self, account: str) -> int:
        """How many GPUs vote as this account says, now."""
        return self._client.view(self._client.registry.get_votes(ids.checksummed(account)))

    def proposals(self) -> tuple[Proposal, ...]:
        """All that was ever proposed, oldest first."""
        wanted, head = self._client.governor.proposal_created_logs(), self._client.block_number()
        found = []
        for seen in self._client.events(wanted, self._client.network.first_block, head):
            made = seen.event
            calls = zip(made.targets, made.calldatas, made.values, strict=True)
            found.append(Proposal(made.proposal_id, tuple(self.measures.read(*call) for call in calls), made.description))
        return tuple(found)

    def _proposal(self, measures: tuple[Measure, ...], description: str) -> Proposal:
        draft = Proposal(0, measures, description)
        known = self._client.view(self._client.governor.hash_proposal(*_parts(draft), _hash(description)))
        return Proposal(known, measures, description)


def _parts(proposal: Proposal) -> tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...]]:
    made = proposal.measures
    return tuple(one.target for one in made), tuple(one.value for one in made), tuple(one.data for one in made)


def _hash(description: str) -> str:
    from eth_utils.crypto import keccak

    return "0x" + bytes(keccak(text=description)).hex()


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "the end of time"


def _already() -> Mined:
    return Mined("", 0, 0, already=True)
