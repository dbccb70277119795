"""A result that is written as the work goes on, in the place it will be handed over from, so that it is never held twice.

It is a safetensors file whose tensors are views of its bytes. Called by the kinds whose results grow with their inputs; the
place comes from `worker.main`, or is this process's own memory where nobody gives one.
"""

from collections.abc import Sequence

import torch

from desktop_app.wire.arena import TensorSpec, payload_header
from desktop_app.worker.kinds.mapped import DTYPES


class Filling:
    """One file of known tensors, all zero at first; give the wider types first, so that every tensor is aligned.

    With every step `batch` of their rows are written, in order, and never again.
    """

    def __init__(self, specs: Sequence[TensorSpec], batch: int) -> None:
        self._specs, self._head = tuple(specs), payload_header(specs)
        self._rows, self._batch = specs[0].shape[0], batch
        self._room = memoryview(bytearray(self.length))
        self._ours = True
        self._lay_out()

    @property
    def length(self) -> int:
        """The length of the whole file."""
        return len(self._head) + sum(spec.bytes for spec in self._specs)

    def move_to(self, room: memoryview) -> None:
        """Go on in these bytes, which are zero and as many as the file has; nothing was written yet."""
        self._room, self._ours = room, False
        self._lay_out()

    def rows(self, steps: int) -> int:
        """How many rows are written after so many steps."""
        return min(steps * self._batch, self._rows)

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, to be written to."""
        return self._tensors[name]

    def file(self) -> bytes | memoryview:
        """The file: a copy, or the very bytes that `move_to` was given."""
        return bytes(self._room) if self._ours else self._room

    def _lay_out(self) -> None:
        self._room[: len(self._head)] = self._head
        self._tensors, at = {}, len(self._head)
        for spec in self._specs:
            flat = torch.frombuffer(self._room, dtype=DTYPES[spec.dtype], offset=at, count=spec.bytes // DTYPES[spec.dtype].itemsize)
            self._tensors[spec.name] = flat.view(spec.shape)
            at += spec.bytes
