"""The door for tasks: a stranger's manifest and files are parsed and checked here, or refused with the reason.

A manifest is canonical JSON: UTF-8 text as Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` writes it, keys as
in `_Manifest`. Its renter signs (job, sha256 of these bytes), EIP-712 (`wire.eip712.manifest`); the signature travels beside
it. Refusals are about the task, never about the owner. Called by the agent, the pool and the renter, in a thread where
files are read.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec

from desktop_app.core.catalogue import Declaration, InputRule, ParamRule, Speed, Verification, check
from desktop_app.core.cost import Work
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Units
from desktop_app.core.task import Blob, Limits, Manifest
from desktop_app.wire import tensors
from desktop_app.wire.resources import resource

MOST_MANIFEST: Final = 256 * 1024
MOST_BRACKETS: Final = 64  # a manifest nests three deep; this bounds every depth
MOST_LINE: Final = 1024 * 1024
LONGEST_LIFE_S: Final = 31 * 24 * 3600

_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{2,4096}\Z")
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")  # JSON has these only escaped

Verify = Callable[[str, str, str], str | None]
"""(job id, sha256 of the manifest, signature) -> the address that signed, or None if nobody did."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Number = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Megabytes = Annotated[int, msgspec.Meta(ge=1, le=1024 * 1024)]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.]{0,31}\Z")]
_Param = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | float | Annotated[str, msgspec.Meta(max_length=200)]


@dataclass(frozen=True, slots=True)
class Refused:
    """A task that is not taken, and why, in words the owner can read."""

    reason: str


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all structs here share."""


class _Blob(_Strict, frozen=True):
    role: _Word
    sha256: _Hash
    bytes: _Number
    format: _Word


class _Limits(_Strict, frozen=True):
    vram_mb: Annotated[int, msgspec.Meta(ge=0, le=1024 * 1024)]
    ram_mb: _Megabytes
    disk_mb: _Megabytes
    wall_s: Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 3600)]
    step_ms: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    output_mb: _Megabytes


class _Manifest(_Strict, frozen=True):
    v: Literal[1]
    task_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f][0-9a-f-]{7,63}\Z")]
    job_id: Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}\Z")]
    renter: Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+(\.[a-z]+)?/[0-9]{1,4}\Z", max_length=64)]
    tier: Tier
    inputs: Annotated[tuple[_Blob, ...], msgspec.Meta(max_length=16)]
    params: Annotated[dict[_Word, _Param], msgspec.Meta(max_length=64)]
    seed: _Count
    steps: _Number
    units: _Number
    limits: _Limits
    checkpoint_steps: _Number
    expires: _Number


class _Kind(_Strict, frozen=True):
    """A declaration's file: as `core.catalogue.Declaration`, with speeds by tier."""

    kind: str
    market: bool
    work: Work
    verification: Verification
    inputs: tuple[InputRule, ...]
    outputs: tuple[str, ...]
    params: tuple[ParamRule, ...]
    step_ms: int
    max_state_bytes: int
    speeds: dict[Tier, Speed]


@cache
def catalogue() -> dict[str, Declaration]:
    """Every kind there is, by name, from `resources/catalogue`."""
    found: dict[str, Declaration] = {}
    for path in sorted(resource("catalogue").glob("*.json")):
        kind = msgspec.json.decode(path.read_bytes(), type=_Kind)
        fields = msgspec.structs.asdict(kind) | {"speeds": tuple(kind.speeds.items())}
        found[kind.kind] = Declaration(**fields)
    return found


def manifest_bytes(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest; its own `sha256` is not among them."""
    fields = asdict(manifest) | {"v": 1, "params": dict(manifest.params)}
    del fields["sha256"]
    return _canonical(fields)


def parse_manifest(raw: bytes, signature: str, now: int, verify: Verify) -> Manifest | Refused:
    """The task that `raw` describes at `now` (unix seconds), or why it is not taken. Never raises."""
    if len(raw) > MOST_MANIFEST:
        return Refused("the task's description is larger than 256 KiB")
    if raw.count(b"{") + raw.count(b"[") > MOST_BRACKETS:
        return Refused("the task's description is nested too deep or lists too much")
    try:
        told = json.loads(raw.decode("utf-8"))
        if _canonical(told) != raw:
            return Refused("the task's description is not in canonical form")
        manifest = _manifest(msgspec.convert(told, _Manifest), hashlib.sha256(raw).hexdigest())
    except (ValueError, RecursionError) as error:  # JSON, UTF-8 and msgspec's errors are all ValueErrors
        return Refused(f"the task's description is not well-formed: {_short(error)}")
    reason = _refusal(manifest, now)
    if reason is None and not _SIGNATURE.match(signature):
        reason = "the task carries no signature"
    if reason is None and (verify(manifest.job_id, manifest.sha256, signature) or "").lower() != manifest.renter.lower():
        reason = "the task is not signed by the renter it names"
    return manifest if reason is None else Refused(reason)


def check_blob(path: Path, blob: Blob) -> str | None:
    """Why the file is not the blob that was promised (size, hash, format), or None. Reads it twice; never raises."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != blob.bytes:
                return f"the file for {blob.role} has {size} bytes instead of the {blob.bytes} that were promised"
            if hashlib.file_digest(file, "sha256").hexdigest() != blob.sha256:
                return f"the file for {blob.role} is not the one that was promised: its hash differs"
            file.seek(0)
            return _format_refusal(file, size, blob)
    except OSError as error:
        return f"the file for {blob.role} cannot be read ({error.strerror})"


def _manifest(told: _Manifest, sha256: str) -> Manifest:
    return Manifest(
        task_id=told.task_id,
        job_id=told.job_id,
        renter=told.renter,
        kind=told.kind,
        tier=told.tier,
        inputs=tuple(Blob(one.role, one.sha256, one.bytes, one.format) for one in told.inputs),
        params=tuple(sorted(told.params.items())),
        seed=told.seed,
        steps=told.steps,
        units=Units(told.units),
        limits=Limits(**msgspec.structs.asdict(told.limits)),
        checkpoint_steps=told.checkpoint_steps,
        expires=told.expires,
        sha256=sha256,
    )


def _refusal(manifest: Manifest, now: int) -> str | None:
    if manifest.expires <= now:
        return "the task has expired"
    if manifest.expires > now + LONGEST_LIFE_S:
        return "the task wants to live longer than a month"
    declaration = catalogue().get(manifest.kind)
    if declaration is None:
        return f"this version knows no task of the kind {manifest.kind}"
    return check(manifest, declaration)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _short(error: Exception) -> str:
    text = "nested too deep" if isinstance(error, RecursionError) else str(error)
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])


def _format_refusal(file: BinaryIO, size: int, blob: Blob) -> str | None:
    match blob.format:
        case "safetensors":
            return _safetensors_refusal(file, size, blob.role)
        case "jsonl":
            return _lines_refusal(file, blob.role)
        case other:
            return f"the file for {blob.role} is of an unknown format ({other})"


def _safetensors_refusal(file: BinaryIO, size: int, role: str) -> str | None:
    try:
        tensors.read_header(file, size)
    except tensors.Malformed as error:
        file.seek(0)
        start = file.read(2)
        if start == b"PK":
            return f"the file for {role} is a zip archive (as .pt files are), which can carry code; only safetensors is taken"
        if start[:1] == b"\x80":
            return f"the file for {role} is a Python pickle, which can carry code; only safetensors is taken"
        return f"the file for {role} is refused: {error}"
    return None


def _lines_refusal(file: BinaryIO, role: str) -> str | None:
    while line := file.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            return f"the file for {role} has a line longer than 1 MiB"
        if _NO_TEXT.search(line):
            return f"the file for {role} holds control characters; it is no text"
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return f"the file for {role} is not UTF-8 text"
    return None
