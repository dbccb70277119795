"""Reading a task's inputs into tensors, with everything that depends on the data checked before the first step.

Formats were checked by hash and header before the worker started; here is what only the numbers can tell. Data stays on the
disk and is looked at a window at a time, so that it may be larger than the memory. Called by the kinds.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from desktop_app.worker.kinds.mapped import Mapped, Slice

WINDOW = 64 << 20
"""Bytes of data looked at in one piece; data that is no larger is looked at whole."""

RESIDENT = 256 << 20
"""Bytes of data that are kept where the device is, and pages of data held at a time elsewhere."""

_PAGE = 4096
_PIXELS = {"U8", "F32"}
_LABELS = {"U8", "I64"}


def read(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a safetensors file, on the CPU, not to be written to; ValueError if it is none."""
    file = Mapped(path)
    return {name: file.whole(name) for name in file.names()}


class Rows:
    """The rows of a data file: `images`, uint8 or float32 [rows, …], and `labels` where there are classes. Left on the disk."""

    def __init__(self, path: Path, features: int, device: torch.device, classes: int | None = None) -> None:
        """ValueError says what does not fit the task."""
        self._file, self._device = Mapped(path), device
        images = self._file.slice("images") if "images" in self._file.names() else None
        if images is None or images.get_dtype() not in _PIXELS or len(images.get_shape()) < 2 or images.get_shape()[0] == 0:
            raise ValueError("the data has no tensor `images` of uint8 or float32 rows")
        self._count, *inner = images.get_shape()
        if math.prod(inner) != features:
            raise ValueError(f"the data has {math.prod(inner)} features per row, the task says {features}")
        self._bytes = self._count * features * (4 if images.get_dtype() == "F32" else 1)
        if self._bytes > RESIDENT and not images.aligned:
            raise ValueError("the data is large, and its numbers do not lie where they can be read from the disk one by one")
        self._touched = 0
        self._labels = self._checked_labels(classes) if classes is not None else None
        self._images = images
        if images.get_dtype() == "F32" and not all(bool(torch.isfinite(part).all()) for part in self._windows(images)):
            raise ValueError("the data holds numbers that are infinite or not numbers")
        whole = images[:].flatten(1)
        self._whole = whole.to(device) if device.type != "cpu" and self._bytes <= RESIDENT else whole

    def __len__(self) -> int:
        return self._count

    def some(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Those rows as float32 [rows, features], on the device: neighbours, or any by an int64 tensor of numbers."""
        picked = self._whole[rows if isinstance(rows, slice) else rows.to(self._whole.device)]
        told = picked.to(self._device).float()
        self._touched += len(picked) * max(_PAGE, picked[0].nbytes)
        if self._touched > RESIDENT < self._bytes:
            self._file.forget()
            self._touched = 0
        return told

    def window(self, turn: int, shuffled: Callable[[int, int], list[int]]) -> tuple[int, int]:
        """The first row and the number of rows to draw from in this turn; all of them where they can be held.

        Otherwise a stretch of about a window: each once in the order `shuffled` gives for a round and its number of stretches,
        so that the disk is read in large pieces. The stretch of the next turn is read ahead.
        """
        if self._bytes <= RESIDENT:
            return 0, self._count
        rows = self.window_rows
        stretches = -(-self._count // rows)
        now, later = (shuffled(at // stretches, stretches)[at % stretches] for at in (turn, turn + 1))
        self._file.expect(self._images.place(min(later * rows, self._count - rows), rows))
        return min(now * rows, self._count - rows), rows

    @property
    def window_rows(self) -> int:
        """How many rows make a window."""
        return max(1, min(self._count, WINDOW * self._count // self._bytes))

    def labels(self, rows: slice | torch.Tensor) -> torch.Tensor:
        """Their labels, int64 on the device."""
        if self._labels is None:
            raise ValueError("these rows have no labels")
        return self._labels[rows].to(self._device, torch.int64)

    def moments(self) -> tuple[torch.Tensor, float]:
        """The mean of each feature, float32 [features] on the device, and the spread of all numbers about their one mean."""
        if 4 * self._whole.numel() <= WINDOW:
            images = self._whole.to(self._device).float()
            return images.mean(dim=0), images.std(correction=0).item()
        total = torch.zeros(self._whole.shape[1], dtype=torch.float64)
        for part in self._windows(self._images):
            total += part.flatten(1).double().sum(dim=0)
        mean = total.mean().item() / self._count
        off = sum(float((part.double() - mean).square().sum()) for part in self._windows(self._images))
        spread = math.sqrt(off / (self._count * self._whole.shape[1]))
        return (total / self._count).float().to(self._device), spread

    def _checked_labels(self, classes: int) -> torch.Tensor:
        labels = self._file.slice("labels") if "labels" in self._file.names() else None
        if labels is None or labels.get_dtype() not in _LABELS or labels.get_shape() != [self._count]:
            raise ValueError("the data has no tensor `labels` with one uint8 or int64 per row")
        if any(int(part.min()) < 0 or int(part.max()) >= classes for part in self._windows(labels)):
            raise ValueError(f"a label lies outside 0 to {classes - 1}")
        return labels[:]

    def _windows(self, tensor: Slice) -> Iterator[torch.Tensor]:
        """The tensor in pieces that are no larger than a window in float64; pages that were looked at are let go of."""
        rows, *inner = tensor.get_shape()
        step, seen = max(1, WINDOW // 8 // max(1, math.prod(inner))), 0
        for first in range(0, rows, step):
            part = tensor[first : first + step]
            yield part
            seen += part.nbytes
            if seen > WINDOW:
                self._file.forget()
                seen = 0
