"""The shape of a Llama-style causal language model, and of the LoRA adapters that fine-tuning gives it.

Tensor names are Hugging Face's, adapters' those of its `peft`, so that checkpoints from there load here and adapters from
here load there. Sizes decide what a step costs and which tensors a file must hold; both are needed where no torch is.
Called by `core.cost`, by the renter when it looks at an adapter that came back, and by the kinds.
"""

import json
import math
from dataclasses import dataclass

from desktop_app.core.classifier import Params

TARGETS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
"""A layer's linear maps; bit n of the parameter `targets` says whether the n-th gets an adapter."""

ADAPTER_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder's sizes. `tied`: the head is the embedding; `biased`: queries, keys and values have biases (Qwen2)."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    tied: bool
    biased: bool

    @property
    def head(self) -> int:
        """The width of one attention head."""
        return self.hidden // self.heads

    def linears(self) -> dict[str, tuple[int, int]]:
        """(outputs, inputs) of a layer's linear maps by TARGETS' names."""
        kv = self.kv_heads * self.head
        sizes = (
            (self.hidden, self.hidden), (kv, self.hidden), (kv, self.hidden), (self.hidden, self.hidden),
            (self.intermediate, self.hidden), (self.intermediate, self.hidden), (self.hidden, self.intermediate),
        )  # fmt: skip
        return dict(zip(TARGETS, sizes, strict=True))

    def layer_tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of one layer, by its name within the layer."""
        shapes: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (self.hidden,), "post_attention_layernorm.weight": (self.hidden,)}
        for name, (outputs, inputs) in self.linears().items():
            shapes[f"{name}.weight"] = (outputs, inputs)
            if self.biased and name in TARGETS[:3]:
                shapes[f"{name}.bias"] = (outputs,)
        return shapes

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of the whole model, by Hugging Face's name."""
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab, self.hidden), "model.norm.weight": (self.hidden,)}
        for number in range(self.layers):
            shapes |= {layer_name(number, name): shape for name, shape in self.layer_tensors().items()}
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocab, self.hidden)
        return shapes

    def weights(self) -> int:
        """How many numbers the model has."""
        layer = sum(math.prod(shape) for shape in self.layer_tensors().values())
        return self.layers * layer + self.vocab * self.hidden * (1 if self.tied else 2) + self.hidden

    def linear_macs(self) -> int:
        """Multiplications with weights for one token, forward."""
        return self.layers * sum(outputs * inputs for outputs, inputs in self.linears().values()) + self.vocab * self.hidden

    def attention_macs(self, context: int) -> int:
        """Multiplications of one token with the `context` tokens of its row, forward; masked ones count."""
        return self.layers * 2 * context * self.hidden


@dataclass(frozen=True, slots=True)
class Adapter:
    """Which of a layer's linear maps are adapted, and the rank of what is added to them."""

    rank: int
    targets: tuple[str, ...]

    def tensors(self, decoder: Decoder) -> dict[str, tuple[int, ...]]:
        """The shape of every (float32) tensor of such an adapter's file, by peft's name."""
        linears = decoder.linears()
        shapes: dict[str, tuple[int, ...]] = {}
        for number in range(decoder.layers):
            for target in self.targets:
                outputs, inputs = linears[target]
                shapes[adapter_name(number, target, "A")] = (self.rank, inputs)
                shapes[adapter_name(number, target, "B")] = (outputs, self.rank)
        return shapes

    def weights(self, decoder: Decoder) -> int:
        """How many numbers training moves: each is also a multiplication for every token."""
        linears = decoder.linears()
        return decoder.layers * self.rank * sum(sum(linears[target]) for target in self.targets)


def layer_name(number: int, name: str) -> str:
    """A layer's tensor as the model's file names it."""
    return f"model.layers.{number}.{name}"


def adapter_name(number: int, target: str, side: str) -> str:
    """Side "A" or "B" of an adapter, as peft names it in a file."""
    return f"{ADAPTER_PREFIX}{layer_name(number, target)}.lora_{side}.weight"


def decoder_of(params: Params) -> Decoder:
    """The model a task's (checked) parameters describe."""
    vocab, hidden, layers, heads, kv_heads, intermediate = (
        int(params[name]) for name in ("vocab", "hidden", "layers", "heads", "kv_heads", "intermediate")
    )
    return Decoder(vocab, hidden, layers, heads, kv_heads, intermediate, tied=bool(params["tied"]), biased=bool(params["qkv_bias"]))


def adapter_of(params: Params) -> Adapter:
    """The adapter a task's (checked) parameters describe."""
    chosen = int(params["targets"])
    return Adapter(int(params["rank"]), tuple(target for bit, target in enumerate(TARGETS) if chosen >> bit & 1))


def adapter_config(params: Params) -> bytes:
    """peft's adapter_config.json for the adapter, on one line."""
    adapter = adapter_of(params)
    told = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": adapter.rank,
        "lora_alpha": params["alpha"],
        "lora_dropout": 0.0,
        "target_modules": [target.rpartition(".")[2] for target in adapter.targets],
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "base_model_name_or_path": None,
    }
    return json.dumps(told, sort_keys=True).encode() + b"\n"


def heads_refusal(params: Params) -> str | None:
    """Why the attention heads do not fit the model, in words, or None."""
    hidden, heads, kv_heads = (int(params[name]) for name in ("hidden", "heads", "kv_heads"))
    if hidden % heads or hidden // heads % 2:
        return f"{heads} heads do not share a hidden size of {hidden} evenly, in pairs of numbers"
    return f"{heads} heads cannot share {kv_heads} key heads evenly" if heads % kv_heads else None
