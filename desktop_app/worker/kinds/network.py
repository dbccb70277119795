"""The classifier that training makes and inference runs: a plain multilayer perceptron with its input scaling inside.

One file layout for every kind: safetensors with `input.mean`, `input.scale` and `layers.N.weight`, `layers.N.bias`, all
float32, so that a trained model is a whole model. Called by the kinds of this folder.
"""

import math
from collections.abc import Mapping

import torch
from torch.nn import functional

from desktop_app.core.classifier import Shape
from desktop_app.worker.kinds.draws import generator


class Network:
    """A multilayer perceptron over named float32 tensors, which stay the caller's to read and to overwrite in place."""

    def __init__(self, shape: Shape, tensors: Mapping[str, torch.Tensor]) -> None:
        """ValueError if names, dtypes or shapes are not those of `shape`."""
        expected = shape.tensors()
        if set(tensors) != set(expected):
            raise ValueError("the model's tensors are not those of a classifier of this depth")
        for name, wanted in expected.items():
            if tensors[name].dtype != torch.float32 or tuple(tensors[name].shape) != wanted:
                raise ValueError(f"the model's {name} is not float32 of shape {list(wanted)}")
        self.tensors = dict(tensors)
        self._layers = len(shape.layers())

    def weights(self) -> dict[str, torch.Tensor]:
        """What training moves: everything but the input scaling."""
        return {name: tensor for name, tensor in self.tensors.items() if name.startswith("layers.")}

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """[rows, classes] from float32 [rows, features]."""
        return self.logits_of_scaled(self.scaled(images))

    def scaled(self, images: torch.Tensor) -> torch.Tensor:
        """Rows with the training data's mean taken away and its spread made one."""
        return (images - self.tensors["input.mean"]) * self.tensors["input.scale"]

    def logits_of_scaled(self, rows: torch.Tensor) -> torch.Tensor:
        """[rows, classes] from rows that are scaled already."""
        for number in range(self._layers):
            rows = functional.linear(rows, self.tensors[f"layers.{number}.weight"], self.tensors[f"layers.{number}.bias"])
            if number < self._layers - 1:
                rows = functional.relu(rows)
        return rows


def fresh(shape: Shape, mean: torch.Tensor, spread: float, seed: int) -> Network:
    """An untrained network for data of this mean (float32 [features], where the network will be) and spread.

    He's initialisation (arXiv 1502.01852), drawn on the CPU.
    """
    scale = torch.tensor([1.0 / spread if spread > 0 else 1.0], device=mean.device)
    tensors = {"input.mean": mean, "input.scale": scale}
    draws = generator(seed, "weights")
    for number, (outputs, inputs) in enumerate(shape.layers()):
        weight = torch.randn(outputs, inputs, generator=draws) * math.sqrt(2 / inputs)
        tensors[f"layers.{number}.weight"] = weight.to(mean.device)
        tensors[f"layers.{number}.bias"] = torch.zeros(outputs, device=mean.device)
    return Network(shape, tensors)
