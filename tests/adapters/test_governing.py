"""The owners of GPUs change the market by a vote, through the bindings, on both chains; open jobs keep their fee; nobody else can."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account.signers.local import LocalAccount

from desktop_app.adapters import chain as adapter
from desktop_app.adapters.chain import Chain, Relayer
from desktop_app.adapters.chain.deploying import deploy
from desktop_app.adapters.chain.governing import Governance, Proposal, Side, Stage
from desktop_app.core import money
from desktop_app.core.money import MicroUsd, Units
from desktop_app.wire import eip712
from desktop_app.wire.deployment import Deployment
from desktop_app.wire.eip712 import Registration, Terms, TypedMessage, Voucher
from desktop_app.wire.networks import network_of
from tests.adapters.market_chain import mined, refused
from tests.adapters.two_chains import (
    ARBITER,
    ATTESTOR,
    CHAINS,
    DEPLOYER,
    GUARDIAN,
    OWNER,
    RELAYER,
    RENTER,
    TREASURY,
    Ground,
    signer,
)
from tests.founding import VOTES, terms

RATE, HOUR = 1_500_000, Units(3_600_000)


@dataclass(frozen=True)
class Votes:
    """A founded market with one GPU, and a hand at its votes for everybody."""

    ground: Ground
    chain: Chain
    asked: Deployment

    def of(self, who: LocalAccount = OWNER) -> Governance:
        return Governance(self.chain, who.address, signer(who), wait_s=30)

    @property
    def relayer(self) -> Relayer:
        return Relayer(self.chain, RELAYER.address, signer(RELAYER), wait_s=30)

    def vote_through(self, proposal: Proposal) -> None:
        """From proposing to the deed, each step in its time; each may be asked for again."""
        owner = self.of()
        for step, wait in (
            (owner.propose, VOTES["voting_delay"] + 1), (lambda one: owner.vote(one, Side.FOR, "it is time"), VOTES["voting_period"] + 1),
            (owner.queue, VOTES["delay"] + 1), (self.of(RELAYER).execute, 0),
        ):  # fmt: skip
            assert not mined(step(proposal)).already
            assert mined(step(proposal)).already
            self.ground.wait(wait)

    def open_job(self) -> str:
        asked = Terms(
            renter=RENTER.address, tier=0, gpu=0, rate=RATE, units=HOUR, deadline=int(time.time()) + 86_400, window=0,
            spec_hash="0x" + "11" * 32, salt="0x" + secrets.token_hex(32),
        )  # fmt: skip
        until = int(time.time()) + 80_000
        mined(self.relayer.open_job(asked, until, signed(RENTER, adapter.funding_typed(self.chain.network, asked, until))))
        return adapter.job_id(self.chain.network, asked)

    def paid(self, job: str) -> int:
        """What the owner gets for the whole of a job."""
        before = self.chain.balance(OWNER.address)[0]
        voucher = Voucher(job, 1, HOUR, "0x" + "22" * 32)
        mined(self.relayer.redeem(voucher, signed(RENTER, eip712.voucher(adapter.escrow_domain(self.chain.network), voucher))))
        return self.chain.balance(OWNER.address)[0] - before


def signed(who: LocalAccount, message: TypedMessage) -> str:
    return "0x" + bytes(who.sign_typed_data(full_message=message).signature).hex()


@contextmanager
def founded(name: str, folder: Path) -> Iterator[Votes]:
    with CHAINS[name](folder) as ground:
        asked = terms(ground.url, *(one.address for one in (TREASURY, ARBITER, GUARDIAN, ATTESTOR)))
        there = deploy(asked, DEPLOYER.address, signer(DEPLOYER), wait_s=30).places
        chain = Chain(network_of(asked.network, there))
        try:
            votes = Votes(ground, chain, asked)
            mined(Relayer(chain, DEPLOYER.address, signer(DEPLOYER), 30).mint(RENTER.address, MicroUsd(10**9)))
            gpu = Registration(OWNER.address, "0x" + secrets.token_hex(32), 0, OWNER.address, int(time.time()) + 600)
            vouched = signed(ATTESTOR, eip712.register(adapter.registry_domain(chain.network), gpu))
            mined(votes.relayer.register(gpu, ATTESTOR.address, vouched))
            ground.wait(2)  # votes are counted as of the second before
            yield votes
        finally:
            chain.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Votes]:
    """On Anvil, where time passes when the test says so."""
    with founded("anvil", tmp_path) as votes:
        yield votes


@pytest.mark.parametrize("name", CHAINS)
def test_the_owners_change_the_fee_and_open_jobs_keep_theirs(name: str, tmp_path: Path) -> None:
    with founded(name, tmp_path / "chain") as votes:
        owner = votes.of()
        before = votes.open_job()
        proposal = owner.draft([owner.measures.set_fee(25)], "A quarter of a per cent")
        assert proposal.measures[0].words == "jobs to come pay a fee of 25 basis points"
        assert owner.stage(proposal) is None
        assert owner.votes(OWNER.address) == 1
        votes.vote_through(proposal)
        assert owner.stage(proposal) is Stage.EXECUTED
        assert owner.proposals() == (proposal,)
        after = votes.open_job()
        assert [votes.paid(job) for job in (before, after)] == [money.net(HOUR, RATE, bps) for bps in (10, 25)]
        mined(votes.relayer.sweep_fees([before, after]))
        whole = money.gross(HOUR, RATE)
        assert votes.chain.balance(TREASURY.address)[0] == money.fee(whole, 10) + money.fee(whole, 25)
        again = deploy(votes.asked, DEPLOYER.address, signer(DEPLOYER), wait_s=30)
        assert (again.sent, again.voted) == (0, ("the fee in basis points is 25, not 10",))


def test_who_owns_no_gpu_decides_nothing(quick: Votes) -> None:
    deployer, owner = quick.of(DEPLOYER), quick.of()
    wanted = deployer.draft([deployer.measures.set_fee(100)], "For the deployer")
    assert refused(deployer.propose(wanted)).error == "GovernorInsufficientProposerVotes"
    mine = owner.draft([owner.measures.set_treasury(OWNER.address)], "For the owner")
    mined(owner.propose(mine))
    quick.ground.wait(2)
    mined(deployer.vote(mine, Side.FOR))  # counts for nothing
    quick.ground.wait(VOTES["voting_period"] + 1)
    standing = owner.standing(mine)
    assert standing is not None
    assert (standing.stage, standing.votes_for, standing.quorum) == (Stage.DEFEATED, 0, 0)
    assert "voted down" in standing.words
    assert refused(deployer.queue(mine)).error == "GovernorUnexpectedProposalState"
    policy = quick.chain.client.policy
    for deed in (policy.set_fee(25), policy.transfer_ownership(DEPLOYER.address)):
        assert refused(Relayer(quick.chain, DEPLOYER.address, signer(DEPLOYER), 30).send(deed)).error == "OwnableUnauthorizedAccount"


def test_nothing_is_done_before_its_time(quick: Votes) -> None:
    owner = quick.of()
    proposal = owner.draft([owner.measures.set_bounds(0, 1, 2), owner.measures.set_attestor(OWNER.address, True)], "Two at once")
    mined(owner.propose(proposal))
    assert told(owner, proposal).startswith("the vote begins at")
    assert refused(owner.vote(proposal, Side.FOR)).error == "GovernorUnexpectedProposalState"
    quick.ground.wait(2)
    assert told(owner, proposal).startswith("the vote lasts until")
    mined(owner.vote(proposal, Side.FOR))
    assert refused(owner.queue(proposal)).error == "GovernorUnexpectedProposalState"
    quick.ground.wait(VOTES["voting_period"] + 1)
    assert told(owner, proposal) == "it was voted for, and anyone may have it wait its time: 1 for, 0 against, 0 abstaining"
    mined(owner.queue(proposal))
    assert told(owner, proposal).startswith("it waits until")
    assert refused(owner.execute(proposal)).error == "TimelockUnexpectedOperationState"
    quick.ground.wait(3)
    assert told(owner, proposal) == "its time has come, and anyone may have it done"
    mined(owner.execute(proposal))
    assert told(owner, proposal) == "it was done"
    assert quick.chain.client.view(quick.chain.client.policy.is_attestor(OWNER.address))


def test_a_proposal_is_called_off_by_its_proposer_or_the_guardian_and_nobody_else(quick: Votes) -> None:
    owner, guardian = quick.of(), quick.of(GUARDIAN)
    quick.ground.ask("anvil_setBalance", GUARDIAN.address, hex(10**18))
    one = owner.draft([owner.measures.set_fee(1)], "One")
    mined(owner.propose(one))
    assert refused(quick.of(RELAYER).cancel(one)).error == "GovernorUnableToCancel"
    assert not mined(guardian.cancel(one)).already
    assert mined(owner.cancel(one)).already
    assert told(owner, one) == "it was called off"


def test_nobody_makes_anothers_proposal_first(quick: Votes) -> None:
    owner = quick.of()
    mine = owner.draft([owner.measures.set_fee(2)], "Mine")
    assert refused(quick.of(RELAYER).propose(mine)).error == "GovernorRestrictedProposer"
    assert not mined(owner.propose(mine)).already


def test_words_are_made_from_the_bytes_and_not_from_the_description(quick: Votes) -> None:
    owner = quick.of()
    measures = owner.measures
    said = [
        measures.set_attestor(OWNER.address, True).words,
        measures.grant("PROPOSER", OWNER.address).words,
        measures.grant("DEFAULT_ADMIN", OWNER.address).words,
        measures.read(OWNER.address, "0xdeadbeef" + "00" * 32, 5).words,
        measures.read(quick.chain.network.policy, "0x8e00555319", 0).words,
    ]
    assert said == [
        f"whether {OWNER.address} may attest hardware and work: yes",
        f"{OWNER.address} becomes the timelock's proposer",
        f"{OWNER.address} becomes the timelock's admin",
        f"a call to {OWNER.address} that this app does not know: 0xdeadbeef{'00' * 32}; and 5 wei go to {OWNER.address}",
        f"a call to {quick.chain.network.policy} that this app does not know: 0x8e00555319",
    ]


def told(who: Governance, proposal: Proposal) -> str:
    standing = who.standing(proposal)
    assert standing is not None
    return standing.words
