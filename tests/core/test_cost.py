"""What tasks cost: counted from their parameters alone, and let in or refused by it."""

from dataclasses import replace

import pytest

from desktop_app.core.bench import bench_steps
from desktop_app.core.catalogue import InputRule, check, limits, reference_units, state_bytes, step_us, steps
from desktop_app.core.cost import Work, cost_of, sizes_refusal
from desktop_app.core.encoder import encoder_of
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.core.transformer import adapter_of, decoder_of
from desktop_app.wire.bundle import catalogue
from tests.manifests import blob, written

Params = dict[str, int | float | str]

LLAMA: Params = {
    "vocab": 32000, "hidden": 512, "layers": 4, "heads": 8, "kv_heads": 4, "intermediate": 1024, "rope_theta": 10000.0, "rope_factor": 1,
    "eps": 1e-5, "tied": 1, "qkv_bias": 0, "context": 256, "rank": 8, "alpha": 16, "targets": 127,
}  # fmt: skip
LORA: Params = LLAMA | {
    "lr": 0.001, "warmup": 5, "steps": 10, "batch": 2, "accumulation": 1, "weight_decay": 0, "clip": 1, "checkpointing": 0, "bf16": 0,
}  # fmt: skip
ENCODER: Params = {
    "vocab": 30522, "hidden": 384, "layers": 6, "heads": 12, "intermediate": 1536, "positions": 512, "types": 2, "eps": 1e-12,
    "rows": 100, "length": 64, "batch": 8, "bf16": 0,
}  # fmt: skip
DECODER, ADAPTER = decoder_of(LORA), adapter_of(LORA)
TOKENS = 256 * 2


def test_frozen_weights_are_passed_twice_and_adapters_three_times() -> None:
    cost = cost_of(Work.LORA, LORA)
    grown = ADAPTER.weights(DECODER) + DECODER.attention_macs(256)
    assert cost.macs == TOKENS * (2 * DECODER.linear_macs() + 3 * grown)
    assert (cost.half_macs, cost.layers, cost.steps, cost.moved) == (0, 8, 10, ADAPTER.weights(DECODER))
    again = cost_of(Work.LORA, LORA | {"checkpointing": 1})
    assert again.macs == TOKENS * (3 * DECODER.linear_macs() + 4 * grown)
    assert again.layers == 12
    assert again.device_bytes < cost.device_bytes
    half = cost_of(Work.LORA, LORA | {"bf16": 1})
    assert (half.macs, half.half_macs) == (0, cost.macs)
    assert half.device_bytes < cost.device_bytes


def test_accumulation_makes_more_and_smaller_steps_of_one() -> None:
    one, four = cost_of(Work.LORA, LORA), cost_of(Work.LORA, LORA | {"accumulation": 4})
    assert four.steps == 40
    assert four.moved == one.moved // 4
    assert one.state_bytes == 3 * 4 * ADAPTER.weights(DECODER) + 64
    assert four.state_bytes == 4 * 4 * ADAPTER.weights(DECODER) + 64


def test_a_check_of_an_adapter_reads_every_row_twice() -> None:
    cost = cost_of(Work.LORA_CHECK, LLAMA | {"rows": 11, "batch": 2, "bf16": 0})
    assert cost.steps == 6
    assert cost.macs == TOKENS * (2 * (DECODER.linear_macs() + DECODER.attention_macs(256)) + ADAPTER.weights(DECODER))
    assert cost.state_bytes < 100
    assert cost_of(Work.LORA_CHECK, LLAMA | {"rows": 11, "batch": 2, "bf16": 1}).half_macs == cost.macs


def test_embedding_costs_its_tokens_and_keeps_its_vectors() -> None:
    cost = cost_of(Work.EMBED, ENCODER)
    per_token = 6 * (4 * 384 * 384 + 2 * 384 * 1536 + 2 * 64 * 384)
    assert cost.macs == 8 * 64 * per_token
    assert cost.steps == 13
    assert cost.state_bytes == 4 * 100 * 384 + 64
    again = cost_of(Work.EMBED_CHECK, ENCODER | {"sample": 10})
    assert (again.steps, again.macs) == (2, cost.macs)
    assert again.state_bytes < 100
    assert cost_of(Work.EMBED, ENCODER | {"bf16": 1}).half_macs == cost.macs


def test_minilm_has_the_numbers_its_card_says() -> None:
    assert encoder_of(ENCODER).weights() == 22_565_376  # 22.7 million with the pooler, which is not used
    assert encoder_of(ENCODER).tensors()["encoder.layer.5.output.dense.weight"] == (384, 1536)


def test_a_benchmark_takes_its_plan_at_fifty_milliseconds_a_step() -> None:
    params: Params = {"seconds": 10, "memory_mb": 1000}
    declaration = catalogue()["bench/1"]
    assert steps(declaration, params) == bench_steps(10)
    assert step_us(declaration, Tier.LARGE, params) == 50_000
    assert cost_of(Work.BENCH, params).device_bytes == 1_000_000_000
    assert limits(declaration, Tier.LARGE, params, ()).vram_mb > 1000


def test_sizes_must_fit_one_another() -> None:
    assert sizes_refusal(Work.LORA, LORA) is None
    assert "heads cannot share" in (sizes_refusal(Work.LORA, LORA | {"kv_heads": 3}) or "")
    assert "heads cannot share" in (sizes_refusal(Work.LORA_CHECK, LORA | {"kv_heads": 3}) or "")
    assert sizes_refusal(Work.EMBED, ENCODER) is None
    assert "11 heads do not share a hidden size of 384 evenly" in (sizes_refusal(Work.EMBED_CHECK, ENCODER | {"heads": 11}) or "")
    assert "rows of 513 tokens are longer than the 512 positions" in (sizes_refusal(Work.EMBED, ENCODER | {"length": 513}) or "")
    assert sizes_refusal(Work.TRAIN, {}) is None


def asked(kind: str, params: Params, inputs: tuple[Blob, ...], tier: Tier = Tier.LARGE) -> Manifest:
    declaration = catalogue()[kind]
    return replace(
        written()[0], kind=kind, tier=tier, params=tuple(sorted(params.items())), inputs=inputs, steps=steps(declaration, params),
        units=reference_units(declaration, tier, params), limits=limits(declaration, tier, params, inputs),
    )  # fmt: skip


FILES = (blob("model"), blob("data"))


@pytest.mark.parametrize(("kind", "params"), [("train.lora/1", LORA), ("train.lora/1", LORA | {"bf16": 1}), ("embed/1", ENCODER)])
def test_an_honest_task_is_let_in(kind: str, params: Params) -> None:
    assert check(asked(kind, params, FILES), catalogue()[kind]) is None


def test_a_model_too_large_for_a_tier_is_refused_there() -> None:
    large = LORA | {"vocab": 128256, "hidden": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "intermediate": 14336, "bf16": 1, "tied": 0}
    fits = large | {"context": 128, "batch": 1}
    assert check(asked("train.lora/1", fits, FILES, Tier.DATACENTRE), catalogue()["train.lora/1"]) is None
    for params, tier in ((large, Tier.DATACENTRE), (fits, Tier.SMALL), (fits | {"bf16": 0}, Tier.DATACENTRE)):
        assert "must be free again after 50 ms" in (check(asked("train.lora/1", params, FILES, tier), catalogue()["train.lora/1"]) or "")


def test_an_input_may_come_in_parts_if_none_is_missing() -> None:
    def said(*roles: str) -> str:
        return check(asked("train.lora/1", LORA, tuple(blob(role) for role in roles)), catalogue()["train.lora/1"]) or ""

    assert said("model", "model_2", "model_3", "data", "data_2") == ""
    for odd in (("model_2", "data"), ("model", "model_3", "data"), ("model", "model_9", "data"), ("model", "model", "data"), ("model",)):
        assert said(*odd) == "the task must name each of these inputs once: model, data"
    assert InputRule("data", ("jsonl",), 1, 3).roles() == ["data", "data_2", "data_3"]
    lines = replace(blob("data"), format="jsonl")
    assert check(asked("train.lora/1", LORA, (blob("model"), lines)), catalogue()["train.lora/1"]) is None
    assert "takes only safetensors or jsonl" in (
        check(asked("train.lora/1", LORA, (blob("model"), replace(lines, format="text"))), catalogue()["train.lora/1"]) or ""
    )


def test_large_models_are_mapped_not_copied() -> None:
    """A 14 GB model in bfloat16 asks for a 24 GB card, not for four times its size."""
    large = LORA | {"vocab": 32000, "hidden": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "intermediate": 14336, "bf16": 1, "batch": 1}
    files = (blob("model", 14_500_000_000), blob("data"))
    asked_for = limits(catalogue()["train.lora/1"], Tier.LARGE, large, files)
    assert 14_500 < asked_for.vram_mb < 24_000
    assert asked_for.ram_mb < 35_000
    here = limits(catalogue()["train.lora/1"], Tier.PRACTICE, LORA, FILES)
    assert here.vram_mb == 0
    assert here.ram_mb > 2048 + 2 * cost_of(Work.LORA, LORA).device_bytes // 1_000_000 - 1
    assert state_bytes(catalogue()["train.lora/1"], large) < catalogue()["train.lora/1"].max_state_bytes
