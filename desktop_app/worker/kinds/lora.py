"""`train.lora/1`: fine-tune a Llama-style language model by low-rank adapters, with AdamW and a cosine schedule after a warm-up.

A micro-step is one batch forward and backward; the optimizer's step belongs to the last of an accumulation's batches. Which
rows a batch takes and the adapter's first values are functions of (seed, index), so the adapter, its moments and the
gradients gathered so far are the whole state. Loaded by `registry`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from desktop_app.core.classifier import Params
from desktop_app.core.transformer import Adapter, Decoder, adapter_config, adapter_of, decoder_of
from desktop_app.worker.kinds.draws import generator
from desktop_app.worker.kinds.lora_data import Order, TokenRows
from desktop_app.worker.kinds.restoring import overwrite
from desktop_app.worker.kinds.transformer import Transformer
from desktop_app.worker.kinds.weights import Weights, parts, precision

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_SMOOTHING = 0.98  # of the loss told at the end: about the last fifty batches
UNUSED = ("rotary_emb.inv_freq",)  # old checkpoints hold it; it follows from the parameters


class TrainLora:
    """One fine-tuning. Inputs `model` and `data`, each in one or more parts; outputs `adapter` and `adapter_config`."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if model or data do not fit the parameters."""
        decoder, adapter = decoder_of(params), adapter_of(params)
        self._params, self._device = params, device
        self._rows = TokenRows(parts(inputs, "data"), int(params["context"]), decoder.vocab)
        self._order = Order(len(self._rows), int(params["batch"]), seed)
        self._adapter = {name: tensor.to(device).requires_grad_() for name, tensor in fresh(decoder, adapter, seed).items()}
        self._model = Transformer(params, open_model(inputs, decoder), self._adapter, device, precision(device, bool(params["bf16"])))
        self._accumulation = int(params["accumulation"])
        self.steps = int(params["steps"]) * self._accumulation
        self._first = {name: torch.zeros_like(tensor.detach()) for name, tensor in self._adapter.items()}
        self._second = {name: torch.zeros_like(tensor.detach()) for name, tensor in self._adapter.items()}
        self._gathered = {name: torch.zeros_like(tensor.detach()) for name, tensor in self._adapter.items()}
        for name, tensor in self._adapter.items():
            tensor.grad = self._gathered[name]  # added to in place from now on
        self._counts = [torch.zeros((), device=device) for _ in self._adapter]
        self._smoothed = torch.zeros(1, dtype=torch.float64)

    def batch(self, index: int) -> torch.Tensor:
        """The rows of micro-step `index`, int64 [batch, context]."""
        return self._rows.take(self._order.batch(index)).to(self._device)

    def step(self, index: int) -> float:
        """One batch; its loss. ValueError when the training has run away."""
        loss = self._model.learn(self.batch(index), 1 / self._accumulation, bool(self._params["checkpointing"]))
        if (index + 1) % self._accumulation == 0:
            self._move(index // self._accumulation)
        told = loss.item()  # waits for the device
        if not math.isfinite(told):
            raise ValueError("the loss is no longer a number; the learning rate is too high for this model and data")
        keep = _SMOOTHING if index else 0.0
        self._smoothed.mul_(keep).add_(told, alpha=1 - keep)
        return told

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensors: copy them before the next step."""
        adapter = {f"adapter.{name}": tensor.detach() for name, tensor in self._adapter.items()}
        first = {f"first.{name}": moment for name, moment in self._first.items()}
        second = {f"second.{name}": moment for name, moment in self._second.items()}
        halfway = {f"grad.{name}": grad for name, grad in self._gathered.items()} if self._accumulation > 1 else {}
        return adapter | first | second | halfway | {"smoothed": self._smoothed}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """The adapter as peft keeps it, its configuration, and the loss on its last batches."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self._adapter.items()}
        files = {"adapter": save(tensors), "adapter_config": adapter_config(self._params)}
        return files, {"train_loss": self._smoothed.item()}

    def _move(self, index: int) -> None:
        """AdamW (arXiv 1711.05101) by torch's own kernel, as `train.classifier/1` does; then nothing is gathered."""
        for count in self._counts:
            count.fill_(index + 1)
        gathered = list(self._gathered.values())
        with torch.no_grad():
            self._clip(gathered)
            torch._fused_adamw_(
                list(self._adapter.values()),
                gathered,
                list(self._first.values()),
                list(self._second.values()),
                [],
                self._counts,
                lr=rate(self._params, index),
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                weight_decay=float(self._params["weight_decay"]),
                eps=_EPSILON,
                amsgrad=False,
                maximize=False,
            )
            torch._foreach_zero_(gathered)

    def _clip(self, gathered: list[torch.Tensor]) -> None:
        """Shrink gradients that are together longer than `clip`; 0 leaves them alone."""
        most = float(self._params["clip"])
        if most:
            length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gathered)))
            torch._foreach_mul_(gathered, (most / (length + 1e-6)).clamp(max=1.0))


def open_model(inputs: Mapping[str, Path], decoder: Decoder) -> Weights:
    """The base model's files. ValueError if they are not those of such a model."""
    unused = (*UNUSED, "lm_head.weight") if decoder.tied else UNUSED
    return Weights(parts(inputs, "model"), decoder.tensors(), unused)


def fresh(decoder: Decoder, adapter: Adapter, seed: int) -> dict[str, torch.Tensor]:
    """An untrained adapter on the CPU, which changes nothing yet: A drawn as a linear layer's weights are, B zero."""
    draws = generator(seed, "adapter")
    tensors = {}
    for name, shape in adapter.tensors(decoder).items():
        tensor = torch.zeros(shape)
        if ".lora_A." in name:
            bound = 1 / math.sqrt(shape[1])
            tensor.uniform_(-bound, bound, generator=draws)
        tensors[name] = tensor
    return tensors


def rate(params: Params, index: int) -> float:
    """The learning rate of optimizer step `index`: up in a straight line, then down along half a cosine."""
    warmup, steps = int(params["warmup"]), int(params["steps"])
    if index < warmup:
        return float(params["lr"]) * index / warmup
    gone = (index - warmup) / max(1, steps - warmup)
    return float(params["lr"]) * 0.5 * (1 + math.cos(math.pi * gone))
