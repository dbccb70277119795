"""Data several times larger than the memory a worker may use: in the real sandbox with its real limits, to the same end as ever."""

import json
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save

from desktop_app.adapters.supervisor import Tuning
from desktop_app.core import messages as m
from desktop_app.core.catalogue import steps
from desktop_app.core.classifier import shape_of
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate, Units
from desktop_app.core.task import Blob, Lease, Limits, Manifest
from desktop_app.wire.bundle import catalogue
from tests.adapters.supervisor_house import House, house
from tests.manifests import SHAPE, TRAINING

RAM_MB = 512
ROWS, FEATURES = 500_000, 768
WIDE = SHAPE | {"features": FEATURES}
READING = WIDE | {"rows": ROWS, "batch": 8_192}
LIMITS = Limits(vram_mb=0, ram_mb=RAM_MB, disk_mb=4096, wall_s=600, step_ms=50, output_mb=64)


pytestmark = pytest.mark.timeout(600)  # gigabytes, read at the lowest priority


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, Tuning(threads=1)) as opened:
        yield opened


def large(path: Path, *, labels: bool) -> Blob:
    """Rows of float32 that take 1.5 GB to read and, being holes, none to keep; the last row alone is not zero."""
    images = 4 * ROWS * FEATURES
    told = {"images": {"dtype": "F32", "shape": [ROWS, FEATURES], "data_offsets": [0, images]}}
    if labels:
        told["labels"] = {"dtype": "U8", "shape": [ROWS], "data_offsets": [images, images + ROWS]}
    head = json.dumps(told).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.seek(images - 4, 1)
        file.write(struct.pack("<f", 3.0))
        file.truncate(8 + len(head) + images + (ROWS if labels else 0))
    return Blob("data", path.name, path.stat().st_size, "safetensors")


def model(home: House) -> Blob:
    """A network of any weights."""
    torch.manual_seed(1)
    data = save({name: torch.randn(shape) for name, shape in shape_of(WIDE).tensors().items()})
    return Blob("model", home.put(data), len(data), "safetensors")


def lease(kind: str, inputs: tuple[Blob, ...], params: dict[str, int | float | str]) -> Lease:
    count = steps(catalogue()[kind], params)
    manifest = Manifest(
        task_id="1a2b3c4d", job_id="0x" + "12" * 32, renter="0x" + "ab" * 20, kind=kind, tier=Tier.PRACTICE, inputs=inputs,
        params=tuple(sorted(params.items())), seed=7, steps=count, units=Units(1000), limits=LIMITS, checkpoint_steps=count,
        expires=2_000_000_000, sha256="00" * 32,
    )  # fmt: skip
    return Lease(manifest, 1, "token", Rate(100_000))


def finished(home: House, asked: Lease) -> tuple[m.WorkerFinished, float]:
    """How the task ended, and the most private memory, in MB, that its worker was seen with."""
    home.supervisor.start(asked, None)
    most, end, worker = 0.0, time.monotonic() + 500, None
    while time.monotonic() < end:
        for one in home.quiet(0.1):
            match one:
                case m.WorkerStarted(_, pid):
                    worker = psutil.Process(pid)
                case m.WorkerFinished():
                    return one, most
                case m.WorkerFailed():
                    raise AssertionError(one)
        with suppress(psutil.NoSuchProcess):
            most = max(most, (worker.memory_info().rss - worker.memory_info().shared) / 1e6 if worker else 0.0)
    raise AssertionError(f"it took too long: {home.seen[-3:]}")


def test_training_on_data_three_times_its_memory(home: House) -> None:
    data = large(home.blob("da" * 32), labels=True)
    assert data.bytes > 2.8 * RAM_MB * 1e6
    done, most = finished(home, lease("train.classifier/1", (data,), TRAINING | {"features": FEATURES, "steps": 200, "batch": 512}))
    assert dict(done.metrics)["train_accuracy"] > 0.9, "all are of one class"
    model = load_file(home.blob(done.result[0].sha256))
    mean = model["input.mean"]
    assert mean[:-1].abs().max() == 0 and mean[-1] == pytest.approx(3.0 / ROWS), "the last row was read"
    assert most < RAM_MB


def test_reading_data_three_times_its_memory(home: House) -> None:
    network = model(home)
    data = large(home.blob("db" * 32), labels=False)
    done, most = finished(home, lease("infer.batch/1", (network, data), READING))
    told = load_file(home.blob(done.result[0].sha256))
    assert told["labels"].shape == (ROWS,)
    assert bool((told["logits"][:-1] == told["logits"][0]).all()) and bool((told["logits"][-1] != told["logits"][0]).any())
    assert most < RAM_MB


def test_results_larger_than_the_room_for_them_end_the_task(home: House) -> None:
    network = model(home)
    data = large(home.blob("dc" * 32), labels=False)
    asked = lease("infer.batch/1", (network, data), READING)
    small = replace(asked.manifest, limits=replace(LIMITS, output_mb=10))
    home.supervisor.start(replace(asked, manifest=small), None)
    assert "larger than the" in home.until(m.WorkerFailed, 300).detail
