"""`infer.batch/1`: run a classifier over rows, one batch a micro-step.

The rows stay on the disk and are read as they are needed; the outputs so far are the whole state, and lie where the result will
be handed over from. Loaded by `registry`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params, shape_of
from desktop_app.wire.arena import TensorSpec
from desktop_app.worker.kinds.files import Rows, read
from desktop_app.worker.kinds.filling import Filling
from desktop_app.worker.kinds.network import Network
from desktop_app.worker.kinds.restoring import overwrite

_AT_ONCE = 65_536  # rows of the outputs that are looked at together at the end


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
        # A copy, where every step would read the file's pages: those lie scattered over the memory, which costs up to a tenth.
        self._network = Network(shape, {name: tensor.to(device, copy=True) for name, tensor in tensors.items()})
        self._rows, rows = Rows(inputs["data"], shape.features, device), int(params["rows"])
        if len(self._rows) != rows:
            raise ValueError(f"the data has {len(self._rows)} rows, the task says {rows}")
        self._batch = int(params["batch"])
        self.steps = -(-rows // self._batch)
        self.output = Filling((TensorSpec("logits", "F32", (rows, shape.classes)), TensorSpec("labels", "U8", (rows,))), self._batch)

    def step(self, index: int) -> None:
        """One batch of rows; ValueError when the model's numbers run out of range on them."""
        rows = slice(index * self._batch, (index + 1) * self._batch)
        with torch.no_grad():
            logits = self._network.logits(self._rows.some(rows)).cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's outputs are infinite or not numbers")
        self.output.tensor("logits")[rows] = logits

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensor: copy it before the next step."""
        return {"logits": self.output.tensor("logits")}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes | memoryview], dict[str, float]]:
        """The predictions, and the mean of the winning class's probability."""
        logits, labels = self.output.tensor("logits"), self.output.tensor("labels")
        confidence = torch.empty(len(logits))
        for first in range(0, len(logits), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            labels[part] = logits[part].argmax(dim=1).to(torch.uint8)
            confidence[part] = torch.softmax(logits[part], dim=1).amax(dim=1)
        return {"predictions": self.output.file()}, {"mean_confidence": confidence.double().mean().item()}
