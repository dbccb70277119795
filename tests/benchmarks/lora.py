"""Our fine-tuning against Hugging Face's: `python -m tests.benchmarks.lora [pairs] [steps] [device]`, 12 pairs of 12 steps on the CPU.

The same small model (random weights, saved by Hugging Face, loaded by both), the same adapter to begin with, the same rows of
real text in the same order, precision, threads, optimizer and schedule. `train.lora/1` runs as the worker runs it, theirs is
`transformers` with `peft` and torch's fused AdamW. Both live in one process and take turns in ABBA order, so that drift of
the machine falls on both alike. `lora_ratio` is the median over pairs of (our tokens/s) / (their tokens/s), with the 95 %
interval of the median from order statistics; `lora_tokens` and `lora_peft_tokens` are the medians of both
(tokens/s); `lora_loss_gap_percent` is the largest difference of the two losses at any step, in per cent of theirs.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import get_cosine_schedule_with_warmup

from desktop_app.worker.kinds.lora import TrainLora
from desktop_app.worker.kinds.registry import load
from tests.benchmarks import work
from tests.benchmarks.pairing import interval
from tests.language import LEARNING, huggingface, saved, shard, text

SEED = 7
PARAMS: dict[str, int | float | str] = LEARNING | {
    "vocab": 4096, "hidden": 256, "layers": 4, "heads": 4, "kv_heads": 2, "intermediate": 704, "context": 128,
    "rank": 8, "alpha": 16, "batch": 4, "accumulation": 2, "lr": 0.002, "warmup": 10, "steps": 100_000,
}  # fmt: skip

Step = Callable[[int], float]


def theirs(rows: TrainLora, folder: Path, params: dict[str, int | float | str], device: torch.device) -> Step:
    """The same training by Hugging Face's libraries, as a function of the micro-step's index."""
    config = LoraConfig(
        r=int(params["rank"]), lora_alpha=int(params["alpha"]), lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )  # fmt: skip
    from transformers import LlamaForCausalLM

    dtype = torch.bfloat16 if params["bf16"] else torch.float32
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder, dtype=dtype).to(device), config)
    begin = {name.removeprefix("adapter."): tensor.clone() for name, tensor in rows.state().items() if name.startswith("adapter.")}
    set_peft_model_state_dict(model, begin)
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=float(params["lr"]), weight_decay=float(params["weight_decay"]), fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(params["warmup"]), int(params["steps"]))
    accumulation = int(params["accumulation"])

    def step(index: int) -> float:
        tokens = rows.batch(index)
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        (loss / accumulation).backward()
        if (index + 1) % accumulation == 0:
            torch.nn.utils.clip_grad_norm_(trained, float(params["clip"]))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return float(loss.item())

    return step


def main(pairs: int, steps: int, device: str) -> None:
    torch.set_num_threads(work.THREADS)
    params = PARAMS | {"bf16": int(device == "cuda")}
    with tempfile.TemporaryDirectory(prefix="sublet-lora-") as temporary:
        folder = Path(temporary)
        inputs = saved(huggingface(params), folder / "model") | {"data": shard(folder / "text.safetensors", text())}
        kind = load("train.lora/1", inputs, params, SEED, device)
        assert isinstance(kind, TrainLora)
        sides: dict[str, Step] = {"ours": kind.step, "theirs": theirs(kind, folder / "model", params, torch.device(device))}
        rates, gaps = _compare(sides, pairs, steps, int(params["batch"]) * int(params["context"]))
    ratios = [ours / peft for ours, peft in rates]
    low, high = interval(sorted(ratios))
    work.figure("lora_tokens", statistics.median(ours for ours, _ in rates), "tokens/s")
    work.figure("lora_peft_tokens", statistics.median(peft for _, peft in rates), "tokens/s")
    work.figure("lora_loss_gap_percent", 100 * max(gaps), "percent")
    work.figure("lora_ratio_low", low, "ratio")
    work.figure("lora_ratio_high", high, "ratio")
    work.figure("lora_ratio", statistics.median(ratios), "ratio")


def _compare(sides: dict[str, Step], pairs: int, steps: int, tokens: int) -> tuple[list[tuple[float, float]], list[float]]:
    """Tokens per second of each pair, ours and theirs, and the relative difference of the losses at each step.

    The first steps are not timed.
    """
    rates, gaps = [], []
    for pair in range(pairs + 1):
        order = ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours")
        seconds, losses = {}, {}
        for name in order:
            begun = time.perf_counter()
            losses[name] = [sides[name](index) for index in range(pair * steps, (pair + 1) * steps)]
            seconds[name] = time.perf_counter() - begun
        gaps += [abs(our - their) / their for our, their in zip(losses["ours"], losses["theirs"], strict=True)]
        if pair:
            ours, peft = (steps * tokens / seconds[name] for name in ("ours", "theirs"))
            rates.append((ours, peft))
            print(f"pair {pair}: {ours / peft:.3f} ({ours:.0f} and {peft:.0f} tokens/s), loss {losses['ours'][-1]:.4f}")
    return rates, gaps


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 12, int(words[1]) if len(words) > 1 else 12, words[2] if len(words) > 2 else "cpu")
