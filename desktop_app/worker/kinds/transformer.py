"""A Llama-style causal language model with LoRA adapters: its forward pass, and a backward pass that only adapters pay for.

RMSNorm (arXiv 1910.07467), rotary positions (2104.09864), grouped queries (2305.13245), SwiGLU (2002.05202), LoRA
(2106.09685). Weights and adapters stay the caller's. The head is never trained, so its gradient is worked out together with
the loss, some rows at a time, and the vocabulary's outputs are never held whole. Called by `lora` and `lora_check`.
"""

import math
from collections.abc import Mapping
from copy import copy

import torch
from torch.nn import functional

from desktop_app.core.classifier import Params
from desktop_app.core.transformer import Decoder, adapter_name, decoder_of, layer_name
from desktop_app.worker.kinds.lora_linear import AdaptedLinear, Rotation
from desktop_app.worker.kinds.weights import Weights

_CHUNK_FLOATS = 2**24  # of the head's outputs at a time
_LLAMA3 = (1.0, 4.0, 8192)  # of its frequency scaling: low and high factor, original context


class Transformer:
    """The frozen model, where `device` is, in `dtype`; `adapters` are float32 tensors by peft's names, moved by the caller."""

    def __init__(
        self, params: Params, weights: Weights, adapters: Mapping[str, torch.Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Takes every weight; the arguments were checked."""
        shape = decoder_of(params)
        self._shape, self._eps = shape, float(params["eps"])
        self._embedding = weights.take("model.embed_tokens.weight", device, dtype)
        self._head = self._embedding if shape.tied else weights.take("lm_head.weight", device, dtype)
        self._norm = weights.take("model.norm.weight", device, dtype)
        self._turns = _turns(shape.head, params, device, dtype)
        rate = float(params["alpha"]) / int(params["rank"])
        self._layers = [_Layer(shape, number, weights, adapters, rate, self._eps, device, dtype) for number in range(shape.layers)]

    def without_adapters(self) -> "Transformer":
        """The same model, sharing its weights, as it was before anything was added to it."""
        plain = copy(self)
        plain._layers = [layer.without_adapters() for layer in self._layers]
        return plain

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """[rows, context - 1, vocab]: what the model expects after each of int64 [rows, context - 1]. No gradients."""
        with torch.no_grad():
            return functional.linear(self._read(tokens), self._head)

    def loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """Float32 [rows, context - 1]: how surprised the model is by each next token of int64 [rows, context]. No gradients."""
        with torch.no_grad():
            losses, _ = self._surprise(self._read(tokens[:, :-1]), tokens[:, 1:].flatten(), 0.0)
        return losses.view(len(tokens), -1)

    def learn(self, tokens: torch.Tensor, share: float, recompute: bool) -> torch.Tensor:
        """The mean loss of int64 [rows, context], its gradient times `share` added to the adapters' `grad`.

        With `recompute` a layer's inner results are not kept but worked out again on the way back.
        """
        targets = tokens[:, 1:].flatten()
        if recompute:
            return self._learn_again(functional.embedding(tokens[:, :-1], self._embedding), targets, share)
        final = self._read(tokens[:, :-1])
        losses, grad = self._surprise(final.detach(), targets, share)
        _back(final, grad)
        return losses.mean()

    def _learn_again(self, begin: torch.Tensor, targets: torch.Tensor, share: float) -> torch.Tensor:
        entered = [begin]
        with torch.no_grad():
            for layer in self._layers:
                entered.append(layer.forward(entered[-1], self._turns))
        last = entered.pop().requires_grad_()
        final = self._final(last)
        losses, grad = self._surprise(final.detach(), targets, share)
        _back(final, grad)
        for number in range(len(self._layers) - 1, -1, -1):
            before = entered.pop().requires_grad_(number > 0)
            _back(self._layers[number].forward(before, self._turns), last.grad)
            last = before
        return losses.mean()

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = functional.embedding(tokens, self._embedding)
        for layer in self._layers:
            hidden = layer.forward(hidden, self._turns)
        return self._final(hidden)

    def _final(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, (self._shape.hidden,), self._norm, self._eps)

    def _surprise(self, final: torch.Tensor, targets: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Each token's cross entropy, and `share` x the gradient of their mean by `final`, flattened; empty when `share` is 0."""
        rows = final.flatten(0, -2)
        losses = torch.empty(len(rows), device=rows.device)
        grad = torch.empty_like(rows) if share else rows[:0]
        size = max(1, _CHUNK_FLOATS // self._shape.vocab)
        with torch.no_grad():
            for start in range(0, len(rows), size):
                part, wanted = slice(start, start + size), targets[start : start + size, None]
                logs = torch.log_softmax(functional.linear(rows[part], self._head).float(), dim=1)
                losses[part] = -logs.gather(1, wanted).squeeze(1)
                if share:
                    logs.exp_().scatter_add_(1, wanted, logs.new_full((), -1.0).expand(wanted.shape))
                    grad[part] = logs.mul_(share / len(rows)).to(rows.dtype) @ self._head
        return losses, grad


class _Layer:
    """One layer: attention and the gated perceptron, each behind its norm and added to what came in."""

    def __init__(
        self, shape: Decoder, number: int, weights: Weights, adapters: Mapping[str, torch.Tensor], rate: float, eps: float,
        device: torch.device, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self._shape, self._eps, self._rate = shape, eps, rate
        self._weights = {name: weights.take(layer_name(number, name), device, dtype) for name in shape.layer_tensors()}
        self._adapters = {
            target: (adapters[adapter_name(number, target, "A")], adapters[adapter_name(number, target, "B")])
            for target in shape.linears()
            if adapter_name(number, target, "A") in adapters
        }

    def without_adapters(self) -> "_Layer":
        plain = copy(self)
        plain._adapters = {}
        return plain

    def forward(self, hidden: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """[rows, tokens, hidden] from the same."""
        hidden = hidden + self._attention(self._normed("input_layernorm", hidden), turns)
        inner = self._normed("post_attention_layernorm", hidden)
        gated = functional.silu(self._linear("mlp.gate_proj", inner)) * self._linear("mlp.up_proj", inner)
        return hidden + self._linear("mlp.down_proj", gated)

    def _attention(self, hidden: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        queries, keys, values = (
            self._linear(f"self_attn.{name}_proj", hidden).view(*hidden.shape[:2], -1, self._shape.head).transpose(1, 2) for name in "qkv"
        )
        queries, keys = (Rotation.apply(turned, *turns) for turned in (queries, keys))  # type: ignore[no-untyped-call]
        grouped = self._shape.heads != self._shape.kv_heads
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=grouped)
        return self._linear("self_attn.o_proj", seen.transpose(1, 2).flatten(2))

    def _linear(self, name: str, entering: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias")
        pair = self._adapters.get(name)
        if pair is None:
            return functional.linear(entering, weight, bias)
        grown: torch.Tensor = AdaptedLinear.apply(entering, weight, bias, *pair, self._rate)  # type: ignore[no-untyped-call]
        return grown

    def _normed(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, (self._shape.hidden,), self._weights[f"{name}.weight"], self._eps)


def _back(out: torch.Tensor, grad: torch.Tensor | None) -> None:
    """What `out.backward(grad)` does, which would import an algebra system of some hundred modules the first time."""
    if grad is not None:
        torch.dot(out.flatten(), grad.flatten()).backward()  # type: ignore[no-untyped-call]


def _turns(head: int, params: Params, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and signed sines [context - 1, head] by which queries and keys are turned at each place."""
    speeds = 1.0 / float(params["rope_theta"]) ** (torch.arange(0, head, 2, dtype=torch.float32) / head)
    factor = float(params["rope_factor"])
    if factor > 1:
        speeds = _slowed(speeds, factor)
    angles = torch.outer(torch.arange(int(params["context"]) - 1, dtype=torch.float32), speeds)
    cosines, sines = angles.cos(), angles.sin()
    both = torch.cat((cosines, cosines), dim=1), torch.cat((-sines, sines), dim=1)
    return both[0].to(device, dtype), both[1].to(device, dtype)


def _slowed(speeds: torch.Tensor, factor: float) -> torch.Tensor:
    """Llama 3.1's scaling: long waves `factor` times slower, short ones as they were, a straight line between."""
    low, high, original = _LLAMA3
    waves = original * speeds / (2 * math.pi)  # how often each turns within the original context
    smooth = ((waves - low) / (high - low)).clamp(0, 1)
    return speeds * ((1 - smooth) / factor + smooth)
