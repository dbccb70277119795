"""Putting a checkpoint's tensors back in place, once it is sure that they are this task's. Called by the kinds."""

from collections.abc import Mapping

import torch


def overwrite(live: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor]) -> None:
    """Copy `saved` into `live`; ValueError, before anything is written, if names, shapes or dtypes differ."""
    if set(live) != set(saved):
        raise ValueError("the checkpoint's tensors are another task's")
    for name, tensor in live.items():
        if tensor.shape != saved[name].shape or tensor.dtype != saved[name].dtype:
            raise ValueError(f"the checkpoint's {name} has another shape or type than the task's")
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(saved[name])
