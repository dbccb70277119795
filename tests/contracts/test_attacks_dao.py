"""Ways to take, stop or hurry the market's government. Each test says first what the attacker wanted."""

from collections.abc import Callable

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from web3.contract.contract import ContractFunction

from tests.contracts.dao import (
    AGAINST,
    CANCELED,
    DEFEATED,
    EXECUTED,
    FOR,
    NOBODY,
    PENDING,
    QUEUED,
    SUCCEEDED,
    TIMELOCK_DELAY,
    VOTING_DELAY,
    VOTING_PERIOD,
    Dao,
    Proposal,
)
from tests.contracts.market import Market
from tests.contracts.people import ANNE, ARBITER, ATTESTOR, BOB, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER, TREASURY, person
from tests.contracts.refusals import refused

RAIDER = person(30)


@pytest.fixture
def dao(market: Market) -> Dao:
    """OWNER has two votes, ANNE, BOB and RAIDER one each."""
    for number, owner in enumerate((OWNER, ANNE, BOB, RAIDER)):
        market.register(owner, f"voter {number}")
    return Dao(market)


@pytest.fixture
def raid(dao: Dao) -> Proposal:
    """All fees to the raider."""
    return dao.proposal(dao.market.policy.functions.setTreasury(RAIDER.address), why="for the good of all")


def test_a_proposal_that_names_its_proposer_cannot_be_taken_and_cancelled(dao: Dao) -> None:
    """Wanted: to see a proposal in the queue, bring it first, and cancel it as its proposer, so that it is dead for ever. The
    words at its end keep it for the one who wrote it; a proposal without them can be killed in this way."""
    market, call = dao.market, dao.market.policy.functions.setFee(20)
    careless = dao.proposal(call, why="lower the fee")
    dao.propose(RAIDER, careless)
    dao.cancel(RAIDER, careless)
    with refused("GovernorUnexpectedProposalState"):
        dao.propose(OWNER, careless)
    careful = dao.proposal(call, why=f"lower the fee #proposer={OWNER.address.lower()}")
    with refused("GovernorRestrictedProposer", RAIDER.address):
        dao.propose(RAIDER, careful)
    dao.carry(OWNER, careful, OWNER, ANNE)
    with refused("GovernorUnableToCancel"):
        dao.cancel(RAIDER, careful)
    dao.execute(careful)
    assert market.policy.functions.feeBps().call() == 20


def test_nobody_cancels_what_is_not_its_own(dao: Dao, raid: Proposal) -> None:
    """Wanted: to stop a vote that one is going to lose. Even the proposer cannot, once the vote has begun."""
    dao.propose(RAIDER, raid)
    for who in (OWNER, ANNE, STRANGER, ARBITER):
        with refused("GovernorUnableToCancel"):
            dao.cancel(who, raid)
    dao.open_vote()
    dao.vote(OWNER, raid, AGAINST)
    with refused("GovernorUnableToCancel"):
        dao.cancel(RAIDER, raid)


def test_a_vote_counts_once(dao: Dao, raid: Proposal) -> None:
    """Wanted: to vote again, by changing one's mind, by a delegate, or with the same GPU in other hands."""
    market = dao.market
    dao.propose(RAIDER, raid)
    dao.open_vote()
    dao.vote(RAIDER, raid)
    with refused("GovernorAlreadyCastVote", RAIDER.address):
        dao.vote(RAIDER, raid)
    market.sell(RAIDER, RENTER, 5)
    dao.vote(RENTER, raid)
    market.send(RENTER, market.registry.functions.delegate(STRANGER.address))
    dao.vote(STRANGER, raid)
    assert dao.governor.functions.proposalVotes(dao.number(raid)).call() == [0, 1, 0]


def test_votes_bought_or_registered_after_the_snapshot_do_not_count(dao: Dao, raid: Proposal) -> None:
    """Wanted: to see how a vote stands and then buy, borrow or register the GPUs that are missing."""
    market = dao.market
    dao.propose(RAIDER, raid)
    dao.open_vote()
    market.travel(market.now + 1)
    market.sell(ANNE, RAIDER, 3)
    for number in range(3):
        market.register(RAIDER, f"late {number}")
    market.send(BOB, market.registry.functions.delegate(RAIDER.address))
    dao.vote(RAIDER, raid)
    dao.vote(ANNE, raid, AGAINST)  # she had it when it counted
    dao.vote(BOB, raid, AGAINST)
    assert dao.governor.functions.proposalVotes(dao.number(raid)).call() == [2, 1, 0]


def test_giving_the_vote_to_nobody_is_taking_it_back(dao: Dao, raid: Proposal) -> None:
    """Wanted: to make votes disappear, so that later a GPU could not be sold, or to count one twice."""
    market, registry = dao.market, dao.market.registry.functions
    market.send(ANNE, registry.delegate(BOB.address))
    market.send(ANNE, registry.delegate(NOBODY))
    market.send(ANNE, registry.delegate(ANNE.address))
    assert [registry.getVotes(who.address).call() for who in (ANNE, BOB)] == [1, 1]
    market.sell(ANNE, BOB, 3)
    assert [registry.getVotes(who.address).call() for who in (ANNE, BOB)] == [0, 2]


def test_a_signed_vote_is_one_vote_on_one_proposal(dao: Dao, raid: Proposal) -> None:
    """Wanted: to bring a signed vote twice, turn it around, or use it on another proposal."""
    market, governor = dao.market, dao.governor.functions
    other = dao.proposal(market.policy.functions.setFee(1), why="another")
    for one in (raid, other):
        dao.propose(RAIDER, one)
    dao.open_vote()
    numbers = dao.number(raid), dao.number(other)
    said = _ballot(dao, numbers[0], AGAINST)
    for number, support in ((numbers[0], FOR), (numbers[1], AGAINST)):
        with refused("GovernorInvalidSignature", OWNER.address):
            market.send(RAIDER, governor.castVoteBySig(number, support, OWNER.address, said))
    market.send(RAIDER, governor.castVoteBySig(numbers[0], AGAINST, OWNER.address, said))
    with refused("GovernorInvalidSignature", OWNER.address):
        market.send(RAIDER, governor.castVoteBySig(numbers[0], AGAINST, OWNER.address, said))


def _ballot(dao: Dao, number: int, support: int) -> bytes:
    """OWNER's signed vote, its first."""
    kinds = {
        "EIP712Domain": [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")],
        "Ballot": [("proposalId", "uint256"), ("support", "uint8"), ("voter", "address"), ("nonce", "uint256")],
    }
    form = {
        "types": {kind: [{"name": name, "type": of} for name, of in fields] for kind, fields in kinds.items()},
        "primaryType": "Ballot",
        "domain": {
            "name": "Sublet GpuGovernor", "version": "1", "chainId": dao.market.chain_id, "verifyingContract": str(dao.governor.address),
        },
        "message": {"proposalId": number, "support": support, "voter": OWNER.address, "nonce": 0},
    }  # fmt: skip
    return bytes(Account.sign_typed_data(OWNER.key, full_message=form).signature)


def test_nothing_is_done_before_its_time(dao: Dao, raid: Proposal) -> None:
    """Wanted: to vote before the vote, queue before its end, execute before or beside the wait."""
    market = dao.market
    with refused("GovernorNonexistentProposal"):
        dao.execute(raid)
    dao.propose(RAIDER, raid)
    steps: tuple[Callable[[], object], ...] = (
        lambda: dao.vote(RAIDER, raid), lambda: dao.queue(raid), lambda: dao.execute(raid),
    )  # fmt: skip
    for too_early in steps:
        with refused("GovernorUnexpectedProposalState"):
            too_early()
    dao.open_vote()
    for who in (OWNER, ANNE, RAIDER):
        dao.vote(who, raid)
    with refused("GovernorUnexpectedProposalState"):
        dao.queue(raid)
    dao.end_vote()
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(raid)
    begun = market.now
    dao.queue(raid)
    assert dao.state(raid) == QUEUED
    market.travel(begun + TIMELOCK_DELAY - 1)
    with refused("TimelockUnexpectedOperationState"):
        dao.execute(raid)
    market.travel(begun + TIMELOCK_DELAY)
    dao.execute(raid)
    assert dao.state(raid) == EXECUTED
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(raid)


def test_a_lost_vote_is_not_queued(dao: Dao, raid: Proposal) -> None:
    """Wanted: to queue and execute what the owners refused, or what too few of them saw."""
    unseen = dao.proposal(dao.market.policy.functions.setFee(99), why="quietly")
    dao.propose(RAIDER, raid)
    dao.propose(RAIDER, unseen)
    dao.open_vote()
    dao.vote(RAIDER, raid)
    dao.vote(OWNER, raid, AGAINST)
    dao.end_vote()
    for lost in (raid, unseen):
        assert dao.state(lost) == DEFEATED
        for step in (dao.queue, dao.execute):
            with refused("GovernorUnexpectedProposalState"):
                step(lost)


def test_the_timelock_hears_the_governor_only(dao: Dao, raid: Proposal) -> None:
    """Wanted: to go past the vote, straight to the timelock: to schedule, to execute what was never scheduled, to take a role,
    to shorten the wait; and, as the deployer, to have kept a way in."""
    market, lock = dao.market, dao.timelock.functions
    (target,), (value,), (data,) = raid.terms
    salt = bytes(32)
    proposer = bytes(lock.PROPOSER_ROLE().call())
    for who in (RAIDER, OWNER, DEPLOYER, GUARDIAN, STRANGER):
        with refused("AccessControlUnauthorizedAccount", who.address, proposer):
            market.send(who, lock.schedule(target, value, data, salt, salt, TIMELOCK_DELAY))
        with refused("AccessControlUnauthorizedAccount"):
            market.send(who, lock.grantRole(proposer, who.address))
        with refused("TimelockUnexpectedOperationState"):
            market.send(who, lock.execute(target, value, data, salt, salt))
        with refused("TimelockUnauthorizedCaller", who.address):
            market.send(who, lock.updateDelay(0))


def test_the_governor_does_nothing_for_those_who_call_it(dao: Dao) -> None:
    """Wanted: to call the governor's own setters, or have it act, without a proposal; to make it do so by a proposal that goes
    past the timelock."""
    market, governor = dao.market, dao.governor.functions
    direct: list[ContractFunction] = [
        governor.setVotingDelay(0), governor.setVotingPeriod(1), governor.setProposalThreshold(0), governor.updateQuorumNumerator(0),
        governor.updateTimelock(RAIDER.address), governor.setProposalGuardian(RAIDER.address),
        governor.relay(dao.timelock.address, 0, b""),
    ]  # fmt: skip
    for call in direct:
        for who in (RAIDER, OWNER, DEPLOYER, GUARDIAN):
            with refused("GovernorOnlyExecutor", who.address):
                market.send(who, call)


def test_the_guardian_stops_and_does_nothing_else(dao: Dao, raid: Proposal) -> None:
    """Wanted, with the guardian's key: to propose, vote, hurry, or change what is in force."""
    market = dao.market
    with refused("GovernorInsufficientProposerVotes", GUARDIAN.address, 0, 1):
        dao.propose(GUARDIAN, raid)
    dao.propose(RAIDER, raid)
    dao.open_vote()
    dao.vote(GUARDIAN, raid)
    assert dao.governor.functions.proposalVotes(dao.number(raid)).call() == [0, 0, 0]
    for who in (OWNER, ANNE, BOB):
        dao.vote(who, raid)
    dao.end_vote()
    dao.queue(raid)
    with refused("TimelockUnexpectedOperationState"):
        market.send(GUARDIAN, dao.governor.functions.execute(*raid.hashed))
    dao.cancel(GUARDIAN, raid)
    assert dao.state(raid) == CANCELED
    market.travel(market.now + TIMELOCK_DELAY)
    with refused("GovernorUnexpectedProposalState"):
        dao.execute(raid)
    assert market.policy.functions.treasury().call() == TREASURY.address


def test_the_policy_hears_the_timelock_only(dao: Dao) -> None:
    """Wanted, by whoever had or thinks to have a say: to set a figure or a name without a vote."""
    market, policy = dao.market, dao.market.policy.functions
    setters: list[ContractFunction] = [
        policy.setFee(0), policy.setTreasury(RAIDER.address), policy.setArbiter(RAIDER.address), policy.setGuardian(RAIDER.address),
        policy.setAttestor(RAIDER.address, True), policy.setAllowance(0), policy.setBounds(3, 0, 0),
        policy.transferOwnership(RAIDER.address), policy.renounceOwnership(),
    ]  # fmt: skip
    for call in setters:
        for who in (DEPLOYER, GUARDIAN, ATTESTOR, ARBITER, TREASURY, RAIDER):
            with refused("OwnableUnauthorizedAccount", who.address):
                market.send(who, call)
    for who in (DEPLOYER, ATTESTOR, ARBITER, RAIDER):
        with refused("NotGuardian", who.address):
            market.send(who, policy.setPaused(True))


def test_the_same_words_are_voted_on_once(dao: Dao, raid: Proposal) -> None:
    """Wanted: to bring a refused proposal again and again until its opponents sleep. The same words are refused; other words are
    another proposal, which has its own wait in sight of all."""
    dao.propose(RAIDER, raid)
    dao.market.travel(dao.market.now + VOTING_DELAY + VOTING_PERIOD + 2)
    with refused("GovernorUnexpectedProposalState"):
        dao.propose(RAIDER, raid)
    again = dao.proposal(*raid.calls, why="once more")
    dao.propose(RAIDER, again)
    assert dao.state(again) == PENDING


def test_a_timelocked_operation_cannot_be_put_in_front_of_another(dao: Dao, raid: Proposal) -> None:
    """Wanted: with a raid's calls inside an innocent proposal's words, to have the vote on one execute the other."""
    innocent = dao.proposal(dao.market.policy.functions.setFee(5), why="a lower fee")
    dao.carry(OWNER, innocent, OWNER, ANNE)
    swapped = (*raid.terms, keccak(text=innocent.why))
    with refused("GovernorNonexistentProposal"):
        dao.market.send(RAIDER, dao.governor.functions.execute(*swapped))
    assert dao.state(innocent) in (SUCCEEDED, QUEUED)
    dao.execute(innocent)
    assert dao.market.policy.functions.treasury().call() == TREASURY.address
