"""Adapters and embeddings: paid when they are worth something to the renter, and never when they are something else."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save, save_file

from desktop_app.core.catalogue import limits, reference_units, steps
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.renter.acceptance import Accepted, Check, Delivery, Rejected, decide, judge, plan
from desktop_app.wire.bundle import catalogue
from tests.kinds import finished
from tests.language import CONTEXT, LEARNING, huggingface, saved, shard, text
from tests.manifests import chain, written

Params = dict[str, int | float | str]
ENCODER: Params = {
    "vocab": 256, "hidden": 32, "layers": 2, "heads": 4, "intermediate": 64, "positions": 16, "types": 2, "eps": 1e-12,
    "rows": 40, "length": 16, "batch": 8, "bf16": 0,
}  # fmt: skip


def checked(check: Check) -> Mapping[str, float]:
    """The check, run here instead of in a sandboxed child."""
    return finished(check.kind, check.inputs, check.params, check.seed)[1]


def never(check: Check) -> Mapping[str, float]:
    raise AssertionError("this result should have been refused before any check")


def manifest(kind: str, params: Params, inputs: Mapping[str, Path]) -> Manifest:
    declaration = catalogue()[kind]
    blobs = tuple(Blob(role, "ab" * 32, path.stat().st_size, "safetensors") for role, path in inputs.items())
    return replace(
        written()[0], kind=kind, params=tuple(sorted(params.items())), inputs=blobs, steps=steps(declaration, params),
        units=reference_units(declaration, Tier.PRACTICE, params), limits=limits(declaration, Tier.PRACTICE, params, blobs),
    )  # fmt: skip


def delivery(folder: Path, asked: Manifest, inputs: Mapping[str, Path], files: Mapping[str, bytes]) -> Delivery:
    result, places = [], dict(inputs)
    for role, content in sorted(files.items()):
        places[role] = folder / f"delivered-{role}"
        places[role].write_bytes(content)
        result.append(Blob(role, hashlib.sha256(content).hexdigest(), len(content), "jsonl" if content[:1] == b"{" else "safetensors"))
    return Delivery(asked, chain(asked, tuple(result)), tuple(result), places)


def reason(outcome: Accepted | Rejected) -> str:
    assert isinstance(outcome, Rejected)
    return outcome.reason


Tuned = tuple[Manifest, dict[str, Path], dict[str, bytes], Path]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A task, its inputs (the model in several parts), what an honest worker makes of it, and the renter's held-out text."""
    folder = tmp_path_factory.mktemp("tuned")
    params = LEARNING | {"steps": 60}
    inputs = saved(huggingface(params), folder / "model", "30KB")
    inputs |= {"data": shard(folder / "data", text(0, 5000)), "data_2": shard(folder / "more", text(5000, 11_000))}
    files, _ = finished("train.lora/1", inputs, params)
    return manifest("train.lora/1", params, inputs), inputs, files, shard(folder / "held-out", text(11_000, 11_000 + 10 * CONTEXT + 5))


def test_an_adapter_that_learned_is_paid(tmp_path: Path, tuned: Tuned) -> None:
    asked, inputs, files, held_out = tuned
    delivered = delivery(tmp_path, asked, inputs, files)
    check = plan(delivered, held_out, seed=3)
    assert check.inputs["data"] == held_out
    assert "model_2" in check.inputs
    assert "data_2" not in check.inputs
    assert (check.kind, check.params["rows"], check.seed) == ("check.lora/1", 10, 3)
    assert set(check.params) == {rule.name for rule in catalogue()[check.kind].params}
    outcome = decide(delivered, held_out, seed=3, run=checked)
    assert isinstance(outcome, Accepted)
    assert sum(units for _, units in outcome.units) == asked.units


def test_an_adapter_that_learned_nothing_is_not_paid(tmp_path: Path, tuned: Tuned) -> None:
    asked, inputs, files, held_out = tuned
    for change in (torch.zeros_like, lambda tensor: tensor * float("nan")):
        lazy = save({name: change(tensor) for name, tensor in load(files["adapter"]).items()})
        said = reason(decide(delivery(tmp_path, asked, inputs, files | {"adapter": lazy}), held_out, seed=1, run=checked))
        assert said.startswith("the adapter takes the held-out loss from 5.")
        assert said.endswith("2% less is asked")


@pytest.mark.parametrize(("loss", "paid"), [(4.9, True), (4.901, False), (float("nan"), False)])
def test_the_bar_for_adapters(tmp_path: Path, tuned: Tuned, loss: float, paid: bool) -> None:
    asked, inputs, files, _ = tuned
    assert isinstance(judge(delivery(tmp_path, asked, inputs, files), {"loss": loss, "base_loss": 5.0}), Accepted) is paid


def test_other_files_than_the_kind_makes_are_not_paid(tmp_path: Path, tuned: Tuned) -> None:
    asked, inputs, files, held_out = tuned
    told = json.loads(files["adapter_config"])
    odd: dict[str, object]
    for odd in (told | {"auto_mapping": {"parent_library": "evil"}}, told | {"r": 5}, {}):
        changed = files | {"adapter_config": json.dumps(odd, sort_keys=True).encode() + b"\n"}
        said = reason(decide(delivery(tmp_path, asked, inputs, changed), held_out, seed=1, run=never))
        assert said == "the adapter's configuration is not the one that the parameters make"
    fewer = save(dict(list(load(files["adapter"]).items())[:-1]))
    said = reason(decide(delivery(tmp_path, asked, inputs, files | {"adapter": fewer}), held_out, seed=1, run=never))
    assert said == "the file for adapter does not hold the tensors that were asked for"
    said = reason(decide(delivery(tmp_path, asked, inputs, {"adapter": files["adapter"]}), held_out, seed=1, run=never))
    assert said == "the result is not the files this kind makes: adapter, adapter_config"


@pytest.fixture
def embedded(tmp_path: Path) -> Delivery:
    """A small encoder of Hugging Face's making, some rows, and an honest worker's vectors."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=256, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=16
    )
    inputs = saved(BertModel(config), tmp_path / "encoder")
    rows = text(0, 40 * 16).view(40, 16)
    save_file({"input_ids": rows, "attention_mask": torch.ones(40, 16, dtype=torch.uint8)}, tmp_path / "rows")
    inputs["data"] = tmp_path / "rows"
    files, _ = finished("embed/1", inputs, ENCODER)
    return delivery(tmp_path, manifest("embed/1", ENCODER, inputs), inputs, files)


def test_honest_embeddings_are_paid_and_others_are_not(tmp_path: Path, embedded: Delivery) -> None:
    check = plan(embedded, tmp_path, seed=9)
    assert (check.kind, check.params["sample"], set(check.inputs)) == ("check.embeddings/1", 4096, {"model", "data", "embeddings"})
    assert isinstance(decide(embedded, tmp_path, seed=9, run=checked), Accepted)
    inputs = {role: path for role, path in embedded.files.items() if role != "embeddings"}
    vectors = load(embedded.files["embeddings"].read_bytes())["embeddings"]
    swapped = delivery(tmp_path, embedded.manifest, inputs, {"embeddings": save({"embeddings": vectors.roll(1, 0)})})
    assert "of the recomputed embeddings differ; at most 0.1% may" in reason(decide(swapped, tmp_path, seed=9, run=checked))
    short = delivery(tmp_path, embedded.manifest, inputs, {"embeddings": save({"embeddings": vectors[1:].clone()})})
    assert "does not hold the tensors" in reason(decide(short, tmp_path, seed=9, run=never))
