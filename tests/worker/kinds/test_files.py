"""Data that is looked at a window at a time: the same rows, the same figures, the same refusals as when it is read whole."""

import json
import struct
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save, save_file

from desktop_app.wire.arena import TensorSpec
from desktop_app.worker.kinds import files
from desktop_app.worker.kinds.files import Rows, read
from desktop_app.worker.kinds.filling import Filling
from desktop_app.worker.kinds.mapped import Mapped
from tests.kinds import TRAIN_DATA, copied, finished, make, run
from tests.manifests import TRAINING

CPU = torch.device("cpu")
KIND = "train.classifier/1"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be held: every data file is larger than the window."""
    monkeypatch.setattr(files, "WINDOW", 4_096)
    monkeypatch.setattr(files, "RESIDENT", 8_192)


def data(folder: Path, **tensors: torch.Tensor) -> Path:
    path = folder / "data.safetensors"
    save_file(tensors, path)
    return path


def test_rows_are_the_files_own_whichever_way_they_are_asked_for(tmp_path: Path) -> None:
    images, labels = torch.randint(0, 256, (100, 3, 4), dtype=torch.uint8), torch.randint(0, 5, (100,))
    rows = Rows(data(tmp_path, images=images, labels=labels), 12, CPU, 5)
    picked = torch.tensor([3, 99, 3])
    assert len(rows) == 100
    assert torch.equal(rows.some(slice(90, 120)), images[90:].flatten(1).float())
    assert torch.equal(rows.some(picked), images[picked].flatten(1).float())
    assert torch.equal(rows.labels(picked), labels[picked])
    with pytest.raises(ValueError, match="no labels"):
        Rows(data(tmp_path, images=images), 12, CPU).labels(picked)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_moments_by_windows_are_those_of_the_whole(tmp_path: Path, narrow: None, dtype: torch.dtype) -> None:
    images = (100 + 40 * torch.randn(3_000, 7)).clamp(0, 255).to(dtype)
    mean, spread = Rows(data(tmp_path, images=images), 7, CPU).moments()
    assert torch.allclose(mean, images.double().mean(dim=0).float(), rtol=1e-6)
    assert spread == pytest.approx(images.double().std(correction=0).item(), rel=1e-9)


def test_what_does_not_fit_is_found_in_whichever_window_it_lies(tmp_path: Path, narrow: None) -> None:
    images, labels = torch.zeros(5_000, 4), torch.zeros(5_000, dtype=torch.uint8)
    labels[4_999] = 3
    with pytest.raises(ValueError, match="outside 0 to 2"):
        Rows(data(tmp_path, images=images, labels=labels), 4, CPU, 3)
    images[4_998, 3] = float("inf")
    with pytest.raises(ValueError, match="infinite or not numbers"):
        Rows(data(tmp_path, images=images), 4, CPU)


def test_stretches_are_each_drawn_from_once_a_round_and_cover_everything(tmp_path: Path, narrow: None) -> None:
    rows = Rows(data(tmp_path, images=torch.zeros(1_000, 8)), 8, CPU)
    asked: list[tuple[int, int]] = []

    def backwards(round_: int, count: int) -> list[int]:
        asked.append((round_, count))
        return list(reversed(range(count)))

    assert rows.window_rows == 128
    found = [rows.window(turn, backwards) for turn in range(16)]
    assert set(asked) == {(0, 8), (1, 8), (2, 8)}
    assert found[:8] == found[8:] == [(872, 128), *((128 * place, 128) for place in range(6, -1, -1))]


def test_what_can_be_held_is_drawn_from_as_a_whole(tmp_path: Path) -> None:
    assert Rows(TRAIN_DATA, 64, CPU, 10).window(5, lambda _round, _count: []) == (0, len(load(TRAIN_DATA.read_bytes())["labels"]))


def test_training_by_windows_learns_and_resumes_to_the_bit(narrow: None) -> None:
    params = TRAINING | {"steps": 200}
    whole = finished(KIND, {"data": TRAIN_DATA}, params)
    assert whole[1]["train_accuracy"] > 0.9
    first = make(KIND, {"data": TRAIN_DATA}, params)
    run(first, 0, 91)
    second = make(KIND, {"data": TRAIN_DATA}, params)
    second.restore(copied(first))
    run(second, 91)
    assert second.result() == whole


def test_a_stretch_lasts_as_many_steps_as_it_has_batches(narrow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = make(KIND, {"data": TRAIN_DATA}, TRAINING)
    turns: Counter[int] = Counter()
    window = Rows.window
    monkeypatch.setattr(Rows, "window", lambda rows, turn, shuffled: turns.update([turn]) or window(rows, turn, shuffled))
    run(kind)
    assert turns == Counter(range(30 // (64 // 16) + 1)), "of 64 rows in a stretch each batch takes 16"


def shifted(path: Path, tensor: torch.Tensor, by: int) -> Path:
    """A file whose header is so long that its numbers are not aligned."""
    raw = tensor.numpy().tobytes()
    head = json.dumps({"images": {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [0, len(raw)]}}).encode()
    head += b" " * (-len(head) % 8 + by)
    path.write_bytes(struct.pack("<Q", len(head)) + head + raw)
    return path


def test_numbers_that_are_not_aligned_are_copied_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(500, 6)
    path = shifted(tmp_path / "data.safetensors", images, 3)
    assert torch.equal(Rows(path, 6, CPU).some(slice(0, 500)), images)
    assert torch.equal(Mapped(path).slice("images")[7:9], images[7:9])
    monkeypatch.setattr(files, "RESIDENT", 8_192)
    with pytest.raises(ValueError, match="read from the disk one by one"):
        Rows(path, 6, CPU)


def test_a_mapped_file_reads_as_its_maker_wrote_it(tmp_path: Path) -> None:
    made = {
        "whole": torch.arange(12, dtype=torch.int64).reshape(3, 4), "half": torch.randn(5).bfloat16(), "none": torch.empty(0, 3),
        "one": torch.tensor(2.5), "flags": torch.tensor([True, False]), "small": torch.tensor([65_535], dtype=torch.uint16),
    }  # fmt: skip
    path = tmp_path / "some.safetensors"
    save_file(made, path)
    told = read(path)
    assert set(told) == set(made)
    for name, tensor in made.items():
        assert told[name].dtype == tensor.dtype and told[name].shape == tensor.shape
        assert bool((told[name] == tensor).all())
    file = Mapped(path)
    assert torch.equal(file.slice("whole")[1:9], made["whole"][1:]) and file.slice("whole")[2:2].shape == (0, 4)
    file.forget()
    assert torch.equal(file.whole("whole"), made["whole"])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"some\.safetensors is not a whole safetensors file"):
        Mapped(path)


def test_a_file_filled_in_place_is_the_one_that_safetensors_writes() -> None:
    wanted = {"labels": torch.arange(5, dtype=torch.uint8), "logits": torch.randn(5, 3)}
    one = Filling((TensorSpec("logits", "F32", (5, 3)), TensorSpec("labels", "U8", (5,))), batch=2)
    room = memoryview(bytearray(one.length))
    one.move_to(room)
    for name, tensor in wanted.items():
        one.tensor(name).copy_(tensor)
    assert one.file() is room and bytes(room) == save(wanted)
