"""A model's weights from one or several safetensors files, read one tensor at a time and only when asked for.

Files stay mapped, so that a model larger than the memory can be loaded onto a device. Called by the kinds that take
checkpoints of other people's making.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from desktop_app.worker.kinds.mapped import Mapped

_FLOATS = {"F32", "F16", "BF16"}


def parts(inputs: Mapping[str, Path], role: str) -> list[Path]:
    """The files of an input that may come in parts: `role`, `role_2`, `role_3` …"""
    found, number = [inputs[role]], 2
    while (path := inputs.get(f"{role}_{number}")) is not None:
        found.append(path)
        number += 1
    return found


def precision(device: torch.device, bf16: bool) -> torch.dtype:
    """bfloat16 if it is wanted and the device computes in it, else float32."""
    if not bf16:
        return torch.float32
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if able else torch.float32


class Weights:
    """The tensors of a checkpoint, by name."""

    def __init__(
        self, paths: Iterable[Path], expected: Mapping[str, tuple[int, ...]], ignored: tuple[str, ...] = (), prefix: str = ""
    ) -> None:
        """ValueError unless the files hold just the expected tensors, floats of the expected shapes.

        Names that end with one of `ignored` are skipped, and `prefix` before a name is not looked at.
        """
        self._places: dict[str, tuple[Mapped, str]] = {}
        for path in paths:
            file = Mapped(path)
            for name in file.names():
                plain = name.removeprefix(prefix)
                if plain in self._places:
                    raise ValueError("the model's files hold a tensor twice")
                if plain in expected or not plain.endswith(ignored):
                    self._places[plain] = file, name
        if set(self._places) != set(expected):
            odd = sorted(set(self._places) ^ set(expected))
            raise ValueError(f"the model's tensors are not those that the parameters describe ({odd[0]})")
        for name, shape in expected.items():
            file, there = self._places[name]
            told = file.slice(there)
            if told.get_dtype() not in _FLOATS or tuple(told.get_shape()) != shape:
                raise ValueError(f"the model's {name} is not of floats of shape {list(shape)}")

    def take(self, name: str, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """One tensor where and as it is wanted."""
        file, there = self._places[name]
        return file.whole(there).to(device, dtype)
