"""`train.classifier/1`: train a multilayer perceptron on labelled rows with AdamW and a cosine schedule.

A micro-step is one batch; the rows stay on the disk and are read as they are drawn. Which rows a batch takes, their noise and its
learning rate are functions of (seed, index), so weights and the optimizer's moments are the whole state. Loaded by `registry`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn import functional

from desktop_app.core.classifier import Params, shape_of
from desktop_app.worker.kinds.draws import generator
from desktop_app.worker.kinds.files import Rows
from desktop_app.worker.kinds.network import fresh
from desktop_app.worker.kinds.restoring import overwrite

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_SMOOTHING = 0.98  # of the loss and accuracy told at the end: about the last fifty batches


class TrainClassifier:
    """One training run. Input `data`: safetensors with `images` and `labels`; output `model`."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if the data does not fit the parameters."""
        shape = shape_of(params)
        self._rows = Rows(inputs["data"], shape.features, device, shape.classes)
        self.steps = int(params["steps"])
        self._seed = seed
        self._batch = int(params["batch"])
        self._turn, self._stretch = -1, (0, 0)  # which steps share a stretch of rows; its first row and how many it has
        self._rate = float(params["lr"])
        self._noise = float(params["noise"])
        self._network = fresh(shape, *self._rows.moments(), seed)
        self._weights = self._network.weights()
        for weight in self._weights.values():
            weight.requires_grad_()
        self._decay = float(params["weight_decay"])
        self._first = {name: torch.zeros_like(weight.detach()) for name, weight in self._weights.items()}
        self._second = {name: torch.zeros_like(weight.detach()) for name, weight in self._weights.items()}
        self._counts = [torch.zeros((), device=device) for _ in self._weights]
        self._smoothed = torch.zeros(2, dtype=torch.float64)  # loss, accuracy

    def step(self, index: int) -> float:
        """One batch; its loss. ValueError when the training has run away."""
        images, labels = self._draw(index)
        logits = self._network.logits_of_scaled(images)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self._move(index)
        told = loss.item()  # waits for the device
        if not math.isfinite(told):
            raise ValueError("the loss is no longer a number; the learning rate is too high for this data")
        accuracy = (logits.detach().argmax(dim=1) == labels).double().mean().item()
        keep = _SMOOTHING if index else 0.0
        self._smoothed.mul_(keep).add_(torch.tensor([told, accuracy], dtype=torch.float64), alpha=1 - keep)
        return told

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensors: copy them before the next step."""
        tensors = {name: tensor.detach() for name, tensor in self._network.tensors.items()}
        first = {f"first.{name}": moment for name, moment in self._first.items()}
        second = {f"second.{name}": moment for name, moment in self._second.items()}
        return tensors | first | second | {"smoothed": self._smoothed}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """The model, and the loss and accuracy on its last batches."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self._network.tensors.items()}
        loss, accuracy = self._smoothed.tolist()
        return {"model": save(tensors)}, {"train_loss": loss, "train_accuracy": accuracy}

    def _draw(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of one step: rows drawn with replacement, scaled, with noise added.

        Out of all rows, or, of data too large to hold, out of a stretch that as many steps draw from as it has batches.
        """
        draws = generator(self._seed, f"step {index}")
        turn = index // max(1, self._rows.window_rows // self._batch)
        if turn != self._turn:
            self._turn, self._stretch = turn, self._rows.window(turn, self._shuffled)
        first, count = self._stretch
        rows = torch.randint(count, (self._batch,), generator=draws) + first
        images = self._network.scaled(self._rows.some(rows))
        if self._noise:
            images = images + (torch.randn(images.shape, generator=draws) * self._noise).to(images.device)
        return images, self._rows.labels(rows)

    def _shuffled(self, round_: int, count: int) -> list[int]:
        order: list[int] = torch.randperm(count, generator=generator(self._seed, f"round {round_}")).tolist()
        return order

    def _move(self, index: int) -> None:
        """AdamW (arXiv 1711.05101) with the learning rate falling to nothing along a cosine.

        torch's own kernel, called as `torch.optim.AdamW(fused=True)` calls it: making that class imports the compiler,
        1.7 s and 70 MB that no task needs.
        """
        for count in self._counts:
            count.fill_(index + 1)
        weights = list(self._weights.values())
        with torch.no_grad():
            torch._fused_adamw_(
                weights,
                [weight.grad for weight in weights if weight.grad is not None],
                list(self._first.values()),
                list(self._second.values()),
                [],
                self._counts,
                lr=self._rate * 0.5 * (1 + math.cos(math.pi * index / self.steps)),
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                weight_decay=self._decay,
                eps=_EPSILON,
                amsgrad=False,
                maximize=False,
            )
        for weight in weights:
            weight.grad = None
