"""Reading a task's inputs into tensors, with everything that depends on the data checked before the first step.

Formats were checked by hash and header before the worker started; here is what only the numbers can tell. Called by the kinds.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

_PIXELS = (torch.uint8, torch.float32)
_LABELS = (torch.uint8, torch.int64)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a safetensors file, on the CPU; ValueError if it is none."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"the file {path.name} is not a whole safetensors file") from error


def read_images(path: Path, features: int, rows: int) -> torch.Tensor:
    """The tensor `images` of a data file, uint8 or float32 [rows, features]; ValueError says what does not fit."""
    images = _images(read(path), features)
    if len(images) != rows:
        raise ValueError(f"the data has {len(images)} rows, the task says {rows}")
    return images


def read_labelled(path: Path, features: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`images` as above, and `labels` as int64 [rows], each below `classes`."""
    tensors = read(path)
    images, labels = _images(tensors, features), tensors.get("labels")
    if labels is None or labels.dtype not in _LABELS or labels.shape != (len(images),):
        raise ValueError("the data has no tensor `labels` with one uint8 or int64 per row")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(f"a label lies outside 0 to {classes - 1}")
    return images, labels.to(torch.int64)


def _images(tensors: dict[str, torch.Tensor], features: int) -> torch.Tensor:
    images = tensors.get("images")
    if images is None or images.dtype not in _PIXELS or images.dim() < 2 or len(images) == 0:
        raise ValueError("the data has no tensor `images` of uint8 or float32 rows")
    images = images.flatten(1)
    if images.shape[1] != features:
        raise ValueError(f"the data has {images.shape[1]} features per row, the task says {features}")
    if images.dtype == torch.float32 and not bool(torch.isfinite(images).all()):
        raise ValueError("the data holds numbers that are infinite or not numbers")
    return images
