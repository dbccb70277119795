"""The task kinds of the catalogue, one module each, and what every kind must offer.

`worker.main` drives a kind through this protocol and knows no kind by name: it reads the gate, takes one micro-step at a
time, keeps the step count and commits the state between steps. `registry.load` makes a kind from its name and its inputs.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch

from desktop_app.worker.kinds.filling import Filling


class Kind(Protocol):
    """One task being computed. A kind opens nothing but its inputs and gives its outputs as bytes."""

    steps: int
    """Micro-steps in the whole task, from the first step of the first machine to the last step of the last one."""

    def step(self, index: int) -> float | None:
        """Take micro-step `index` (0 <= index < steps, in order), at most 50 ms on its tier; the loss, or None if there is none."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Everything mutable, the optimizer included and random generators as uint8 tensors, without the step count.

        Shapes and dtypes are the same at every call, so that a slot of the arena can be laid out once.
        """
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state()` gave at some step; ValueError if the names, shapes or dtypes are another task's."""
        ...

    def result(self) -> tuple[Mapping[str, bytes | memoryview], dict[str, float]]:
        """After the last step: file bytes by role (safetensors or JSON lines), and metrics by name."""
        ...


@runtime_checkable
class Fills(Protocol):
    """A kind whose result grows with its inputs, and is written in the place it will be handed over from.

    Its state is nothing but rows of that result, so that a commit has only the new ones to copy.
    """

    output: Filling
    """To be moved there before the first step."""
