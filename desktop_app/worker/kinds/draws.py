"""Random draws as pure functions of a task's seed and a place in it, so that no generator is part of a checkpoint.

A task resumed at step 70 on another machine draws for step 71 what the first machine would have drawn. Called by the kinds.
"""

import hashlib

import torch

_SEED_BYTES = 7  # fits a signed 64-bit integer


def generator(seed: int, place: str) -> torch.Generator:
    """A CPU generator for one place ("weights", "step 12") of the task with this seed."""
    mixed = hashlib.sha256(f"{seed}:{place}".encode()).digest()[:_SEED_BYTES]
    return torch.Generator().manual_seed(int.from_bytes(mixed, "big"))
