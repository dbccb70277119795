"""The renter's check of an adapter: an honest one is worth something on text it never saw, anything else is not."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save, save_file

from desktop_app.core.catalogue import state_bytes, steps
from desktop_app.wire.bundle import catalogue
from tests.kinds import copied, finished, make, run
from tests.language import ADAPTER, CONTEXT, LEARNING, MODEL, huggingface, saved, shard, text

KIND = "check.lora/1"
BYTES = 11_000  # of the licence: what is left of its 11,357 is held out
ROWS = 10
CHECKING: dict[str, int | float | str] = MODEL | ADAPTER | {"rows": ROWS, "batch": 4, "bf16": 0}

Inputs = dict[str, Path]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("checked")
    model = saved(huggingface(LEARNING), folder / "model")
    files, _ = finished("train.lora/1", model | {"data": shard(folder / "text", text(0, BYTES))}, LEARNING | {"steps": 60})
    (folder / "adapter.safetensors").write_bytes(files["adapter"])
    return model | {"adapter": folder / "adapter.safetensors", "data": shard(folder / "held-out", text(BYTES, BYTES + ROWS * CONTEXT))}


def scores(folder: Path, inputs: Inputs, adapter: dict[str, torch.Tensor]) -> dict[str, float]:
    save_file(adapter, folder / "adapter")
    return finished(KIND, inputs | {"adapter": folder / "adapter"}, CHECKING)[1]


def test_an_honest_adapter_is_better_than_none(inputs: Inputs) -> None:
    files, metrics = finished(KIND, inputs, CHECKING)
    assert files == {}
    assert metrics["loss"] < 0.9 * metrics["base_loss"]
    with torch.no_grad():
        tokens = text(BYTES, BYTES + ROWS * CONTEXT).long().view(ROWS, CONTEXT)
        theirs = huggingface(LEARNING)(input_ids=tokens, labels=tokens).loss.item()
    assert metrics["base_loss"] == pytest.approx(theirs, rel=1e-5)


def test_nothing_learned_is_no_better_and_the_opposite_of_it_is_worse(tmp_path: Path, inputs: Inputs) -> None:
    honest = load(inputs["adapter"].read_bytes())
    nothing = scores(tmp_path, inputs, {name: torch.zeros_like(tensor) for name, tensor in honest.items()})
    assert nothing["loss"] == nothing["base_loss"]
    backwards = scores(tmp_path, inputs, {name: -tensor if "lora_B" in name else tensor for name, tensor in honest.items()})
    assert backwards["loss"] > backwards["base_loss"]  # noise may be better than a model whose weights are noise
    nan = scores(tmp_path, inputs, {name: tensor * float("nan") for name, tensor in honest.items()})
    assert nan["loss"] == 100


def test_other_tensors_than_asked_for_are_refused_in_words(tmp_path: Path, inputs: Inputs) -> None:
    honest = load(inputs["adapter"].read_bytes())
    first = next(iter(honest))
    for odd in ({}, honest | {"more": torch.zeros(1)}, honest | {first: honest[first][:-1].clone()}):
        with pytest.raises(ValueError, match="not those that the parameters describe"):
            scores(tmp_path, inputs, odd)
    with pytest.raises(ValueError, match="not float32"):
        scores(tmp_path, inputs, {name: tensor.half() for name, tensor in honest.items()})
    with pytest.raises(ValueError, match="makes 10 rows, the check says 11"):
        make(KIND, inputs, CHECKING | {"rows": 11})


def test_a_check_keeps_its_sums_like_any_task(inputs: Inputs) -> None:
    whole = finished(KIND, inputs, CHECKING)
    first = make(KIND, inputs, CHECKING)
    assert first.steps == steps(catalogue()[KIND], CHECKING) == 3
    run(first, 0, 2)
    state = copied(first)
    assert sum(tensor.nbytes for tensor in state.values()) <= state_bytes(catalogue()[KIND], CHECKING)
    second = make(KIND, inputs, CHECKING)
    second.restore(state)
    run(second, 2)
    assert second.result() == whole


def test_a_smaller_model_is_not_the_one_it_was_trained_on(tmp_path: Path, inputs: Inputs) -> None:
    adapter = {name: tensor for name, tensor in load(inputs["adapter"].read_bytes()).items() if ".layers.0." in name}
    with pytest.raises(ValueError, match="not those that the parameters describe"):
        scores(tmp_path, inputs, adapter)
    assert save(adapter)
