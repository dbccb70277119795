"""The market's owners as its government: timelock and governor over one market, and a proposal's way from words to effect.

Called by the governor's tests and by the attacks on it. `Dao(market)` deploys both and hands the policy to the timelock.
"""

from dataclasses import dataclass

from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.contract.contract import ContractFunction
from web3.types import TxReceipt

from tests.contracts.market import DAY, Market
from tests.contracts.people import DEPLOYER, GUARDIAN, STRANGER, Person

VOTING_DELAY, VOTING_PERIOD, TIMELOCK_DELAY = DAY, 3 * DAY, 2 * DAY
THRESHOLD, QUORUM = 1, 20
"""GPUs one must own to propose; per cent of all GPUs that must take part."""
NOBODY = "0x" + "0" * 40
PENDING, ACTIVE, CANCELED, DEFEATED, SUCCEEDED, QUEUED, EXPIRED, EXECUTED = range(8)
AGAINST, FOR, ABSTAIN = range(3)


@dataclass(frozen=True)
class Proposal:
    """What is to be done, all of it at once, and why."""

    calls: tuple[ContractFunction, ...]
    why: str

    @property
    def terms(self) -> tuple[list[str], list[int], list[bytes]]:
        data = [bytes(HexBytes(call._encode_transaction_data())) for call in self.calls]
        return [str(call.address) for call in self.calls], [0] * len(data), data

    @property
    def hashed(self) -> tuple[list[str], list[int], list[bytes], bytes]:
        return (*self.terms, keccak(text=self.why))


class Dao:
    """Votes count as the registry counts them; anyone executes."""

    def __init__(self, market: Market, guardian: str = GUARDIAN.address) -> None:
        self.market = market
        self.timelock = market.deploy("GpuTimelock", TIMELOCK_DELAY, [], [NOBODY], DEPLOYER.address)
        rules = (VOTING_DELAY, VOTING_PERIOD, THRESHOLD, QUORUM, guardian)
        self.governor = market.deploy("GpuGovernor", market.registry.address, self.timelock.address, rules)
        calls = self.timelock.functions
        for role in (calls.PROPOSER_ROLE().call(), calls.CANCELLER_ROLE().call()):
            market.send(DEPLOYER, calls.grantRole(role, self.governor.address))
        market.send(DEPLOYER, calls.renounceRole(calls.DEFAULT_ADMIN_ROLE().call(), DEPLOYER.address))
        market.send(DEPLOYER, market.policy.functions.transferOwnership(self.timelock.address))

    def proposal(self, *calls: ContractFunction, why: str = "because") -> Proposal:
        return Proposal(calls, why)

    def number(self, proposal: Proposal) -> int:
        return int(self.governor.functions.getProposalId(*proposal.hashed).call())

    def state(self, proposal: Proposal) -> int:
        """As of the newest block."""
        return int(self.governor.functions.state(self.number(proposal)).call())

    def propose(self, who: Person, proposal: Proposal) -> TxReceipt:
        return self.market.send(who, self.governor.functions.propose(*proposal.terms, proposal.why))

    def vote(self, who: Person, proposal: Proposal, support: int = FOR) -> TxReceipt:
        return self.market.send(who, self.governor.functions.castVote(self.number(proposal), support))

    def queue(self, proposal: Proposal) -> TxReceipt:
        return self.market.send(STRANGER, self.governor.functions.queue(*proposal.hashed))

    def execute(self, proposal: Proposal) -> TxReceipt:
        return self.market.send(STRANGER, self.governor.functions.execute(*proposal.hashed))

    def cancel(self, who: Person, proposal: Proposal) -> TxReceipt:
        return self.market.send(who, self.governor.functions.cancel(*proposal.hashed))

    def open_vote(self) -> None:
        """On to the second in which the vote on what was just proposed is open."""
        self.market.travel(self.market.now + VOTING_DELAY + 1)

    def end_vote(self) -> None:
        self.market.travel(self.market.now + VOTING_PERIOD + 1)

    def carry(self, proposer: Person, proposal: Proposal, *voters: Person) -> None:
        """Proposed, voted for by these, and queued; the timelock's wait is over in the next second."""
        self.propose(proposer, proposal)
        self.open_vote()
        for voter in voters:
            self.vote(voter, proposal)
        self.end_vote()
        self.queue(proposal)
        self.market.travel(self.market.now + TIMELOCK_DELAY)
