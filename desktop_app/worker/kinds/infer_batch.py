"""`infer.batch/1`: run a classifier over rows, one batch a micro-step.

The outputs so far are the whole state, in one tensor of its final size. Loaded by `registry`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from desktop_app.core.classifier import Params, shape_of
from desktop_app.worker.kinds.files import read, read_images
from desktop_app.worker.kinds.network import Network
from desktop_app.worker.kinds.restoring import overwrite


class InferBatch:
    """Inputs `model` and `data` (safetensors with `images`).

    Output `predictions`: safetensors with uint8 `labels` [rows] and float32 `logits` [rows, classes].
    """

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if model or data do not fit the parameters. Nothing is drawn, so `seed` changes nothing."""
        shape = shape_of(params)
        tensors = read(inputs["model"])
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ValueError("the model holds numbers that are infinite or not numbers")
        self._network = Network(shape, {name: tensor.to(device) for name, tensor in tensors.items()})
        self._images = read_images(inputs["data"], shape.features, int(params["rows"])).to(device)
        self._batch = int(params["batch"])
        self.steps = -(-len(self._images) // self._batch)
        self._logits = torch.zeros(len(self._images), shape.classes)

    def step(self, index: int) -> None:
        """One batch of rows; ValueError when the model's numbers run out of range on them."""
        rows = slice(index * self._batch, (index + 1) * self._batch)
        with torch.no_grad():
            logits = self._network.logits(self._images[rows].float()).cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's outputs are infinite or not numbers")
        self._logits[rows] = logits

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensor: copy it before the next step."""
        return {"logits": self._logits}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """The predictions, and the mean of the winning class's probability."""
        labels = self._logits.argmax(dim=1).to(torch.uint8)
        confidence = torch.softmax(self._logits, dim=1).amax(dim=1).double().mean().item()
        return {"predictions": save({"labels": labels, "logits": self._logits})}, {"mean_confidence": confidence}
