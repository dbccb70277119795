"""Inference, and the renter's checks of models and predictions, on a model trained on the real digits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save, save_file

from desktop_app.core.catalogue import state_bytes, steps
from desktop_app.wire.bundle import catalogue
from tests.kinds import HELD_OUT, HELD_OUT_ROWS, copied, finished, make, only_says_what_it_wrote, run, trained
from tests.manifests import READING, TRAINING

INFER, CHECK_MODEL, CHECK = "infer.batch/1", "check.classifier/1", "check.predictions/1"
CHECKING = READING | {"sample": 200, "batch": 64}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield trained(tmp_path_factory.mktemp("model"), TRAINING | {"steps": 300})


def inputs(model: Path) -> dict[str, Path]:
    return {"model": model, "data": HELD_OUT}


def mismatches(folder: Path, model: Path, predictions: bytes, seed: int = 1, **params: int) -> float:
    path = folder / "predictions.safetensors"
    path.write_bytes(predictions)
    _, metrics = finished(CHECK, inputs(model) | {"predictions": path}, CHECKING | params, seed)
    return metrics["mismatch_fraction"]


def test_it_reads_digits_it_never_saw(model: Path) -> None:
    files, metrics = finished(INFER, inputs(model), READING)
    predictions = load(files["predictions"])
    right = (predictions["labels"] == load_file(HELD_OUT)["labels"]).float().mean().item()
    assert right > 0.93
    assert predictions["logits"].shape == (HELD_OUT_ROWS, 10)
    assert predictions["logits"].dtype == torch.float32
    assert 0.8 < metrics["mean_confidence"] <= 1


@pytest.mark.parametrize("stop", [0, 1, 5, 6])
def test_a_resumed_run_ends_with_the_same_bits(model: Path, stop: int) -> None:
    whole = finished(INFER, inputs(model), READING)
    first = make(INFER, inputs(model), READING)
    assert first.steps == steps(catalogue()[INFER], READING) == 6
    run(first, 0, stop)
    assert only_says_what_it_wrote(first, stop)
    state = copied(first)
    assert sum(tensor.nbytes for tensor in state.values()) <= state_bytes(catalogue()[INFER], READING)
    second = make(INFER, inputs(model), READING)
    second.restore(state)
    run(second, stop)
    assert second.result() == whole
    assert second.step(0) is None


def test_the_number_of_rows_is_checked(model: Path) -> None:
    with pytest.raises(ValueError, match="355 rows, the task says 356"):
        make(INFER, inputs(model), READING | {"rows": 356})
    with pytest.raises(ValueError, match="355 rows, the check says 354"):
        make(CHECK_MODEL, inputs(model), READING | {"rows": 354})


def altered_model(folder: Path, model: Path, **changes: torch.Tensor | None) -> Path:
    tensors = load_file(model) | {name.replace("_", "."): tensor for name, tensor in changes.items()}
    path = folder / "altered.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    return path


def test_a_model_that_does_not_fit_is_refused_in_words(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ValueError, match="not those of a classifier of this depth"):
        make(INFER, inputs(model), READING | {"depth": 3})
    with pytest.raises(ValueError, match=r"layers\.0\.weight is not float32 of shape \[48, 64\]"):
        make(INFER, inputs(model), READING | {"width": 48})
    with pytest.raises(ValueError, match="not those of a classifier"):
        make(INFER, inputs(altered_model(tmp_path, model, input_scale=None)), READING)
    with pytest.raises(ValueError, match=r"input\.scale is not float32"):
        make(INFER, inputs(altered_model(tmp_path, model, input_scale=torch.ones(1).double())), READING)
    with pytest.raises(ValueError, match="infinite or not numbers"):
        make(INFER, inputs(altered_model(tmp_path, model, input_scale=torch.tensor([float("nan")]))), READING)


def test_outputs_beyond_numbers_are_said(tmp_path: Path, model: Path) -> None:
    kind = make(INFER, inputs(altered_model(tmp_path, model, input_scale=torch.tensor([3e38]))), READING)
    with pytest.raises(ValueError, match="outputs are infinite"):
        run(kind)


def test_accuracy_is_measured_and_nonsense_scores_badly(tmp_path: Path, model: Path) -> None:
    _, metrics = finished(CHECK_MODEL, inputs(model), READING)
    labels = load_file(HELD_OUT)["labels"]
    files, _ = finished(INFER, inputs(model), READING)
    assert metrics == {"accuracy": int((load(files["predictions"])["labels"] == labels).sum()) / HELD_OUT_ROWS}
    nonsense = altered_model(tmp_path, model, input_scale=torch.tensor([float("nan")]))
    assert finished(CHECK_MODEL, inputs(nonsense), READING)[1]["accuracy"] < 0.3


def test_honest_predictions_match(tmp_path: Path, model: Path) -> None:
    files, _ = finished(INFER, inputs(model), READING | {"batch": 50})  # other batches than the check's
    assert mismatches(tmp_path, model, files["predictions"]) == 0
    assert mismatches(tmp_path, model, files["predictions"], sample=100_000) == 0


def test_a_cheaper_model_is_found_out(tmp_path: Path, model: Path) -> None:
    rough = {name: tensor.bfloat16().float() for name, tensor in load_file(model).items()}
    save_file(rough, tmp_path / "rough.safetensors")
    files, _ = finished(INFER, inputs(tmp_path / "rough.safetensors"), READING)
    assert mismatches(tmp_path, model, files["predictions"]) > 0.5


@pytest.mark.parametrize("cheat", ["labels", "labels beyond the classes", "logits", "copied rows", "nan", "infinite"])
def test_predictions_that_lie_mismatch(tmp_path: Path, model: Path, cheat: str) -> None:
    files, _ = finished(INFER, inputs(model), READING)
    told = load(files["predictions"])
    match cheat:
        case "labels":
            told["labels"] = (told["labels"] + 1) % 10
        case "labels beyond the classes":
            told["labels"][:] = 255
        case "logits":
            told["logits"] = torch.nn.functional.one_hot(told["labels"].long(), 10).float()
        case "copied rows":
            told = {"labels": told["labels"][:1].repeat(HELD_OUT_ROWS), "logits": told["logits"][:1].repeat(HELD_OUT_ROWS, 1)}
        case "nan":
            told["logits"][:] = float("nan")
        case _:
            told["logits"][:] = float("inf")
    assert mismatches(tmp_path, model, save(told)) > 0.8


def test_the_sample_is_the_checkers_to_draw(tmp_path: Path, model: Path) -> None:
    files, _ = finished(INFER, inputs(model), READING)
    told = load(files["predictions"])
    told["labels"][::5] = 255  # one in five is wrong
    found = {mismatches(tmp_path, model, save(told), seed, sample=50) for seed in range(6)}
    assert len(found) > 1
    assert all(0.02 < share < 0.5 for share in found)
    assert mismatches(tmp_path, model, save(told), sample=100_000) == 71 / HELD_OUT_ROWS


@pytest.mark.parametrize(
    "told",
    [
        {"logits": torch.zeros(HELD_OUT_ROWS, 10)},
        {"labels": torch.zeros(HELD_OUT_ROWS), "logits": torch.zeros(HELD_OUT_ROWS, 10)},
        {"labels": torch.zeros(HELD_OUT_ROWS, dtype=torch.uint8)},
        {"labels": torch.zeros(HELD_OUT_ROWS, dtype=torch.uint8), "logits": torch.zeros(HELD_OUT_ROWS, 9)},
        {"labels": torch.zeros(1, dtype=torch.uint8), "logits": torch.zeros(1, 10)},
    ],
)
def test_predictions_of_another_shape_are_refused_in_words(tmp_path: Path, model: Path, told: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="the predictions have no"):
        mismatches(tmp_path, model, save(told))


def test_checks_keep_their_count_like_any_task(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "predictions.safetensors"
    path.write_bytes(save({"labels": torch.zeros(HELD_OUT_ROWS, dtype=torch.uint8), "logits": torch.zeros(HELD_OUT_ROWS, 10)}))
    for kind, files, params in ((CHECK_MODEL, inputs(model), READING), (CHECK, inputs(model) | {"predictions": path}, CHECKING)):
        whole = finished(kind, files, params)
        first = make(kind, files, params)
        assert first.steps == steps(catalogue()[kind], params)
        run(first, 0, 2)
        second = make(kind, files, params)
        second.restore(copied(first))
        run(second, 2)
        assert second.result() == whole
