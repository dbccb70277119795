"""The shape of the classifier that training makes and inference runs: a plain multilayer perceptron.

Sizes decide what a step costs, and which tensors a model file must hold; both are needed where no torch is. Called by the
catalogue, by the renter when it looks at a model that came back, and by the kinds.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

Params = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Shape:
    """Layer sizes: `features` in, `depth` hidden layers of `width`, `classes` out."""

    features: int
    width: int
    depth: int
    classes: int

    def layers(self) -> list[tuple[int, int]]:
        """(outputs, inputs) of every linear layer, first to last."""
        sizes = [self.features, *[self.width] * self.depth, self.classes]
        return [(outputs, inputs) for inputs, outputs in itertools.pairwise(sizes)]

    def macs(self) -> int:
        """Multiplications for one row, forward."""
        return sum(outputs * inputs for outputs, inputs in self.layers())

    def weights(self) -> int:
        """How many numbers training moves, biases included."""
        return sum(outputs * (inputs + 1) for outputs, inputs in self.layers())

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every (float32) tensor of such a model's file, by name."""
        shapes: dict[str, tuple[int, ...]] = {"input.mean": (self.features,), "input.scale": (1,)}
        for number, (outputs, inputs) in enumerate(self.layers()):
            shapes[f"layers.{number}.weight"] = (outputs, inputs)
            shapes[f"layers.{number}.bias"] = (outputs,)
        return shapes


def shape_of(params: Params) -> Shape:
    """The shape a task's (checked) parameters ask for."""
    return Shape(*(int(params[name]) for name in ("features", "width", "depth", "classes")))
