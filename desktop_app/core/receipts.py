"""Receipts: what this machine says it did for a task, signed by its operator key.

A receipt covers one segment of steps; receipts of one task chain by hash, whichever machines ran it. The pool counts units
from verified receipts, the voucher carries their root. Canonical bytes are made here so that signer and checker cannot
differ. Called by update (to make), the pool and the renter (to check).
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from desktop_app.core.money import Units
from desktop_app.core.task import Blob, Manifest, segment_units


@dataclass(frozen=True, slots=True)
class Receipt:
    """One segment's account. Hashes are hex sha256; `final` says that the segment ends the task and `result_sha256` is set."""

    task_id: str
    job_id: str
    gpu_id: int  # the GPU's account, as it was leased to
    manifest_sha256: str
    epoch: int
    first_step: int
    last_step: int
    units: Units
    state_sha256: str  # of the checkpoint the segment ends with; "" when it ends with the result
    result_sha256: str  # of the canonical list of result blobs; "" unless final
    prev: str  # sha256 of the receipt before this one; "" for the first
    final: bool
    started: int  # unix seconds
    ended: int
    device: str  # the device's name, for the renter to read
    hardware: str = ""  # what names the physical GPU in the registry, and by it the key that may sign


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and the operator key's signature over its canonical bytes (EIP-191, hex)."""

    receipt: Receipt
    signature: str


def canonical(receipt: Receipt) -> bytes:
    """The bytes that are signed and hashed: JSON, sorted keys, no spaces."""
    return json.dumps(asdict(receipt), sort_keys=True, separators=(",", ":")).encode()


def digest(receipt: Receipt) -> str:
    """Hex sha256 of the canonical bytes."""
    return hashlib.sha256(canonical(receipt)).hexdigest()


def result_sha256(blobs: tuple[Blob, ...]) -> str:
    """Hex sha256 of the canonical list of a task's result blobs: JSON objects in the order of their roles, sorted keys, no spaces."""
    listed = [asdict(blob) for blob in sorted(blobs, key=lambda blob: (blob.role, blob.sha256))]
    return hashlib.sha256(json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def chain_refusal(manifest: Manifest, chain: tuple[Receipt, ...], result: tuple[Blob, ...]) -> str | None:
    """Why these receipts, in their order, are not the whole account of the task and its result; None if they are.

    Signatures and each machine's right to its epoch are checked elsewhere.
    """
    step, prev, epoch = 0, "", 0
    for number, receipt in enumerate(chain, start=1):
        if (receipt.task_id, receipt.job_id, receipt.manifest_sha256) != (manifest.task_id, manifest.job_id, manifest.sha256):
            return f"receipt {number} is about another task"
        if (receipt.first_step, receipt.prev) != (step, prev):
            return f"receipt {number} does not go on where the one before it ended"
        if receipt.epoch < epoch:
            return f"receipt {number} is from an older lease than the one before it"
        if not receipt.first_step <= receipt.last_step <= manifest.steps:
            return f"receipt {number} counts steps the task does not have"
        if receipt.units != segment_units(manifest, receipt.first_step, receipt.last_step):
            return f"receipt {number} claims units its steps are not worth"
        if receipt.final != (number == len(chain)):
            return f"receipt {number} is wrong about being the last"
        step, prev, epoch = receipt.last_step, digest(receipt), receipt.epoch
    if step != manifest.steps:
        return "the receipts do not cover the whole task"
    if chain[-1].result_sha256 != result_sha256(result):
        return "the last receipt is for another result"
    return None


def root(digests: tuple[str, ...]) -> str:
    """The receipts root a voucher carries: the hash chain over receipt digests in the order they were verified, 0x-hex."""
    link = bytes(32)
    for one in digests:
        link = hashlib.sha256(link + bytes.fromhex(one)).digest()
    return "0x" + link.hex()
