"""The typed messages that people and machines sign (EIP-712), each built in one place, here.

Every builder gives the full message as plain data: the keys adapter signs it, the chain adapter recovers who did, and the
contracts compute the same digest; the tests hold all three to each other. The ids that are hashes of such data (a job's id,
a cash-out's nonce) need keccak and live in `adapters/chain`. Called by the agent, the pool and the renter.
"""

from dataclasses import asdict, dataclass
from typing import Final

from desktop_app.core.money import Units

TypedMessage = dict[str, object]
"""A full EIP-712 message: `types`, `primaryType`, `domain`, `message`; bytes32 and addresses as 0x-hex, numbers as int."""

USDC_NAME: Final = "USD Coin"
USDC_VERSION: Final = "2"

_DOMAIN_TYPE = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
_VOUCHER = (("job", "bytes32"), ("gpu", "uint256"), ("units", "uint64"), ("receiptsRoot", "bytes32"))
_REGISTER = (("owner", "address"), ("hardware", "bytes32"), ("tier", "uint8"), ("operator", "address"), ("deadline", "uint256"))
_SET_TIER = (("account", "uint256"), ("tier", "uint8"), ("deadline", "uint256"))
_CHALLENGE = (("job", "bytes32"), ("gpu", "uint256"), ("units", "uint64"))
_BATCH = (("count", "uint256"), ("vouchers", "bytes32"))
_MANIFEST = (("job", "bytes32"), ("sha256", "bytes32"))
_RECEIVE = (
    ("from", "address"), ("to", "address"), ("value", "uint256"),
    ("validAfter", "uint256"), ("validBefore", "uint256"), ("nonce", "bytes32"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Domain:
    """The contract a signature is meant for; one made for another chain or contract is worth nothing there."""

    chain_id: int
    verifying_contract: str  # 0x…


@dataclass(frozen=True, slots=True)
class Terms:
    """What a renter agrees to when a job is opened (`TaskEscrow.Terms`). The job's id is the hash of all of it."""

    renter: str
    tier: int
    gpu: int  # the id of the one GPU that may be paid, or 0 for any of the tier
    rate: int  # micro-dollars per GPU-hour
    units: Units
    deadline: int  # unix seconds
    window: int  # seconds the renter has to object to a claim; 0: no claims. Only a pinned job may have any
    spec_hash: str  # 0x…, 32 bytes
    salt: str  # 0x…, 32 bytes


@dataclass(frozen=True, slots=True)
class Voucher:
    """A promise to pay one GPU for cumulative `units` of work on one job (`TaskEscrow.Voucher`)."""

    job: str  # 0x…, 32 bytes
    gpu: int  # the GPU's account: its id, with the number of times it changed hands or tier from bit 40 on
    units: Units
    receipts_root: str  # 0x…, 32 bytes


@dataclass(frozen=True, slots=True)
class Registration:
    """What the attestor vouches for when a GPU enters the registry (`GpuRegistry.register`)."""

    owner: str
    hardware: str  # 0x…, 32 bytes: the digest that names the physical GPU
    tier: int
    operator: str
    deadline: int  # unix seconds


@dataclass(frozen=True, slots=True)
class Authorization:
    """Money moved by signature (EIP-3009); only `receiver` may bring it. Times are unix seconds on the chain's clock."""

    sender: str
    receiver: str
    value: int  # micro-dollars
    valid_after: int
    valid_before: int
    nonce: str  # 0x…, 32 bytes


def voucher(domain: Domain, promise: Voucher) -> TypedMessage:
    """What renter or attestor signs to have a GPU paid; `domain` is the escrow's."""
    return _about_work(domain, "Voucher", promise)


def claim(domain: Domain, work: Voucher) -> TypedMessage:
    """What a GPU's holder or operator signs to claim work that nobody vouched for; `domain` is the escrow's."""
    return _about_work(domain, "Claim", work)


def challenge(domain: Domain, job: str, gpu: int, units: Units) -> TypedMessage:
    """What the renter signs to object to a claim; `domain` is the escrow's."""
    return _full("Sublet TaskEscrow", "1", domain, "Challenge", _CHALLENGE, {"job": job, "gpu": gpu, "units": int(units)})


def batch(domain: Domain, count: int, rows_hash: str) -> TypedMessage:
    """What an attestor signs over `count` vouchers; `rows_hash` is the keccak of their encoding, four words a voucher."""
    return _full("Sublet TaskEscrow", "1", domain, "Batch", _BATCH, {"count": count, "vouchers": rows_hash})


def set_tier(domain: Domain, account: int, tier: int, deadline: int) -> TypedMessage:
    """What an attestor signs to put a GPU into another tier; `domain` is the registry's, `account` the GPU's present one."""
    return _full("Sublet GpuRegistry", "1", domain, "SetTier", _SET_TIER, {"account": account, "tier": tier, "deadline": deadline})


def manifest(domain: Domain, job: str, sha256: str) -> TypedMessage:
    """What the renter signs to own a task: its job and the hex sha256 of its canonical manifest; `domain` is the escrow's."""
    return _full("Sublet TaskEscrow", "1", domain, "Manifest", _MANIFEST, {"job": job, "sha256": "0x" + sha256.removeprefix("0x")})


def register(domain: Domain, registration: Registration) -> TypedMessage:
    """What the attestor signs to let a GPU in; `domain` is the registry's."""
    return _full("Sublet GpuRegistry", "1", domain, "Register", _REGISTER, asdict(registration))


def receive_with_authorization(
    domain: Domain, authorization: Authorization, name: str = USDC_NAME, version: str = USDC_VERSION
) -> TypedMessage:
    """What an owner or renter signs to move money without gas; `domain`, `name` and `version` are the stablecoin's."""
    message = {
        "from": authorization.sender,
        "to": authorization.receiver,
        "value": authorization.value,
        "validAfter": authorization.valid_after,
        "validBefore": authorization.valid_before,
        "nonce": authorization.nonce,
    }
    return _full(name, version, domain, "ReceiveWithAuthorization", _RECEIVE, message)


def _about_work(domain: Domain, primary: str, work: Voucher) -> TypedMessage:
    """Voucher and claim have the same fields, and different names, so that one is never taken for the other."""
    message = {"job": work.job, "gpu": work.gpu, "units": int(work.units), "receiptsRoot": work.receipts_root}
    return _full("Sublet TaskEscrow", "1", domain, primary, _VOUCHER, message)


def _full(
    name: str, version: str, domain: Domain, primary: str, fields: tuple[tuple[str, str], ...], message: dict[str, object]
) -> TypedMessage:
    return {
        "types": {"EIP712Domain": _columns(_DOMAIN_TYPE), primary: _columns(fields)},
        "primaryType": primary,
        "domain": {"name": name, "version": version, "chainId": domain.chain_id, "verifyingContract": domain.verifying_contract},
        "message": message,
    }


def _columns(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]
