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

CONTRACTS: Final = ("TestUSDC", "GpuRegistry", "TaskEscrow", "CashOut")
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
    "InvalidAccountNonce": "the permit of {account} is not the next one",
    "OwnableInvalidOwner": "{owner} cannot own the token contract",
    "OwnableUnauthorizedAccount": "{account} does not run the token contract",
    "PermitExpired": "the permit ran out at {deadline}",
    "PermitNotSigned": "{owner} did not sign this permit",
    # the registry
    "ERC721IncorrectOwner": "GPU {tokenId} belongs to {owner}, not {sender}",
    "ERC721InsufficientApproval": "{operator} may not move GPU {tokenId}",
    "ERC721InvalidApprover": "{approver} cannot allow moving GPUs",
    "ERC721InvalidOperator": "{operator} cannot be allowed to move GPUs",
    "ERC721InvalidOwner": "{owner} cannot own GPUs",
    "ERC721InvalidReceiver": "{receiver} cannot receive a GPU",
    "ERC721InvalidSender": "{sender} cannot send a GPU",
    "ERC721NonexistentToken": "there is no GPU {tokenId} in the registry",
    "HardwareTaken": "this hardware is registered already, as GPU {id}",
    "NotAttested": "the market's attestor did not sign this registration",
    "NotGpuOwner": "{caller} does not own GPU {id}",
    "NotShareHolder": "{caller} does not hold share {slot} of GPU {id}",
    "RegistrationExpired": "the registration ran out at {deadline}",
    "ShareOutOfRange": "a share of {bps} basis points cannot be given; {left} are left",
    "TooManyCoOwners": "GPU {id} has as many co-owners as it can have",
    # the escrow
    "FeeAboveCap": "a fee of {feeBps} basis points is above the cap",
    "JobExists": "this job was opened before",
    "JobNotOpen": "this job is closed, or never was",
    "JobOverrun": "the job has {unitsLeft} units left, and {unitsAsked} are asked",
    "NotRenter": "{caller} is not the renter of this job",
    "NothingOwed": "nothing is owed to {account}",
    "TermsOutOfRange": "the job's units, rate or deadline are out of range",
    "TooEarlyToClose": "the job stays open until {after_}, or until all its work is paid",
    "VoucherNotSigned": "neither the renter nor the attestor signed this voucher",
    "VoucherStale": "the voucher covers {unitsOffered} units, and {unitsPaid} are paid already",
    "WrongGpu": "the job is for GPU {wanted}, not GPU {offered}",
    "WrongTier": "the job is for tier {wanted}, and the GPU is of tier {offered}",
    "ZeroAddress": "the zero address cannot hold anything",
    # the cash-out
    "FeeNotBelowAmount": "the fee of {fee} would eat the whole {amount}",
    "WrongReceiver": "money sent to {to} would be lost",
    # OpenZeppelin's own
    "InvalidShortString": "a name in the contract is damaged",
    "ReentrancyGuardReentrantCall": "the contract is in the middle of another payment",
    "SafeCastOverflowedUintDowncast": "a number is too large",
    "SafeERC20FailedOperation": "the stablecoin did not move",
    "StringTooLong": "a name is too long",
}

_MONEY: Final = frozenset({"allowance", "amount", "balance", "fee", "needed"})
_TIMES: Final = frozenset({"after_", "deadline", "validAfter", "validBefore"})


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
    return str(value)[:80]


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "the end of time"
