"""The shape of a BERT-style encoder that turns rows of tokens into embeddings.

Tensor names are Hugging Face's, so that checkpoints from there load here; a pooler in the file is not used. Called by
`core.cost` and by the kinds.
"""

import math
from dataclasses import dataclass

from desktop_app.core.classifier import Params


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder's sizes: `positions` tokens at most, `types` kinds of segment."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    types: int

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of such a model's file, by name."""
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocab, self.hidden),
            "embeddings.position_embeddings.weight": (self.positions, self.hidden),
            "embeddings.token_type_embeddings.weight": (self.types, self.hidden),
        }
        shapes |= _normed("embeddings.LayerNorm", self.hidden)
        for number in range(self.layers):
            layer = f"encoder.layer.{number}."
            for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
                shapes |= _linear(layer + name, self.hidden, self.hidden)
            shapes |= _normed(layer + "attention.output.LayerNorm", self.hidden)
            shapes |= _linear(layer + "intermediate.dense", self.intermediate, self.hidden)
            shapes |= _linear(layer + "output.dense", self.hidden, self.intermediate)
            shapes |= _normed(layer + "output.LayerNorm", self.hidden)
        return shapes

    def weights(self) -> int:
        """How many numbers the model has."""
        return sum(math.prod(shape) for shape in self.tensors().values())

    def macs(self, length: int) -> int:
        """Multiplications for one token in a row of `length`, forward."""
        return self.layers * (self.hidden * (4 * self.hidden + 2 * self.intermediate) + 2 * length * self.hidden)


def encoder_of(params: Params) -> Encoder:
    """The model a task's (checked) parameters describe."""
    return Encoder(*(int(params[name]) for name in ("vocab", "hidden", "layers", "heads", "intermediate", "positions", "types")))


def encoder_refusal(params: Params) -> str | None:
    """Why the sizes do not fit one another, in words, or None."""
    hidden, heads = int(params["hidden"]), int(params["heads"])
    if hidden % heads:
        return f"{heads} heads do not share a hidden size of {hidden} evenly"
    length, positions = int(params["length"]), int(params["positions"])
    return f"rows of {length} tokens are longer than the {positions} positions of the model" if length > positions else None


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _normed(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
