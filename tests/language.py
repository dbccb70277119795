"""A small language model and real text for it: made by Hugging Face's own code, saved by it, so that what is tested here loads there.

The text is the licence that ships with the project, a byte a token. Nothing is fetched: the Hub is switched off.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

os.environ["HF_HUB_OFFLINE"] = "1"

LICENCE = Path(__file__).parents[1] / "LICENSE"
CONTEXT = 32

MODEL: dict[str, int | float | str] = {
    "vocab": 256, "hidden": 32, "layers": 2, "heads": 4, "kv_heads": 2, "intermediate": 48,
    "rope_theta": 10000.0, "rope_factor": 1, "eps": 1e-5, "tied": 0, "qkv_bias": 0, "context": CONTEXT,
}  # fmt: skip
ADAPTER: dict[str, int | float | str] = {"rank": 4, "alpha": 8, "targets": 127}
LEARNING: dict[str, int | float | str] = MODEL | ADAPTER | {
    "lr": 0.01, "warmup": 3, "steps": 12, "batch": 4, "accumulation": 2, "weight_decay": 0.01, "clip": 1,
    "checkpointing": 0, "bf16": 0,
}  # fmt: skip


def huggingface(params: dict[str, int | float | str], seed: int = 1) -> "LlamaForCausalLM":
    """Hugging Face's model of these sizes, its weights random; biases, if it has any, too."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    rope: dict[str, object] = {"rope_type": "default", "rope_theta": params["rope_theta"]}
    if params["rope_factor"] != 1:
        rope |= {"rope_type": "llama3", "factor": params["rope_factor"], "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope["original_max_position_embeddings"] = 8192
    told = {
        "vocab_size": params["vocab"], "hidden_size": params["hidden"], "intermediate_size": params["intermediate"],
        "num_hidden_layers": params["layers"], "num_attention_heads": params["heads"], "num_key_value_heads": params["kv_heads"],
        "rms_norm_eps": params["eps"], "tie_word_embeddings": bool(params["tied"]), "max_position_embeddings": 131072,
        "rope_parameters": rope, "bos_token_id": None, "eos_token_id": None, "initializer_range": 0.1,
    }  # fmt: skip
    torch.manual_seed(seed)
    biased = bool(params["qkv_bias"])
    model: LlamaForCausalLM = Qwen2ForCausalLM(Qwen2Config(**told)) if biased else LlamaForCausalLM(LlamaConfig(**told))
    for name, weight in model.named_parameters():
        if name.endswith(("bias", "norm.weight")):
            torch.nn.init.normal_(weight, 1.0 if "norm" in name else 0.0, 0.1)
    model.eval()
    return model


def hush() -> None:
    """No progress bars, whose watching threads would outlive a test."""
    from tqdm import tqdm
    from transformers.utils.logging import disable_progress_bar

    tqdm.monitor_interval = 0
    disable_progress_bar()


def saved(model: "LlamaForCausalLM", folder: Path, shard: str = "50GB") -> dict[str, Path]:
    """The model as Hugging Face saves it: its files by the roles of a task's inputs."""
    hush()
    model.save_pretrained(folder, max_shard_size=shard)
    files = sorted(folder.glob("*.safetensors"))
    return {"model" if number == 1 else f"model_{number}": path for number, path in enumerate(files, start=1)}


def text(first: int = 0, last: int | None = None) -> torch.Tensor:
    """Bytes [first, last) of the licence as uint16."""
    return torch.tensor(list(LICENCE.read_bytes()[first:last]), dtype=torch.uint16)


def shard(path: Path, tokens: torch.Tensor) -> Path:
    """A packed shard of tokens."""
    save_file({"tokens": tokens}, path)
    return path
