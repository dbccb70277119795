"""Whether the renter pays: what came back is looked at without torch, then checked in a sandboxed child, then judged.

A rejection is about the result and names the reason; a broken machine of the renter's own raises AppError instead, so that
no owner goes unpaid for it. Signatures and leases were checked before. Called by the renter, in a thread: `decide` hashes
files and waits for the child.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from desktop_app.core.catalogue import Declaration, Verification
from desktop_app.core.classifier import Params
from desktop_app.core.errors import AppError
from desktop_app.core.money import Units
from desktop_app.core.receipts import Receipt, chain_refusal
from desktop_app.core.task import Blob, Manifest
from desktop_app.renter.layouts import held_out_rows, layout_refusal
from desktop_app.renter.orders import INFER, TRAIN
from desktop_app.wire.bundle import catalogue, check_blob

LORA: Final = "train.lora/1"

_CHECKS: Final = {TRAIN: "check.classifier/1", LORA: "check.lora/1", INFER: "check.predictions/1", "embed/1": "check.embeddings/1"}

LEAST_ACCURACY: Final = 0.95
"""Of a trained model, on rows the worker never saw."""

LEAST_GAIN: Final = 0.02
"""Of an adapter: the share of the loss on held-out text that it must take away."""

MOST_MISMATCHES: Final = 0.001
"""Of recomputed predictions or embeddings."""

SAMPLE_ROWS: Final = 4096
CHECK_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came back for a task: receipts in order, result blobs, and where the files lie, results and inputs, by role."""

    manifest: Manifest
    receipts: tuple[Receipt, ...]
    result: tuple[Blob, ...]
    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Check:
    """A task for the renter's own sandboxed child: a checking kind, its input files by role, its parameters, its seed."""

    kind: str
    inputs: Mapping[str, Path]
    params: Params
    seed: int


RunCheck = Callable[[Check], Mapping[str, float]]
"""Run a check in a sandboxed child and give its metrics; AppError when the child could not run."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Pay: units by GPU (they add up to the task's), and what the check measured."""

    units: tuple[tuple[int, Units], ...]
    metrics: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Do not pay, and why."""

    reason: str


def decide(delivery: Delivery, held_out: Path, seed: int, run: RunCheck) -> Accepted | Rejected:
    """Look, check, judge. `held_out` are labelled rows that never left the renter; `seed`, drawn after delivery, picks the sample."""
    reason = chain_refusal(delivery.manifest, delivery.receipts, delivery.result) or _files_refusal(delivery)
    if reason is not None:
        return Rejected(reason)
    return judge(delivery, run(plan(delivery, held_out, seed)))


def plan(delivery: Delivery, held_out: Path, seed: int) -> Check:
    """The check that fits the task's kind."""
    manifest, files = delivery.manifest, delivery.files
    kind, params = _CHECKS[manifest.kind], dict(manifest.params)
    check = catalogue()[kind]
    told = {rule.name: params[rule.name] for rule in check.params if rule.name in params}
    roles = {role: rule.role for rule in check.inputs for role in rule.roles()}
    if manifest.kind in (TRAIN, INFER):
        told["batch"] = CHECK_BATCH
    if _declared(manifest).verification is Verification.HELD_OUT:
        inputs = {role: path for role, path in files.items() if role in roles and roles[role] != "data"} | {"data": held_out}
        return Check(kind, inputs, told | {"rows": held_out_rows(held_out, params)}, seed)
    inputs = {role: path for role, path in files.items() if role in roles}
    return Check(kind, inputs, told | {"sample": SAMPLE_ROWS}, seed)


def judge(delivery: Delivery, metrics: Mapping[str, float]) -> Accepted | Rejected:
    """Pay or not, from the child's metrics; a figure that is not a number fails."""
    reason = _metrics_refusal(delivery.manifest.kind, metrics)
    if reason is not None:
        return Rejected(reason)
    by_gpu: dict[int, int] = {}
    for receipt in delivery.receipts:
        by_gpu[receipt.gpu_id] = by_gpu.get(receipt.gpu_id, 0) + receipt.units
    return Accepted(tuple((gpu, Units(units)) for gpu, units in sorted(by_gpu.items())), tuple(sorted(metrics.items())))


def _metrics_refusal(kind: str, metrics: Mapping[str, float]) -> str | None:
    if kind == TRAIN:
        accuracy = metrics["accuracy"]
        held = accuracy >= LEAST_ACCURACY
        return None if held else f"the model is right on {accuracy:.2%} of the held-out rows; {LEAST_ACCURACY:.0%} are asked"
    if kind == LORA:
        loss, before = metrics["loss"], metrics["base_loss"]
        held = loss <= before * (1 - LEAST_GAIN)
        return None if held else f"the adapter takes the held-out loss from {before:.3f} to {loss:.3f}; {LEAST_GAIN:.0%} less is asked"
    share = metrics["mismatch_fraction"]
    what = "predictions" if kind == INFER else "embeddings"
    return None if share <= MOST_MISMATCHES else f"{share:.2%} of the recomputed {what} differ; at most {MOST_MISMATCHES:.1%} may"


def _files_refusal(delivery: Delivery) -> str | None:
    declaration = _declared(delivery.manifest)
    if sorted(blob.role for blob in delivery.result) != sorted(declaration.outputs):
        return "the result is not the files this kind makes: " + ", ".join(declaration.outputs)
    if sum(blob.bytes for blob in delivery.result) > delivery.manifest.limits.output_mb * 1_000_000:
        return "the result is larger than the task allows"
    for blob in delivery.result:
        path = delivery.files[blob.role]
        if not path.is_file():
            raise AppError("A delivered file is not on the renter's disk.", f"Fetch {path.name} again, then decide.")
        reason = check_blob(path, blob) or layout_refusal(path, blob.role, dict(delivery.manifest.params))
        if reason is not None:
            return reason
    return None


def _declared(manifest: Manifest) -> Declaration:
    return catalogue()[manifest.kind]
