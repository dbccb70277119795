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
from desktop_app.core.classifier import Params, shape_of
from desktop_app.core.errors import AppError
from desktop_app.core.money import Units
from desktop_app.core.receipts import Receipt, chain_refusal
from desktop_app.core.task import Blob, Manifest
from desktop_app.wire import tensors
from desktop_app.wire.bundle import catalogue, check_blob

LEAST_ACCURACY: Final = 0.95
"""Of a trained model, on rows the worker never saw."""

MOST_MISMATCHES: Final = 0.001
"""Of recomputed predictions."""

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
    params = dict(manifest.params)
    told: dict[str, int | float | str] = {name: params[name] for name in ("features", "classes", "width", "depth")}
    told["batch"] = CHECK_BATCH
    if _declared(manifest).verification is Verification.HELD_OUT:
        told["rows"] = _rows(held_out)
        return Check("check.classifier/1", {"model": files["model"], "data": held_out}, told, seed)
    told |= {"rows": params["rows"], "sample": SAMPLE_ROWS}
    inputs = {role: files[role] for role in ("model", "data", "predictions")}
    return Check("check.predictions/1", inputs, told, seed)


def judge(delivery: Delivery, metrics: Mapping[str, float]) -> Accepted | Rejected:
    """Pay or not, from the child's metrics; a figure that is not a number fails."""
    if _declared(delivery.manifest).verification is Verification.HELD_OUT:
        accuracy = metrics["accuracy"]
        if not accuracy >= LEAST_ACCURACY:
            return Rejected(f"the model is right on {accuracy:.2%} of the held-out rows; {LEAST_ACCURACY:.0%} are asked")
    elif not metrics["mismatch_fraction"] <= MOST_MISMATCHES:
        return Rejected(f"{metrics['mismatch_fraction']:.2%} of the recomputed predictions differ; at most {MOST_MISMATCHES:.1%} may")
    by_gpu: dict[int, int] = {}
    for receipt in delivery.receipts:
        by_gpu[receipt.gpu_id] = by_gpu.get(receipt.gpu_id, 0) + receipt.units
    return Accepted(tuple((gpu, Units(units)) for gpu, units in sorted(by_gpu.items())), tuple(sorted(metrics.items())))


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
        reason = check_blob(path, blob) or _layout_refusal(path, blob.role, dict(delivery.manifest.params))
        if reason is not None:
            return reason
    return None


def _layout_refusal(path: Path, role: str, params: Params) -> str | None:
    """Whether the file holds just the tensors that the kind makes, so that the check itself cannot stumble."""
    expected: dict[str, tuple[str, tuple[int, ...]]]
    if role == "model":
        expected = {name: ("F32", shape) for name, shape in shape_of(params).tensors().items()}
    else:
        rows, classes = int(params["rows"]), int(params["classes"])
        expected = {"labels": ("U8", (rows,)), "logits": ("F32", (rows, classes))}
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in _header(path).items()}
    return None if found == expected else f"the file for {role} does not hold the tensors that were asked for"


def _header(path: Path) -> dict[str, tensors.Tensor]:
    with path.open("rb") as file:
        return tensors.read_header(file, path.stat().st_size)


def _rows(path: Path) -> int:
    return _header(path)["labels"].shape[0]


def _declared(manifest: Manifest) -> Declaration:
    return catalogue()[manifest.kind]
