"""`check.lora/1`: what an adapter that came back is worth on rows the worker never saw.

Runs in the renter's sandboxed child, never for the market. Every held-out row is read twice, with the adapter and without;
the renter compares. Numbers that are none are not an error here: they score as badly as can be. Loaded by `registry`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params
from desktop_app.core.transformer import adapter_of, decoder_of
from desktop_app.worker.kinds.files import read
from desktop_app.worker.kinds.lora import open_model
from desktop_app.worker.kinds.lora_data import TokenRows
from desktop_app.worker.kinds.restoring import overwrite
from desktop_app.worker.kinds.transformer import Transformer
from desktop_app.worker.kinds.weights import parts, precision

WORST_LOSS = 100.0
"""Of one token: far worse than guessing, which is the logarithm of the vocabulary."""


class CheckLora:
    """Inputs `model`, `adapter` and `data` (held-out tokens); metrics `loss`, with the adapter, and `base_loss`, without."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if the files do not fit the parameters. Nothing is drawn, so `seed` changes nothing."""
        decoder = decoder_of(params)
        adapter, expected = read(inputs["adapter"]), adapter_of(params).tensors(decoder)
        if {name: tuple(tensor.shape) for name, tensor in adapter.items()} != expected:
            raise ValueError("the adapter's tensors are not those that the parameters describe")
        if any(tensor.dtype != torch.float32 for tensor in adapter.values()):
            raise ValueError("the adapter is not float32")
        self._rows = TokenRows(parts(inputs, "data"), int(params["context"]), decoder.vocab)
        if len(self._rows) != int(params["rows"]):
            raise ValueError(f"the data makes {len(self._rows)} rows, the check says {int(params['rows'])}")
        weights, dtype = open_model(inputs, decoder), precision(device, bool(params["bf16"]))
        adapter = {name: tensor.to(device) for name, tensor in adapter.items()}
        self._grown = Transformer(params, weights, adapter, device, dtype)
        self._plain = self._grown.without_adapters()
        self._batch, self._device = int(params["batch"]), device
        self.steps = -(-len(self._rows) // self._batch)
        self._sums = torch.zeros(3, dtype=torch.float64)  # with, without, tokens

    def step(self, index: int) -> None:
        """Read one batch of rows both ways."""
        rows = range(index * self._batch, min((index + 1) * self._batch, len(self._rows)))
        tokens = self._rows.take(rows).to(self._device)
        for place, model in enumerate((self._grown, self._plain)):
            losses = model.loss(tokens).double().nan_to_num(WORST_LOSS, WORST_LOSS, WORST_LOSS).clamp(max=WORST_LOSS)
            self._sums[place] += losses.sum().cpu()
        self._sums[2] += losses.numel()

    def state(self) -> dict[str, torch.Tensor]:
        return {"sums": self._sums}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """No file; the mean loss of a token in nats, with the adapter and without."""
        grown, plain, count = self._sums.tolist()
        return {}, {"loss": grown / count, "base_loss": plain / count}
