"""What the renter pays for and what it does not, on real results of real kinds."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save

from desktop_app.core.errors import AppError
from desktop_app.core.task import Blob, Manifest
from desktop_app.renter.acceptance import Accepted, Check, Delivery, Rejected, decide, judge, plan
from tests.kinds import HELD_OUT, HELD_OUT_ROWS, TRAIN_DATA, finished
from tests.manifests import altered, chain, written

TRAIN, _ = written(width=64, batch=64, steps=150)


def checked(check: Check) -> Mapping[str, float]:
    """The check, run here instead of in a sandboxed child."""
    return finished(check.kind, check.inputs, check.params, check.seed)[1]


def never(check: Check) -> Mapping[str, float]:
    raise AssertionError("this result should have been refused before any check")


def delivery(folder: Path, manifest: Manifest, files: Mapping[str, Path], role: str, content: bytes, *ends: int) -> Delivery:
    """A delivery of one result file, with honest receipts for it."""
    path = folder / f"{role}.safetensors"
    path.write_bytes(content)
    result = (Blob(role, hashlib.sha256(content).hexdigest(), len(content), "safetensors"),)
    return Delivery(manifest, chain(manifest, result, *ends), result, {**files, role: path})


@pytest.fixture(scope="module")
def model() -> bytes:
    files, _ = finished("train.classifier/1", {"data": TRAIN_DATA}, dict(TRAIN.params), TRAIN.seed)
    return files["model"]


@pytest.fixture
def trained(tmp_path: Path, model: bytes) -> Delivery:
    return delivery(tmp_path, TRAIN, {"data": TRAIN_DATA}, "model", model, 40, 90)


def reason(outcome: Accepted | Rejected) -> str:
    assert isinstance(outcome, Rejected)
    return outcome.reason


def test_a_good_model_is_paid_to_everyone_who_worked_on_it(trained: Delivery) -> None:
    outcome = decide(trained, HELD_OUT, seed=1, run=checked)
    assert isinstance(outcome, Accepted)
    assert dict(outcome.metrics)["accuracy"] >= 0.95
    assert outcome.units == tuple((number, receipt.units) for number, receipt in enumerate(trained.receipts, start=1))
    assert sum(units for _, units in outcome.units) == TRAIN.units


def test_one_machine_that_came_back_is_paid_once_for_both_parts(trained: Delivery) -> None:
    same = altered(trained.receipts, 2, gpu_id=1)
    outcome = decide(replace(trained, receipts=same), HELD_OUT, seed=1, run=checked)
    assert isinstance(outcome, Accepted)
    assert outcome.units == ((1, same[0].units + same[2].units), (2, same[1].units))


def test_a_model_that_learned_too_little_is_not_paid(tmp_path: Path, model: bytes) -> None:
    dull = {name: torch.zeros_like(tensor) for name, tensor in load(model).items()}
    outcome = decide(delivery(tmp_path, TRAIN, {"data": TRAIN_DATA}, "model", save(dull)), HELD_OUT, seed=1, run=checked)
    assert "of the held-out rows; 95% are asked" in reason(outcome)


@pytest.mark.parametrize(("accuracy", "paid"), [(0.95, True), (0.9499, False), (float("nan"), False)])
def test_the_bar_for_models(trained: Delivery, accuracy: float, paid: bool) -> None:
    assert isinstance(judge(trained, {"accuracy": accuracy}), Accepted) is paid


def test_a_chain_that_lies_is_not_paid(trained: Delivery) -> None:
    greedy = altered(trained.receipts, 1, units=10**6)
    assert "claims units" in reason(decide(replace(trained, receipts=greedy), HELD_OUT, seed=1, run=never))
    swapped = replace(trained.result[0], sha256="00" * 32)
    assert "another result" in reason(decide(replace(trained, result=(swapped,)), HELD_OUT, seed=1, run=never))


def test_a_file_that_is_not_the_promised_one_is_not_paid(trained: Delivery) -> None:
    path = trained.files["model"]
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert "its hash differs" in reason(decide(trained, HELD_OUT, seed=1, run=never))


def test_a_file_the_renter_lost_is_the_renters_trouble(trained: Delivery) -> None:
    trained.files["model"].unlink()
    with pytest.raises(AppError, match="not on the renter's disk"):
        decide(trained, HELD_OUT, seed=1, run=never)


def test_a_pickle_is_not_paid(tmp_path: Path) -> None:
    evil = delivery(tmp_path, TRAIN, {"data": TRAIN_DATA}, "model", pickle.dumps({"layers": [1]}))
    assert "Python pickle" in reason(decide(evil, HELD_OUT, seed=1, run=never))


def test_another_kind_of_result_is_not_paid(tmp_path: Path, model: bytes) -> None:
    other = delivery(tmp_path, TRAIN, {"data": TRAIN_DATA}, "weights", model)
    assert reason(decide(other, HELD_OUT, seed=1, run=never)) == "the result is not the files this kind makes: model"


def test_other_tensors_are_not_paid(tmp_path: Path, model: bytes) -> None:
    tensors = load(model)
    for odd in (tensors | {"more": torch.zeros(1)}, tensors | {"input.scale": torch.ones(1).double()}, {}):
        outcome = decide(delivery(tmp_path, TRAIN, {"data": TRAIN_DATA}, "model", save(odd)), HELD_OUT, seed=1, run=never)
        assert reason(outcome) == "the file for model does not hold the tensors that were asked for"


def test_a_result_larger_than_allowed_is_not_paid(tmp_path: Path, model: bytes) -> None:
    small = replace(TRAIN, limits=replace(TRAIN.limits, output_mb=0))
    outcome = decide(delivery(tmp_path, small, {"data": TRAIN_DATA}, "model", model), HELD_OUT, seed=1, run=never)
    assert reason(outcome) == "the result is larger than the task allows"


@pytest.fixture
def predicted(tmp_path: Path, model: bytes) -> Delivery:
    manifest, _ = written("infer.batch/1", width=64, rows=HELD_OUT_ROWS)
    path = tmp_path / "base.safetensors"
    path.write_bytes(model)
    files = {"model": path, "data": HELD_OUT}
    made, _ = finished("infer.batch/1", files, dict(manifest.params))
    return delivery(tmp_path, manifest, files, "predictions", made["predictions"], 2)


def test_honest_predictions_are_paid(predicted: Delivery) -> None:
    outcome = decide(predicted, HELD_OUT, seed=5, run=checked)
    assert isinstance(outcome, Accepted)
    assert outcome.metrics == (("mismatch_fraction", 0.0),)


def test_the_checks_sample_is_drawn_by_the_renters_seed(predicted: Delivery) -> None:
    check = plan(predicted, HELD_OUT, seed=99)
    assert (check.kind, check.seed, check.params["sample"]) == ("check.predictions/1", 99, 4096)
    assert check.inputs == {role: predicted.files[role] for role in ("model", "data", "predictions")}


def test_made_up_predictions_are_not_paid(tmp_path: Path, predicted: Delivery) -> None:
    told = load_file(predicted.files["predictions"])
    told["logits"] = told["logits"].roll(1, dims=0)
    told["labels"] = told["labels"].roll(1, dims=0)
    lie = delivery(tmp_path, predicted.manifest, predicted.files, "predictions", save(told))
    assert "of the recomputed predictions differ; at most 0.1% may" in reason(decide(lie, HELD_OUT, seed=1, run=checked))


@pytest.mark.parametrize(("share", "paid"), [(0.001, True), (0.0011, False), (float("nan"), False)])
def test_the_bar_for_predictions(predicted: Delivery, share: float, paid: bool) -> None:
    assert isinstance(judge(predicted, {"mismatch_fraction": share}), Accepted) is paid


def test_fewer_predictions_than_rows_are_not_paid(tmp_path: Path, predicted: Delivery) -> None:
    told = {name: tensor[:-1].clone() for name, tensor in load_file(predicted.files["predictions"]).items()}
    short = delivery(tmp_path, predicted.manifest, predicted.files, "predictions", save(told))
    assert "does not hold the tensors" in reason(decide(short, HELD_OUT, seed=1, run=never))
