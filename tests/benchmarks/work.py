"""The real tasks that the benchmarks run: training on the digits, and reading many rows; steps of a few milliseconds on the CPU.

Shared by `giveback` and `overhead`.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from desktop_app.adapters.supervisor import Supervisor, Tuning
from desktop_app.core import messages as m
from desktop_app.core.catalogue import steps
from desktop_app.core.classifier import shape_of
from desktop_app.core.gpu import Device, DeviceKind, Tier
from desktop_app.core.money import Rate, Units
from desktop_app.core.task import Blob, Lease, Limits, Manifest
from desktop_app.wire import tensors
from desktop_app.wire.bundle import catalogue
from desktop_app.wire.resources import resource

DATA = resource("practice/digits-train.safetensors")
DEVICE = Device(DeviceKind.PRACTICE, "cpu-0", "CPU", 4096, 65)
CUDA_RAM_MB = 8192  # what CUDA keeps in the host's memory counts too; how much that is was not measured
THREADS = max(1, (os.cpu_count() or 2) // 2)
PARAMS: dict[str, int | float | str] = {
    "features": 64, "classes": 10, "width": 512, "depth": 2, "batch": 512, "steps": 1_000_000,
    "lr": 0.001, "noise": 0.5, "weight_decay": 0.01,
}  # fmt: skip
SEED = 7
_READING: dict[str, int | float | str] = {"features": 64, "classes": 10, "width": 1024, "depth": 3, "rows": 1_000_000, "batch": 32}


@dataclass(frozen=True, slots=True)
class Work:
    """A task by its kind and parameters; `roles` are its inputs."""

    kind: str
    params: Mapping[str, int | float | str]
    roles: tuple[str, ...] = ("data",)


TASKS = {"train": Work("train.classifier/1", PARAMS), "infer": Work("infer.batch/1", _READING, ("model", "data"))}


def inputs(task: Work, folder: Path) -> dict[str, Path]:
    """The task's input files by role, made in `folder` at the first asking."""
    if task.roles == ("data",):
        return {"data": DATA}
    places = {role: folder / f"{role}.safetensors" for role in task.roles}
    if not places["data"].exists():
        draws = np.random.default_rng(SEED)
        rows = (int(task.params["rows"]), int(task.params["features"]))
        weights = {
            name: ("F32", shape, (0.05 * draws.standard_normal(shape, dtype=np.float32)).tobytes())
            for name, shape in shape_of(task.params).tensors().items()
        }
        places["model"].write_bytes(tensors.pack(weights))
        images = draws.integers(0, 256, rows, dtype=np.uint8).tobytes()
        places["data"].write_bytes(tensors.pack({"images": ("U8", rows, images)}))
    return places


def lease(blobs: Path, task_id: str, task: Work = TASKS["train"], ram_mb: int = 2048) -> Lease:
    """The task, its data put where the supervisor looks for it."""
    blobs.mkdir(parents=True, exist_ok=True)
    named = []
    for role, place in inputs(task, blobs.parent.parent).items():
        data = place.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        (blobs / sha256).write_bytes(data)
        named.append(Blob(role, sha256, len(data), "safetensors"))
    limits = Limits(vram_mb=0, ram_mb=ram_mb, disk_mb=256, wall_s=3600, step_ms=50, output_mb=64)
    count = steps(catalogue()[task.kind], task.params)
    manifest = Manifest(
        task_id=task_id, job_id="0x" + "12" * 32, renter="0x" + "ab" * 20, kind=task.kind, tier=Tier.PRACTICE, inputs=tuple(named),
        params=tuple(sorted(task.params.items())), seed=SEED, steps=count, units=Units(1000), limits=limits,
        checkpoint_steps=1_000, expires=2_000_000_000, sha256="00" * 32,
    )  # fmt: skip
    return Lease(manifest, 1, "token", Rate(100_000))


def supervisor(root: Path, posted: "SimpleQueue[m.Message]") -> Supervisor:
    return Supervisor(posted.put, root / "blobs", root / "tasks", root / "logs", DEVICE, tuning=Tuning(threads=THREADS))


def figure(name: str, value: float, unit: str) -> None:
    """One line as the summary reads it."""
    print(f"{name} {value:.4g} {unit}", flush=True)
