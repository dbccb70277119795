"""Training: it learns, it resumes to the bit, and it says what does not fit."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file

from desktop_app.core.catalogue import state_bytes
from desktop_app.core.classifier import shape_of
from desktop_app.wire.bundle import catalogue
from desktop_app.worker.kinds.draws import generator
from tests.kinds import TRAIN_DATA, copied, finished, make, run
from tests.manifests import TRAINING

KIND = "train.classifier/1"
DATA = {"data": TRAIN_DATA}


def test_it_learns_and_gives_a_whole_model() -> None:
    files, metrics = finished(KIND, DATA, TRAINING | {"steps": 200})
    assert metrics["train_accuracy"] > 0.9
    assert metrics["train_loss"] < 0.4
    shapes = {name: tuple(tensor.shape) for name, tensor in load(files["model"]).items()}
    assert shapes == shape_of(TRAINING).tensors()


def test_every_step_says_its_loss_and_it_falls() -> None:
    kind = make(KIND, DATA, TRAINING)
    losses = [kind.step(index) for index in range(kind.steps)]
    assert kind.steps == 30
    assert all(loss is not None for loss in losses)
    assert sum(loss or 0 for loss in losses[-5:]) < sum(loss or 0 for loss in losses[:5])


@pytest.mark.parametrize("stops", [(1,), (11,), (4, 17), (30,)])
def test_a_resumed_run_ends_with_the_same_bits(stops: tuple[int, ...]) -> None:
    whole = finished(KIND, DATA, TRAINING)
    kind, at = make(KIND, DATA, TRAINING), 0
    for stop in stops:
        run(kind, at, stop)
        state, at = copied(kind), stop
        run(kind, at, min(at + 3, kind.steps))  # what the killed worker did after its last checkpoint is lost
        kind = make(KIND, DATA, TRAINING)
        kind.restore(state)
    run(kind, at)
    assert kind.result() == whole


def test_it_moves_the_weights_as_torchs_own_optimizer_does() -> None:
    kind = make(KIND, DATA, TRAINING | {"noise": 0})
    copies = {name: tensor.clone().requires_grad_() for name, tensor in kind.state().items() if name.startswith("layers.")}
    optimizer = torch.optim.AdamW(list(copies.values()), lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=kind.steps)
    data, state = load(TRAIN_DATA.read_bytes()), kind.state()
    for index in range(10):
        rows = torch.randint(len(data["images"]), (16,), generator=generator(7, f"step {index}"))
        outputs = (data["images"][rows].float() - state["input.mean"]) * state["input.scale"]
        for layer in range(3):
            outputs = torch.nn.functional.linear(outputs, copies[f"layers.{layer}.weight"], copies[f"layers.{layer}.bias"])
            outputs = outputs.relu() if layer < 2 else outputs
        loss = torch.nn.functional.cross_entropy(outputs, data["labels"][rows].long())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        assert kind.step(index) == pytest.approx(loss.item(), rel=1e-4)
    for name, tensor in copies.items():
        assert torch.allclose(tensor, kind.state()[name], atol=1e-4)


def test_no_task_imports_the_compiler() -> None:
    code = (
        "import sys; from tests.kinds import *; from tests.manifests import TRAINING;"
        "run(make('train.classifier/1', {'data': TRAIN_DATA}, TRAINING)); sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[3])


def test_another_seed_is_another_model() -> None:
    assert finished(KIND, DATA, TRAINING, seed=1)[0] != finished(KIND, DATA, TRAINING, seed=2)[0]
    assert finished(KIND, DATA, TRAINING, seed=1) == finished(KIND, DATA, TRAINING, seed=1)


def test_the_state_is_laid_out_once_and_within_the_catalogues_bound() -> None:
    kind = make(KIND, DATA, TRAINING)
    before = {name: (tensor.shape, tensor.dtype) for name, tensor in kind.state().items()}
    run(kind, 0, 3)
    state = kind.state()
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()} == before
    assert not any(tensor.requires_grad for tensor in state.values())
    assert sum(tensor.nbytes for tensor in state.values()) <= state_bytes(catalogue()[KIND], TRAINING)


def test_another_tasks_checkpoint_is_refused_untouched() -> None:
    kind = make(KIND, DATA, TRAINING)
    before = copied(kind)
    other = copied(make(KIND, DATA, TRAINING | {"width": 48}))
    with pytest.raises(ValueError, match="another shape or type"):
        kind.restore(other)
    with pytest.raises(ValueError, match="another task's"):
        kind.restore(before | {"more": torch.zeros(1)})
    with pytest.raises(ValueError, match="another shape or type"):
        kind.restore(before | {"smoothed": before["smoothed"].float()})
    after = kind.state()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_away_training_says_so() -> None:
    kind = make(KIND, DATA, TRAINING)
    state = kind.state()
    for layer in range(3):
        state[f"layers.{layer}.weight"].mul_(1e30)
    with pytest.raises(ValueError, match="no longer a number"):
        run(kind)


def put(folder: Path, **tensors: torch.Tensor) -> dict[str, Path]:
    path = folder / "data.safetensors"
    save_file(tensors, path)
    return {"data": path}


IMAGES = torch.zeros(4, 64, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 9], dtype=torch.uint8)


def test_floats_squares_and_wide_labels_are_taken(tmp_path: Path) -> None:
    inputs = put(tmp_path, images=torch.rand(4, 8, 8), labels=LABELS.long())
    _, metrics = finished(KIND, inputs, TRAINING | {"noise": 0})
    assert metrics["train_loss"] < 10


def test_rows_that_are_all_alike_are_no_trouble(tmp_path: Path) -> None:
    _, metrics = finished(KIND, put(tmp_path, images=IMAGES, labels=LABELS), TRAINING)
    assert metrics["train_loss"] < 10


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"labels": LABELS}, "no tensor `images`"),
        ({"images": IMAGES.int(), "labels": LABELS}, "no tensor `images`"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no tensor `images`"),
        ({"images": IMAGES.flatten(), "labels": LABELS}, "no tensor `images`"),
        ({"images": IMAGES[:, :63].contiguous(), "labels": LABELS}, "63 features per row, the task says 64"),
        ({"images": torch.full((4, 64), float("nan")), "labels": LABELS}, "not numbers"),
        ({"images": torch.full((4, 64), float("inf")), "labels": LABELS}, "infinite"),
        ({"images": IMAGES}, "no tensor `labels`"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "no tensor `labels`"),
        ({"images": IMAGES, "labels": LABELS.float()}, "no tensor `labels`"),
        ({"images": IMAGES, "labels": LABELS + 1}, "outside 0 to 9"),
        ({"images": IMAGES, "labels": LABELS.long() - 1}, "outside 0 to 9"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_words(tmp_path: Path, tensors: dict[str, torch.Tensor], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make(KIND, put(tmp_path, **tensors), TRAINING)


def test_a_broken_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "data.safetensors"
    path.write_bytes(b"\x80\x05K\x01.")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        make(KIND, {"data": path}, TRAINING)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"knows no task of the kind run\.python/1"):
        make("run.python/1", {}, {})
