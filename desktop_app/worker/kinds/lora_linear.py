"""Two operations of the language model whose gradients are worth writing by hand: an adapted linear map, and rotation.

Autograd would keep more and pass over the large results more often. Called by `transformer`.
"""

from typing import Protocol

import torch
from torch.nn import functional


class _Adapted(Protocol):
    """What the forward pass of an adapted map leaves for the backward pass."""

    saved_tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    needs_input_grad: tuple[bool, ...]
    rate: float

    def save_for_backward(self, *tensors: torch.Tensor) -> None: ...


class _Turned(Protocol):
    """What the forward pass of a rotation leaves for the backward pass."""

    saved_tensors: tuple[torch.Tensor, torch.Tensor]

    def save_for_backward(self, *tensors: torch.Tensor) -> None: ...


class AdaptedLinear(torch.autograd.Function):
    """`x W' + bias + rate x A' B'`: only A and B (float32, rank x inputs and outputs x rank) get gradients of their own."""

    @staticmethod
    def forward(
        ctx: _Adapted, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor, rate: float
    ) -> torch.Tensor:
        """[…, outputs] from […, inputs]."""
        rows = x.flatten(0, -2)
        a, b = a.to(x.dtype), b.to(x.dtype)
        narrow = rows @ a.t()
        out = functional.linear(rows, weight, bias).addmm_(narrow, b.t(), alpha=rate)
        ctx.save_for_backward(rows, weight, narrow, a, b)
        ctx.rate = rate
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: _Adapted, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None, None, torch.Tensor, torch.Tensor, None]:
        """Gradients by x (if it wants one), A and B."""
        rows, weight, narrow, a, b = ctx.saved_tensors
        grad = grads[0].flatten(0, -2)
        inner = (grad @ b).mul_(ctx.rate)
        by_a, by_b = (inner.t() @ rows).float(), (grad.t() @ narrow).float().mul_(ctx.rate)
        by_x = (grad @ weight).addmm_(inner, a).view(*grads[0].shape[:-1], -1) if ctx.needs_input_grad[0] else None
        return by_x, None, None, by_a, by_b, None


class Rotation(torch.autograd.Function):
    """Each pair (n, n + half) of the last dimension turned by its place's angle; backward turns back."""

    @staticmethod
    def forward(ctx: _Turned, x: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
        """[…, tokens, head] from the same; `sines` are negative in the first half."""
        ctx.save_for_backward(cosines, sines)
        return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, -1), sines)

    @staticmethod
    def backward(ctx: _Turned, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """The gradient by x."""
        cosines, sines = ctx.saved_tensors
        grad = grads[0]
        return torch.addcmul(grad * cosines, grad.roll(grad.shape[-1] // 2, -1), sines, value=-1), None, None
