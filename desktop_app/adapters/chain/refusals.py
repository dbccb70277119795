"""Why a contract said no, in a sentence that a person understands.

Every custom error of our contracts has a sentence here, and a test holds the list to the ABIs. Called by `client.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from desktop_app.wire.resources import resource

CONTRACTS: Final = ("TestUSDC", "MarketPolicy", "GpuRegistry", "TaskEscrow", "CashOut", "GpuTimelock", "GpuGovernor")
_MOST_DATA: Final = 2_000  # hex digits; our longest error has three words

SENTENCES: Final[Mapping[str, str]] = {
    # the stablecoin
    "AccountBlacklisted": "the stablecoin's issuer has frozen the account {account}",
    "ECDSAInvalidSignature": "the signature is not one",
    "ECDSAInvalidSignatureLength": "the signature has a wrong length",
    "ECDSAInvalidSignatureS": "the signature is in a form that is not accepted",
    "ERC20InsufficientAllowance": "{spender} may move {allowance}, and {needed} are needed",
    "ERC20InsufficientBalance": "{sender} holds {balance}, and {needed} are needed",
    "ERC20InvalidApprover": "{approver} cannot allow spending",
    "ERC20InvalidReceiver": "{receiver} cannot receive this",
    "ERC20InvalidSender": "{sender} cannot send",
    "ERC20InvalidSpender": "{spender} cannot be allowed to spend",
    "ERC3009InvalidAuthorizationTime": "the signature counts only after {validAfter} and before {validBefore}",
    "ERC3009InvalidSignature": "the money's owner did not sign exactly this",
    "ERC3009UsedAuthorization": "this signature has been used or cancelled already",
    "EnforcedPause": "the stablecoin's issuer has paused all movement",
    "ExpectedPause": "the stablecoin is not paused",
    "InvalidAccountNonce": "the signature of {account} is not the next one; its next has the number {currentNonce}",
    "OwnableInvalidOwner": "{owner} cannot own this contract",
    "OwnableUnauthorizedAccount": "{account} does not own this contract",
    "PermitExpired": "the permit ran out at {deadline}",
    "PermitNotSigned": "{owner} did not sign this permit",
    # the policy
    "BoundsCrossed": "the floor of {floor} is above the ceiling of {ceiling}",
    "FeeAboveCap": "a fee of {feeBps} basis points is above the cap",
    "NotAttestor": "{account} is no attestor of this market",
    "NotGuardian": "{caller} is not the market's guardian",
    "RateLimitExceeded": "the attestor has no more left of what it may have paid out within a day",
    # the registry
    "AttestationExpired": "the attestor's signature ran out at {deadline}",
    "CheckpointUnorderedInsertion": "the votes were counted out of order",
    "ERC5805FutureLookup": "votes can be counted only for a time that is over, and {timepoint} is not",
    "ERC6372InconsistentClock": "the contract's clock is not the one it was built with",
    "ERC721IncorrectOwner": "GPU {tokenId} belongs to {owner}, not {sender}",
    "ERC721InsufficientApproval": "{operator} may not move GPU {tokenId}",
    "ERC721InvalidApprover": "{approver} cannot allow moving GPUs",
    "ERC721InvalidOperator": "{operator} cannot be allowed to move GPUs",
    "ERC721InvalidOwner": "{owner} cannot own GPUs",
    "ERC721InvalidReceiver": "{receiver} cannot receive a GPU",
    "ERC721InvalidSender": "{sender} cannot send a GPU",
    "ERC721NonexistentToken": "there is no GPU {tokenId} in the registry",
    "HardwareTaken": "this hardware is registered already, as GPU {id}",
    "NotAttested": "{attestor} is no attestor of this market, or did not sign exactly this",
    "NotGpuOwner": "{caller} does not own GPU {id}",
    "NotShareHolder": "{caller} does not hold share {slot} of GPU {id}",
    "ShareOutOfRange": "a share of {bps} basis points cannot be given; {left} are left",
    "TooManyCoOwners": "GPU {id} has as many co-owners as it can have",
    "VotesExpiredSignature": "the signature ran out at {expiry}",
    # the escrow
    "ChallengeNotSigned": "the renter did not sign this challenge",
    "ClaimNotSigned": "neither the GPU's holder nor its operator signed this claim",
    "JobExists": "this job was opened before",
    "JobNotOpen": "this job is closed, or never was",
    "JobOverrun": "the job has {unitsLeft} units left, and {unitsAsked} are asked",
    "JobStarted": "work on this job has been paid or is claimed, so it has to run its course",
    "MarketPaused": "the market takes no new jobs for now",
    "NoClaims": "this job allows no claims, or none any more",
    "NoSuchAccount": "there is no GPU account {gpu} in the registry",
    "NotArbiter": "{caller} is not the market's arbiter",
    "NotRenter": "{caller} is not the renter of this job",
    "NothingOwed": "nothing is owed to {account}",
    "RateOutOfBounds": "the market trades this tier between {floor} and {ceiling} per GPU-hour, and {rate} is offered",
    "RowsOutOfRange": "a batch cannot have {rows} vouchers",
    "TermsDiffer": "these are not the terms that the job was opened on",
    "TermsOutOfRange": "the job's units, rate, deadline or time to object are out of range",
    "TooEarly": "this can be done only after {due}",
    "TooLate": "the time for this was over at {due}",
    "VoucherNotSigned": "neither the renter nor an attestor signed this voucher",
    "VoucherStale": "the voucher covers {unitsOffered} units, and {unitsPaid} are paid already",
    "WrongGpu": "the job is for GPU {wanted}, not GPU {offered}",
    "WrongStage": "the claim on this job is at another stage: {stage}",
    "WrongTier": "the job is for tier {wanted}, and the GPU is of tier {offered}",
    "ZeroAddress": "the zero address cannot hold anything",
    # the cash-out
    "FeeNotBelowAmount": "the fee of {fee} would eat the whole {amount}",
    "WrongReceiver": "money sent to {to} would be lost",
    # how the owners decide
    "AccessControlBadConfirmation": "a role can be given up only by who has it",
    "AccessControlUnauthorizedAccount": "{account} has not the role {neededRole} that this takes",
    "GovernorAlreadyCastVote": "{voter} has voted already",
    "GovernorAlreadyQueuedProposal": "proposal {proposalId} is waiting already",
    "GovernorDisabledDeposit": "the governor takes no money here",
    "GovernorInsufficientProposerVotes": "{proposer} has {votes} votes, and proposing takes {threshold}",
    "GovernorInvalidProposalLength": "the proposal names {targets} contracts, {calldatas} calls and {values} values",
    "GovernorInvalidQuorumFraction": "{quorumNumerator} of {quorumDenominator} can be no quorum",
    "GovernorInvalidSignature": "{voter} did not sign this vote",
    "GovernorInvalidVoteParams": "this vote takes no parameters",
    "GovernorInvalidVoteType": "a vote is for, against or to abstain",
    "GovernorInvalidVotingPeriod": "a vote cannot last {votingPeriod} seconds",
    "GovernorNonexistentProposal": "there is no proposal {proposalId}",
    "GovernorOnlyExecutor": "only what was voted may do this, and {account} came by itself",
    "GovernorProposalQueueingFailed": "proposal {proposalId} could not be put into the timelock",
    "GovernorProposalQueueingNotRequired": "proposal {proposalId} needs no wait",
    "GovernorRestrictedProposer": "the proposal is meant to be made by another than {proposer}",
    "GovernorUnableToCancel": "{account} may not cancel proposal {proposalId}",
    "GovernorUnexpectedProposalState": "proposal {proposalId} is {current}, and this takes another state",
    "TimelockInsufficientDelay": "{delay} seconds are too short a wait; {minDelay} is the least",
    "TimelockInvalidOperationLength": "the operation names {targets} contracts, {payloads} calls and {values} values",
    "TimelockUnauthorizedCaller": "only the timelock itself may do this, and {caller} is another",
    "TimelockUnexecutedPredecessor": "operation {predecessorId} has to be done first",
    "TimelockUnexpectedOperationState": "operation {operationId} is not at the stage that this takes: waiting still, done, or none",
    # OpenZeppelin's own
    "FailedCall": "a contract that this calls refused without saying why",
    "InvalidShortString": "a name in the contract is damaged",
    "ReentrancyGuardReentrantCall": "the contract is in the middle of another payment",
    "SafeCastOverflowedUintDowncast": "a number is too large",
    "SafeERC20FailedOperation": "the stablecoin did not move",
    "StringTooLong": "a name is too long",
}

_MONEY: Final = frozenset({"allowance", "amount", "balance", "ceiling", "fee", "floor", "needed", "rate"})
_TIMES: Final = frozenset({"deadline", "due", "expiry", "timepoint", "validAfter", "validBefore"})
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "stage": ("there is none", "the renter may object", "the arbiter decides", "no more claims are taken"),
    "current": ("waiting for its vote", "being voted on", "cancelled", "defeated", "accepted", "in the timelock", "expired", "done"),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A contract's no: its error's name ("" when it gave none we know), and the reason in words."""

    error: str
    reason: str


def abi_of(contract: str) -> list[dict[str, object]]:
    """A contract's interface, as it was compiled."""
    content: dict[str, list[dict[str, object]]] = json.loads(resource(f"contracts/compiled/{contract}.json").read_bytes())
    return content["abi"]


def explain(data: str) -> Refused:
    """What revert data (0x-hex) says. Data that no contract of ours could have given is a refusal without a name."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    known = _errors().get(data[:10].lower())
    if known is None or len(data) > _MOST_DATA:
        return Refused("", "the contract refused and did not say why")
    name, fields = known
    try:
        values = decode([kind for kind, _ in fields], bytes.fromhex(data[10:]))
    except (DecodingError, ValueError):
        return Refused(name, "the contract refused in words that make no sense")
    shown = {field: _shown(field, value) for (_, field), value in zip(fields, values, strict=True)}
    return Refused(name, SENTENCES[name].format_map(shown))


@cache
def _errors() -> dict[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Selector -> name and (type, name) of its fields, over all our contracts."""
    from eth_utils.crypto import keccak

    found = {}
    for contract in CONTRACTS:
        for entry in abi_of(contract):
            inputs = entry.get("inputs")
            if entry["type"] == "error" and isinstance(inputs, list):
                fields = tuple((str(one["type"]), str(one["name"])) for one in inputs)
                signature = f"{entry['name']}({','.join(kind for kind, _ in fields)})"
                found["0x" + keccak(text=signature)[:4].hex()] = (str(entry["name"]), fields)
    return found


def _shown(field: str, value: object) -> str:
    if isinstance(value, int) and field in _MONEY:
        return f"${value // 1_000_000:,}.{value % 1_000_000:06}"
    if isinstance(value, int) and field in _TIMES:
        return _time(value)
    if isinstance(value, int) and value < len(_WORDS.get(field, ())):
        return _WORDS[field][value]
    return "0x" + value.hex()[:64] if isinstance(value, bytes) else str(value)[:80]


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "the end of time"
