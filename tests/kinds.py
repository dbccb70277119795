"""Running task kinds in tests: the real digits, one thread, and a copy of the state as the arena would hold it."""

from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params
from desktop_app.wire.resources import resource
from desktop_app.worker.kinds import Fills, Kind
from desktop_app.worker.kinds.registry import load

TRAIN_DATA = resource("practice/digits-train.safetensors")
HELD_OUT = resource("practice/digits-heldout.safetensors")
HELD_OUT_ROWS = 355


def make(kind: str, inputs: Mapping[str, Path], params: Params, seed: int = 7) -> Kind:
    """The kind, ready, on one thread."""
    torch.set_num_threads(1)
    return load(kind, inputs, params, seed, "cpu")


def run(kind: Kind, first: int = 0, last: int | None = None) -> None:
    """Steps [first, last), to the end by default."""
    for index in range(first, kind.steps if last is None else last):
        kind.step(index)


def copied(kind: Kind) -> dict[str, torch.Tensor]:
    """The state as it is now, apart from the kind."""
    return {name: tensor.clone() for name, tensor in kind.state().items()}


def only_says_what_it_wrote(kind: Kind, steps: int) -> bool:
    """Whether the rows that a kind says are written after so many steps, of a state that only grows, are those that are."""
    assert isinstance(kind, Fills)
    rows = kind.output.rows(steps)
    return all(bool(tensor[:rows].any(dim=1).all()) and not bool(tensor[rows:].any()) for tensor in kind.state().values())


def finished(kind: str, inputs: Mapping[str, Path], params: Params, seed: int = 7) -> tuple[dict[str, bytes], dict[str, float]]:
    """What the whole task gives."""
    made = make(kind, inputs, params, seed)
    run(made)
    given, metrics = made.result()
    return {role: bytes(data) for role, data in given.items()}, metrics


def trained(folder: Path, params: Params, seed: int = 7) -> Path:
    """A model trained on the digits, as a file."""
    files, _ = finished("train.classifier/1", {"data": TRAIN_DATA}, params, seed)
    path = folder / "model.safetensors"
    path.write_bytes(files["model"])
    return path
