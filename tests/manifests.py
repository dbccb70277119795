"""Manifests for tests: honest ones on the practice tier, and a way to spoil one."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from desktop_app.core.catalogue import limits, reference_units, steps
from desktop_app.core.gpu import Tier
from desktop_app.core.receipts import Receipt, digest, result_sha256
from desktop_app.core.task import Blob, Manifest, segment_units
from desktop_app.wire.bundle import catalogue, manifest_bytes

NOW = 1_800_000_000
RENTER = "0x" + "aB" * 20
JOB = "0x" + "12" * 32
SIGNATURE = "0x" + "5e" * 65
SHAPE: dict[str, int | float | str] = {"features": 64, "classes": 10, "width": 32, "depth": 2}
TRAINING: dict[str, int | float | str] = SHAPE | {"batch": 16, "steps": 30, "lr": 0.01, "noise": 0.1, "weight_decay": 0.01}
READING: dict[str, int | float | str] = SHAPE | {"rows": 355, "batch": 64}


def blob(role: str, size: int = 1000) -> Blob:
    return Blob(role, "ab" * 32, size, "safetensors")


def written(kind: str = "train.classifier/1", **params: int | float | str) -> tuple[Manifest, bytes]:
    """A manifest that every door lets in, with its bytes."""
    training = kind == "train.classifier/1"
    chosen = (TRAINING if training else READING) | params
    inputs = (blob("data"),) if training else (blob("model"), blob("data"))
    declaration, tier = catalogue()[kind], Tier.PRACTICE
    manifest = Manifest(
        task_id="0d9f3c1a-7e52-4b11-9a53-0123456789ab",
        job_id=JOB,
        renter=RENTER,
        kind=kind,
        tier=tier,
        inputs=inputs,
        params=tuple(sorted(chosen.items())),
        seed=7,
        steps=steps(declaration, chosen),
        units=reference_units(declaration, tier, chosen),
        limits=limits(declaration, tier, chosen, inputs),
        checkpoint_steps=5,
        expires=NOW + 3600,
        sha256="",
    )
    raw = manifest_bytes(manifest)
    return replace(manifest, sha256=hashlib.sha256(raw).hexdigest()), raw


def spoiled(raw: bytes, **changes: Any) -> bytes:
    """The manifest's canonical bytes with some of its fields replaced."""
    return json.dumps(json.loads(raw) | changes, sort_keys=True, separators=(",", ":")).encode()


def signed(job: str, sha256: str, signature: str) -> str | None:
    """A verifier that finds the renter's signature on anything that carries the test's one."""
    return RENTER.lower() if signature == SIGNATURE else None


def chain(manifest: Manifest, result: tuple[Blob, ...], *ends: int) -> tuple[Receipt, ...]:
    """Honest receipts for segments that end at `ends` and at the last step, each by another GPU."""
    receipts: list[Receipt] = []
    start = 0
    for number, end in enumerate((*ends, manifest.steps), start=1):
        final = end == manifest.steps
        receipts.append(
            Receipt(
                task_id=manifest.task_id,
                job_id=manifest.job_id,
                gpu_id=number,
                manifest_sha256=manifest.sha256,
                epoch=number,
                first_step=start,
                last_step=end,
                units=segment_units(manifest, start, end),
                state_sha256="" if final else "cd" * 32,
                result_sha256=result_sha256(result) if final else "",
                prev=digest(receipts[-1]) if receipts else "",
                final=final,
                started=NOW,
                ended=NOW + 1,
                device="test",
            )
        )
        start = end
    return tuple(receipts)


def altered(receipts: tuple[Receipt, ...], at: int, **changes: Any) -> tuple[Receipt, ...]:
    """The chain with one receipt changed and everything after it linked anew."""
    changed = list(receipts)
    changed[at] = replace(changed[at], **changes)
    for number in range(at + 1, len(changed)):
        changed[number] = replace(changed[number], prev=digest(changed[number - 1]))
    return tuple(changed)
