"""The real training task that the benchmarks run: digits, a network whose step takes a few milliseconds on the CPU.

Shared by `giveback` and `overhead`.
"""

import hashlib
import os
from pathlib import Path
from queue import SimpleQueue

from desktop_app.adapters.supervisor import Supervisor, Tuning
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device, DeviceKind, Tier
from desktop_app.core.money import Rate, Units
from desktop_app.core.task import Blob, Lease, Limits, Manifest
from desktop_app.wire.resources import resource

DATA = resource("practice/digits-train.safetensors")
DEVICE = Device(DeviceKind.PRACTICE, "cpu-0", "CPU", 4096, 65)
THREADS = max(1, (os.cpu_count() or 2) // 2)
PARAMS: dict[str, int | float] = {
    "features": 64, "classes": 10, "width": 512, "depth": 2, "batch": 512, "steps": 1_000_000,
    "lr": 0.001, "noise": 0.5, "weight_decay": 0.01,
}  # fmt: skip
SEED = 7


def lease(blobs: Path, task_id: str) -> Lease:
    """The task, its data put where the supervisor looks for it."""
    data = DATA.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / sha256).write_bytes(data)
    limits = Limits(vram_mb=0, ram_mb=2048, disk_mb=64, wall_s=3600, step_ms=50, output_mb=64)
    manifest = Manifest(
        task_id=task_id, job_id="0x" + "12" * 32, renter="0x" + "ab" * 20, kind="train.classifier/1", tier=Tier.PRACTICE,
        inputs=(Blob("data", sha256, len(data), "safetensors"),), params=tuple(sorted(PARAMS.items())), seed=SEED,
        steps=int(PARAMS["steps"]), units=Units(1000), limits=limits, checkpoint_steps=1_000, expires=2_000_000_000, sha256="00" * 32,
    )  # fmt: skip
    return Lease(manifest, 1, "token", Rate(100_000))


def supervisor(root: Path, posted: "SimpleQueue[m.Message]") -> Supervisor:
    return Supervisor(posted.put, root / "blobs", root / "tasks", root / "logs", DEVICE, tuning=Tuning(threads=THREADS))


def figure(name: str, value: float, unit: str) -> None:
    """One line as the summary reads it."""
    print(f"{name} {value:.4g} {unit}", flush=True)
