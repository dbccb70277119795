"""A safetensors file that stays on the disk: its tensors by name, whole or in slices, read only when asked for.

Called by the kinds whose models or data may be larger than the memory.
"""

from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open


class Slice(Protocol):
    """A tensor that is not read yet."""

    def get_dtype(self) -> str:
        """By its safetensors name: "F32", "U16"."""
        ...

    def get_shape(self) -> list[int]: ...

    def __getitem__(self, part: slice) -> torch.Tensor:
        """Read some of it, along its first dimension."""
        ...


class Mapped:
    """An open file; it is closed with the last slice of it."""

    def __init__(self, path: Path) -> None:
        """ValueError if the file is no safetensors file."""
        try:
            self._file = safe_open(path, "pt")
        except SafetensorError as error:
            raise ValueError(f"the file {path.name} is not a whole safetensors file") from error

    def names(self) -> list[str]:
        return list(self._file.keys())  # type: ignore[no-untyped-call]

    def slice(self, name: str) -> Slice:
        told: Slice = self._file.get_slice(name)  # type: ignore[no-untyped-call]
        return told

    def whole(self, name: str) -> torch.Tensor:
        """All of it, on the CPU."""
        tensor: torch.Tensor = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
        return tensor
