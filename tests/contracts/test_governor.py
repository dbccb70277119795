"""The owners of GPUs govern: a proposal's whole way, and every shortcut that must be closed."""

import pytest

from desktop_app.core import money
from tests.contracts.dao import (
    ACTIVE,
    AGAINST,
    CANCELED,
    DEFEATED,
    EXECUTED,
    PENDING,
    QUEUED,
    SUCCEEDED,
    TIMELOCK_DELAY,
    VOTING_DELAY,
    Dao,
    Proposal,
)
from tests.contracts.market import FEE_BPS, RATE, UNITS, Market
from tests.contracts.people import ANNE, BOB, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused

NOBODY = "0x" + "0" * 40


@pytest.fixture
def dao(market: Market) -> Dao:
    """OWNER has two votes, ANNE and BOB one each."""
    market.register(OWNER, "second")
    market.register(ANNE, "third")
    market.register(BOB, "fourth")
    return Dao(market)


@pytest.fixture
def fee(dao: Dao) -> Proposal:
    return dao.proposal(dao.market.policy.functions.setFee(50))


def test_owners_change_the_fee_and_open_jobs_keep_theirs(dao: Dao, fee: Proposal, market: Market) -> None:
    old = market.open(market.terms(1, deadline=market.now + 10**7))
    dao.propose(OWNER, fee)
    assert dao.state(fee) == PENDING
    dao.open_vote()
    dao.vote(OWNER, fee)
    assert dao.state(fee) == ACTIVE
    dao.vote(ANNE, fee, AGAINST)
    dao.end_vote()
    dao.queue(fee)
    assert dao.state(fee) == QUEUED
    due = market.now - 1 + TIMELOCK_DELAY
    market.travel(due - 1)
    with refused("TimelockUnexpectedOperationState"):
        dao.execute(fee)
    dao.execute(fee)
    assert (dao.state(fee), market.policy.functions.feeBps().call()) == (EXECUTED, 50)
    new = market.open(market.terms(2))
    for job in (old, new):
        market.redeem(RENTER, job, UNITS)
    gross = money.gross(UNITS, RATE)
    assert [market.job(job).fees for job in (old, new)] == [money.fee(gross, FEE_BPS), money.fee(gross, 50)]


def test_nobody_else_changes_the_policy_any_more(dao: Dao) -> None:
    for who in (DEPLOYER, OWNER, GUARDIAN):
        with refused("OwnableUnauthorizedAccount", who.address):
            dao.market.send(who, dao.market.policy.functions.setFee(50))
    calls = dao.timelock.functions
    with refused("AccessControlUnauthorizedAccount"):
        dao.market.send(DEPLOYER, calls.grantRole(calls.PROPOSER_ROLE().call(), DEPLOYER.address))
    with refused("AccessControlUnauthorizedAccount"):
        data = dao.market.policy.encode_abi("setFee", [50])
        arguments = (dao.market.policy.address, 0, data, b"\0" * 32, b"\0" * 32, TIMELOCK_DELAY)
        dao.market.send(OWNER, calls.schedule(*arguments))
    with refused("TimelockUnauthorizedCaller", OWNER.address):
        dao.market.send(OWNER, calls.updateDelay(0))


def test_only_an_owner_of_a_gpu_proposes(dao: Dao, fee: Proposal) -> None:
    with refused("GovernorInsufficientProposerVotes", STRANGER.address, 0, 1):
        dao.propose(STRANGER, fee)
    dao.market.send(OWNER, dao.market.registry.functions.delegate(STRANGER.address))
    dao.market.travel(dao.market.now + 1)
    dao.propose(STRANGER, fee)  # in the name of who named it


def test_a_fee_above_the_cap_fails_when_it_is_executed(dao: Dao, market: Market) -> None:
    greedy = dao.proposal(market.policy.functions.setFee(101))
    dao.carry(OWNER, greedy, OWNER, ANNE, BOB)
    with refused("FeeAboveCap", 101):
        dao.execute(greedy)
    assert (dao.state(greedy), market.policy.functions.feeBps().call()) == (QUEUED, FEE_BPS)


def test_one_call_that_fails_undoes_them_all(dao: Dao, market: Market) -> None:
    both = dao.proposal(market.policy.functions.setFee(20), market.policy.functions.setTreasury(NOBODY))
    dao.carry(OWNER, both, OWNER, ANNE)
    with refused("ZeroAddress"):
        dao.execute(both)
    assert market.policy.functions.feeBps().call() == FEE_BPS


def test_votes_are_those_of_the_second_before_the_vote(dao: Dao, fee: Proposal, market: Market) -> None:
    """A GPU that is bought, or registered, while the vote is on does not count a second time."""
    dao.propose(OWNER, fee)
    dao.open_vote()
    dao.vote(ANNE, fee, AGAINST)
    market.sell(ANNE, STRANGER, 3)
    dao.vote(STRANGER, fee, AGAINST)
    market.register(STRANGER, "fifth")
    dao.vote(OWNER, fee)
    assert dao.governor.functions.proposalVotes(dao.number(fee)).call() == [1, 2, 0]
    with refused("GovernorAlreadyCastVote", OWNER.address):
        dao.vote(OWNER, fee)
    dao.end_vote()
    market.mint(STRANGER.address, 1)
    assert dao.state(fee) == SUCCEEDED


def test_without_a_quorum_or_a_majority_nothing_happens(dao: Dao, fee: Proposal, market: Market) -> None:
    split = dao.proposal(market.policy.functions.setFee(50), why="again")
    for number in range(5):
        market.register(STRANGER, f"more {number}")  # nine GPUs: a quorum of one fifth is one
    dao.propose(OWNER, fee)
    dao.propose(OWNER, split)
    dao.open_vote()
    dao.vote(OWNER, split)
    dao.vote(ANNE, split, AGAINST)
    dao.vote(BOB, split, AGAINST)
    dao.end_vote()
    for one in (fee, split):
        with refused("GovernorUnexpectedProposalState"):
            dao.queue(one)
        assert dao.state(one) == DEFEATED


def test_a_fifth_of_all_gpus_must_take_part(dao: Dao, fee: Proposal, market: Market) -> None:
    for number in range(6):
        market.register(STRANGER, f"more {number}")  # ten GPUs: two must take part
    second = dao.proposal(market.policy.functions.setFee(50), why="again")
    dao.propose(OWNER, fee)
    dao.propose(OWNER, second)
    dao.open_vote()
    dao.vote(ANNE, fee)
    dao.vote(ANNE, second)
    dao.vote(BOB, second)
    dao.end_vote()
    with refused("GovernorUnexpectedProposalState"):
        dao.queue(fee)
    dao.queue(second)


@pytest.mark.parametrize("stage", ["pending", "active", "succeeded", "queued"])
def test_the_guardian_cancels_at_every_stage_and_nobody_else(dao: Dao, fee: Proposal, market: Market, stage: str) -> None:
    dao.propose(OWNER, fee)
    if stage != "pending":
        dao.open_vote()
        dao.vote(OWNER, fee)
    if stage in ("succeeded", "queued"):
        dao.end_vote()
    if stage == "queued":
        dao.queue(fee)
    for who in (ANNE, STRANGER, DEPLOYER):
        with refused("GovernorUnableToCancel", dao.number(fee), who.address):
            dao.cancel(who, fee)
    dao.cancel(GUARDIAN, fee)
    assert dao.state(fee) == CANCELED
    market.travel(market.now + 30 * VOTING_DELAY)
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(fee)


def test_the_guardian_neither_proposes_nor_executes_early_and_can_be_replaced(dao: Dao, fee: Proposal, market: Market) -> None:
    with refused("GovernorInsufficientProposerVotes", GUARDIAN.address, 0, 1):
        dao.propose(GUARDIAN, fee)
    with refused("GovernorOnlyExecutor", GUARDIAN.address):
        market.send(GUARDIAN, dao.governor.functions.setProposalGuardian(STRANGER.address))
    change = dao.proposal(dao.governor.functions.setProposalGuardian(BOB.address))
    dao.carry(OWNER, change, OWNER, ANNE)
    dao.execute(change)
    dao.propose(OWNER, fee)
    with refused("GovernorUnableToCancel", dao.number(fee), GUARDIAN.address):
        dao.cancel(GUARDIAN, fee)
    dao.cancel(BOB, fee)


def test_a_proposer_takes_its_own_back_before_the_vote(dao: Dao, fee: Proposal) -> None:
    dao.propose(OWNER, fee)
    dao.cancel(OWNER, fee)
    assert dao.state(fee) == CANCELED
    again = Proposal(fee.calls, "later")
    dao.propose(OWNER, again)
    dao.open_vote()
    with refused("GovernorUnableToCancel", dao.number(again), OWNER.address):
        dao.cancel(OWNER, again)


def test_nothing_is_skipped(dao: Dao, fee: Proposal, market: Market) -> None:
    for step in (dao.queue, dao.execute):
        with refused("GovernorNonexistentProposal", dao.number(fee)):
            step(fee)
    dao.propose(OWNER, fee)
    with refused("GovernorUnexpectedProposalState"):
        dao.vote(OWNER, fee)
    dao.open_vote()
    dao.vote(OWNER, fee)
    for step in (dao.queue, dao.execute):
        with refused("GovernorUnexpectedProposalState"):
            step(fee)
    dao.end_vote()
    with refused("GovernorUnexpectedProposalState"):
        dao.vote(ANNE, fee)
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(fee)
    dao.queue(fee)
    with refused("GovernorUnexpectedProposalState"):
        dao.queue(fee)
    with refused("TimelockUnexpectedOperationState"):
        dao.execute(fee)
    market.travel(market.now + TIMELOCK_DELAY)
    dao.execute(fee)
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(fee)


def test_the_governor_counts_as_the_registry_does(dao: Dao) -> None:
    calls = dao.governor.functions
    assert calls.CLOCK_MODE().call() == "mode=timestamp"
    assert calls.clock().call() == dao.market.now - 1
    assert (calls.proposalThreshold().call(), calls.quorumNumerator().call()) == (1, 20)
    assert calls.proposalGuardian().call() == GUARDIAN.address
    assert dao.market.policy.functions.owner().call() == dao.timelock.address == calls.timelock().call()
