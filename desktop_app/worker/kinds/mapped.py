"""A safetensors file that stays on the disk: its tensors by name, whole or in slices, read only when asked for.

The mapping is read-only and shared with the page cache: it counts against no limit on private memory, and the kernel takes
its pages back when it needs them. Called by the kinds whose models or data may be larger than the memory.
"""

import math
import mmap
import os
import warnings
from pathlib import Path

import torch

from desktop_app.wire.tensors import WIDTHS, Malformed, Tensor, read_header

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "U16": torch.uint16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""torch's types by their safetensors names."""


class Mapped:
    """An open file; it is closed with the last tensor of it. What is read from it must never be written to."""

    def __init__(self, path: Path) -> None:
        """ValueError if the file is no safetensors file."""
        with path.open("rb") as file:
            try:
                self._tensors = read_header(file, os.fstat(file.fileno()).st_size)
            except Malformed as error:
                raise ValueError(f"the file {path.name} is not a whole safetensors file: {error}") from error
            self._at = file.tell()
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def names(self) -> list[str]:
        return list(self._tensors)

    def slice(self, name: str) -> "Slice":
        return Slice(self, self._tensors[name])

    def whole(self, name: str) -> torch.Tensor:
        """All of it, on the CPU."""
        told = self._tensors[name]
        return self.read(told, 0, math.prod(told.shape)).view(told.shape)

    def forget(self) -> None:
        """Let go of the pages read so far; they are read again when they are needed."""
        self._memory.madvise(mmap.MADV_DONTNEED)

    def expect(self, place: tuple[int, int]) -> None:
        """Have bytes [begin, end) read ahead."""
        begin, end = place[0] // mmap.PAGESIZE * mmap.PAGESIZE, place[1]
        self._memory.madvise(mmap.MADV_WILLNEED, begin, end - begin)

    def place(self, told: Tensor, first: int, count: int) -> tuple[int, int]:
        """Where `count` elements of a tensor lie in the file, from its `first` on."""
        width = WIDTHS[told.dtype]
        begin = self._at + told.begin + first * width
        return begin, begin + count * width

    def aligned(self, told: Tensor) -> bool:
        """Whether its numbers can be read where they lie; writers of today see to it."""
        return (self._at + told.begin) % WIDTHS[told.dtype] == 0

    def read(self, told: Tensor, first: int, count: int) -> torch.Tensor:
        """`count` elements of a tensor from its `first` on, flat: the mapping itself, or a copy where a file is not aligned."""
        dtype, width = DTYPES[told.dtype], WIDTHS[told.dtype]
        if not count:
            return torch.empty(0, dtype=dtype)
        at = self._at + told.begin + first * width
        if not self.aligned(told):
            return torch.frombuffer(bytearray(self._memory[at : at + count * width]), dtype=dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given buffer is not writable")  # nor is it written to
            return torch.frombuffer(self._memory, dtype=dtype, count=count, offset=at)


class Slice:
    """A tensor that is not read yet."""

    def __init__(self, file: Mapped, told: Tensor) -> None:
        self._file, self._told = file, told

    @property
    def aligned(self) -> bool:
        return self._file.aligned(self._told)

    def place(self, first: int, count: int) -> tuple[int, int]:
        """Where so many of its rows lie in the file: the first byte, and the one behind the last."""
        width = math.prod(self._told.shape[1:])
        return self._file.place(self._told, first * width, count * width)

    def get_dtype(self) -> str:
        """By its safetensors name: "F32", "U16"."""
        return self._told.dtype

    def get_shape(self) -> list[int]:
        return list(self._told.shape)

    def __getitem__(self, part: slice) -> torch.Tensor:
        """Read some of it, along its first dimension."""
        rows, *inner = self._told.shape
        first, last, _ = part.indices(rows)
        count, width = max(0, last - first), math.prod(inner)
        return self._file.read(self._told, first * width, count * width).view(count, *inner)
