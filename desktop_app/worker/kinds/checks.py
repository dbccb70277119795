"""The renter's own checks of what came back: `check.classifier/1` and `check.predictions/1`.

They run in the renter's sandboxed child, never for the market. A model or predictions that hold nonsense numbers are not
an error here: they simply score badly. Loaded by `registry`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params, shape_of
from desktop_app.worker.kinds.draws import generator
from desktop_app.worker.kinds.files import Rows, read
from desktop_app.worker.kinds.network import Network
from desktop_app.worker.kinds.restoring import overwrite

LOGIT_TOLERANCE = 1e-3
"""Honest float32 on another device or thread count differs by 1e-5 to 1e-4 of the largest logit; a cheaper model by far more."""


class CheckClassifier:
    """Inputs `model` and `data` (held-out rows with labels); metric `accuracy`."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if model or data do not fit the parameters."""
        shape = shape_of(params)
        self._network = Network(shape, {name: tensor.to(device) for name, tensor in read(inputs["model"]).items()})
        self._rows = Rows(inputs["data"], shape.features, device, shape.classes)
        if len(self._rows) != int(params["rows"]):
            raise ValueError(f"the data has {len(self._rows)} rows, the check says {int(params['rows'])}")
        self._batch = int(params["batch"])
        self.steps = -(-len(self._rows) // self._batch)
        self._right = torch.zeros(1, dtype=torch.int64)

    def step(self, index: int) -> None:
        """Count the right answers among one batch of rows."""
        rows = slice(index * self._batch, (index + 1) * self._batch)
        with torch.no_grad():
            answers = self._network.logits(self._rows.some(rows)).argmax(dim=1)
        self._right += int((answers == self._rows.labels(rows)).sum())

    def state(self) -> dict[str, torch.Tensor]:
        return {"right": self._right}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """No file; the share of held-out rows answered rightly."""
        return {}, {"accuracy": int(self._right) / len(self._rows)}


class CheckPredictions:
    """Inputs `model`, `data` and `predictions`; metric `mismatch_fraction` over `sample` rows drawn by the checker's seed."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if the inputs do not fit the parameters."""
        shape = shape_of(params)
        self._network = Network(shape, {name: tensor.to(device) for name, tensor in read(inputs["model"]).items()})
        rows = int(params["rows"])
        self._rows = Rows(inputs["data"], shape.features, device)
        if len(self._rows) != rows:
            raise ValueError(f"the data has {len(self._rows)} rows, the check says {rows}")
        told = read(inputs["predictions"])
        self._labels, self._logits = told.get("labels", torch.empty(0)), told.get("logits", torch.empty(0))
        if (self._labels.dtype, tuple(self._labels.shape)) != (torch.uint8, (rows,)):
            raise ValueError("the predictions have no tensor `labels` with one uint8 per row")
        if (self._logits.dtype, tuple(self._logits.shape)) != (torch.float32, (rows, shape.classes)):
            raise ValueError("the predictions have no float32 tensor `logits` with one row per row of data")
        picked = torch.randperm(rows, generator=generator(seed, "sample"))[: int(params["sample"])]
        self._picked = picked.sort().values
        self._batch = int(params["batch"])
        self.steps = -(-len(picked) // self._batch)
        self._wrong = torch.zeros(1, dtype=torch.int64)

    def step(self, index: int) -> None:
        """Recompute one batch of the picked rows and count those that differ.

        A row is right when its logits are ours within the tolerance and its label is the largest of its own logits, so
        that a tie that falls differently elsewhere is not held against anybody.
        """
        rows = self._picked[index * self._batch : (index + 1) * self._batch]
        with torch.no_grad():
            ours = self._network.logits(self._rows.some(rows)).cpu()
        theirs = self._logits[rows]
        scale = ours.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
        close = ((ours - theirs).abs() <= LOGIT_TOLERANCE * scale).all(dim=1)
        labels = self._labels[rows].long()
        named = labels < theirs.shape[1]
        chosen = theirs.gather(1, labels.clamp(max=theirs.shape[1] - 1).unsqueeze(1)).squeeze(1)
        consistent = named & (chosen >= theirs.amax(dim=1))
        self._wrong += int((~(close & consistent)).sum())

    def state(self) -> dict[str, torch.Tensor]:
        return {"wrong": self._wrong}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """No file; the share of picked rows that differ."""
        return {}, {"mismatch_fraction": int(self._wrong) / len(self._picked)}
