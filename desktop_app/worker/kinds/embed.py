"""`embed/1`: turn rows of tokens into unit vectors, one batch a micro-step; and `check.embeddings/1`, which does some rows again.

Texts were turned into tokens by the renter. The rows stay on the disk and are read as they are needed; the vectors so far are
the whole state. Loaded by `registry`.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from desktop_app.core.classifier import Params
from desktop_app.core.encoder import encoder_of
from desktop_app.wire.arena import TensorSpec
from desktop_app.worker.kinds.draws import generator
from desktop_app.worker.kinds.encoder import TextEncoder
from desktop_app.worker.kinds.files import read
from desktop_app.worker.kinds.filling import Filling
from desktop_app.worker.kinds.mapped import Mapped
from desktop_app.worker.kinds.restoring import overwrite

_TOKENS = {"U16", "I32", "I64"}
_MASKS = {"U8", "BOOL", "I64"}

TOLERANCE, TOLERANCE_BF16 = 1e-3, 5e-2
"""How far apart two honest vectors of a text may lie: 1e-6 to 1e-5 in float32, about 1e-2 in bfloat16; a cheaper model's lie further."""


class _Rows:
    """The tensors `input_ids` and `attention_mask` of a data file, [rows, length] each."""

    def __init__(self, path: Path, params: Params) -> None:
        """ValueError if the file holds anything else."""
        shape = [int(params["rows"]), int(params["length"])]
        self._vocab = encoder_of(params).vocab
        file = Mapped(path)
        for name, dtypes in (("input_ids", _TOKENS), ("attention_mask", _MASKS)):
            told = file.slice(name) if name in file.names() else None
            if told is None or told.get_dtype() not in dtypes or told.get_shape() != shape:
                raise ValueError(f"the data has no tensor `{name}` of whole numbers, {shape[0]} rows of {shape[1]}")
        self._tokens, self._mask = file.slice("input_ids"), file.slice("attention_mask")

    def take(self, rows: range | list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Those rows, a range of neighbours or any: int64 tokens and bool mask, cut to the longest.

        ValueError for a token outside the vocabulary, or a row without tokens.
        """
        spans = [slice(rows.start, rows.stop)] if isinstance(rows, range) else [slice(row, row + 1) for row in rows]
        tokens = torch.cat([self._tokens[span].to(torch.int64) for span in spans])
        mask = torch.cat([self._mask[span].to(torch.bool) for span in spans])
        if int(tokens.min()) < 0 or int(tokens.max()) >= self._vocab:
            raise ValueError(f"a token lies outside 0 to {self._vocab - 1}")
        if not bool(mask.any(dim=1).all()):
            raise ValueError("a row of the data has no tokens at all")
        longest = int(mask.any(dim=0).nonzero().max()) + 1
        return tokens[:, :longest], mask[:, :longest]


class Embed:
    """Inputs `model` and `data`; output `embeddings`: safetensors with float32 `embeddings` [rows, hidden]."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if model or data do not fit the parameters. Nothing is drawn, so `seed` changes nothing."""
        self._rows = _Rows(inputs["data"], params)
        self._encoder = TextEncoder(inputs, params, device)
        self._count, self._batch, self._device = int(params["rows"]), int(params["batch"]), device
        self.steps = -(-self._count // self._batch)
        self.output = Filling((TensorSpec("embeddings", "F32", (self._count, int(params["hidden"]))),), self._batch)

    def step(self, index: int) -> None:
        """One batch of rows; ValueError when the model's numbers run out of range on them."""
        rows = range(index * self._batch, min((index + 1) * self._batch, self._count))
        tokens, mask = self._rows.take(rows)
        vectors = self._encoder.embed(tokens.to(self._device), mask.to(self._device)).cpu()
        if not bool(torch.isfinite(vectors).all()):
            raise ValueError("the model's outputs are infinite or not numbers")
        self.output.tensor("embeddings")[rows.start : rows.stop] = vectors

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensor: copy it before the next step."""
        return {"vectors": self.output.tensor("embeddings")}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes | memoryview], dict[str, float]]:
        """The vectors, and the length of their mean: near one when all texts are alike."""
        mean = self.output.tensor("embeddings").mean(dim=0)
        return {"embeddings": self.output.file()}, {"mean_length": mean.norm().item()}


class CheckEmbeddings:
    """Inputs `model`, `data` and `embeddings`; metric `mismatch_fraction` over `sample` rows drawn by the checker's seed."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, seed: int, device: torch.device) -> None:
        """ValueError if the inputs do not fit the parameters."""
        rows, hidden = int(params["rows"]), int(params["hidden"])
        self._rows = _Rows(inputs["data"], params)
        self._encoder = TextEncoder(inputs, params, device)
        told = read(inputs["embeddings"]).get("embeddings", torch.empty(0))
        if (told.dtype, tuple(told.shape)) != (torch.float32, (rows, hidden)):
            raise ValueError("the embeddings are not float32, one row per row of data")
        self._told, self._device = told, device
        self._picked = torch.randperm(rows, generator=generator(seed, "sample"))[: int(params["sample"])].sort().values
        self._batch = int(params["batch"])
        self.steps = -(-len(self._picked) // self._batch)
        self._tolerance = TOLERANCE_BF16 if params["bf16"] else TOLERANCE
        self._wrong = torch.zeros(1, dtype=torch.int64)

    def step(self, index: int) -> None:
        """Compute one batch of the picked rows again, and count those that lie elsewhere."""
        rows = self._picked[index * self._batch : (index + 1) * self._batch].tolist()
        tokens, mask = self._rows.take(rows)
        ours = self._encoder.embed(tokens.to(self._device), mask.to(self._device)).cpu()
        self._wrong += int((~((ours - self._told[rows]).norm(dim=1) <= self._tolerance)).sum())

    def state(self) -> dict[str, torch.Tensor]:
        return {"wrong": self._wrong}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        overwrite(self.state(), state)

    def result(self) -> tuple[dict[str, bytes], dict[str, float]]:
        """No file; the share of picked rows that differ."""
        return {}, {"mismatch_fraction": int(self._wrong) / len(self._picked)}
