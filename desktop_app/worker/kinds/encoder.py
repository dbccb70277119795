"""A BERT-style encoder (arXiv 1810.04805) with mean pooling: rows of tokens in, unit vectors out. Called by `embed`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch.nn import functional

from desktop_app.core.classifier import Params
from desktop_app.core.encoder import encoder_of
from desktop_app.worker.kinds.weights import Weights, parts, precision

_UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")
_PREFIX = "bert."


class TextEncoder:
    """The model, where `device` is."""

    def __init__(self, inputs: Mapping[str, Path], params: Params, device: torch.device) -> None:
        """ValueError if the files are not those of such a model."""
        shape = encoder_of(params)
        weights = Weights(parts(inputs, "model"), shape.tensors(), _UNUSED, _PREFIX)
        self._dtype, self._shape, self._eps = precision(device, bool(params["bf16"])), shape, float(params["eps"])
        self._tensors = {name: weights.take(name, device, self._dtype) for name in shape.tensors()}
        for number in range(shape.layers):
            self._join(f"encoder.layer.{number}.attention.self.")

    def embed(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Float32 [rows, hidden], each of length one, from int64 [rows, length] and the bool mask of what counts."""
        with torch.no_grad():
            hidden = self._entering(tokens)
            for number in range(self._shape.layers):
                hidden = self._layer(f"encoder.layer.{number}.", hidden, mask)
            counted = mask.unsqueeze(-1)
            mean = (hidden.float() * counted).sum(dim=1) / counted.sum(dim=1)
            return functional.normalize(mean, dim=1)

    def _entering(self, tokens: torch.Tensor) -> torch.Tensor:
        """Word, place and segment (always the first) added up."""
        words = functional.embedding(tokens, self._tensors["embeddings.word_embeddings.weight"])
        places = self._tensors["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        return self._normed("embeddings", words + places + self._tensors["embeddings.token_type_embeddings.weight"][0])

    def _layer(self, name: str, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        joined = functional.linear(hidden, self._tensors[f"{name}attention.self.weight"], self._tensors[f"{name}attention.self.bias"])
        queries, keys, values = joined.view(*hidden.shape[:2], 3, self._shape.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask[:, None, None, :])
        seen = self._linear(f"{name}attention.output.dense", seen.transpose(1, 2).flatten(2))
        hidden = self._normed(f"{name}attention.output", hidden + seen)
        inner = functional.gelu(self._linear(f"{name}intermediate.dense", hidden))
        return self._normed(f"{name}output", hidden + self._linear(f"{name}output.dense", inner))

    def _linear(self, name: str, entering: torch.Tensor) -> torch.Tensor:
        return functional.linear(entering, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _normed(self, name: str, entering: torch.Tensor) -> torch.Tensor:
        weight, bias = self._tensors[f"{name}.LayerNorm.weight"], self._tensors[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(entering, (self._shape.hidden,), weight, bias, self._eps)

    def _join(self, name: str) -> None:
        """Queries, keys and values by one multiplication instead of three."""
        for kind in ("weight", "bias"):
            self._tensors[f"{name}{kind}"] = torch.cat([self._tensors.pop(f"{name}{part}.{kind}") for part in ("query", "key", "value")])
