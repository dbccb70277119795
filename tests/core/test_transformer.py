"""A language model's sizes are those of real ones, and adapters are named as peft names them."""

import json

import pytest

from desktop_app.core.transformer import TARGETS, Adapter, Decoder, adapter_config, adapter_of, decoder_of, heads_refusal

LLAMA_3_8B = Decoder(128256, 4096, 32, 32, 8, 14336, tied=False, biased=False)
SMOLLM_135M = Decoder(49152, 576, 30, 9, 3, 1536, tied=True, biased=False)
QWEN2_5_HALF_B = Decoder(151936, 896, 24, 14, 2, 4864, tied=True, biased=True)


@pytest.mark.parametrize(
    ("model", "weights"), [(LLAMA_3_8B, 8_030_261_248), (SMOLLM_135M, 134_515_008), (QWEN2_5_HALF_B, 494_032_768)]
)  # fmt: skip
def test_real_models_have_the_numbers_their_cards_say(model: Decoder, weights: int) -> None:
    assert model.weights() == weights
    counted = 0
    for shape in model.tensors().values():
        counted += shape[0] * (shape[1] if len(shape) > 1 else 1)
    assert counted == weights


def test_a_token_meets_every_weight_once_and_every_token_of_its_row_twice() -> None:
    embeddings = 128256 * 4096
    norms = (2 * 32 + 1) * 4096
    assert LLAMA_3_8B.linear_macs() == LLAMA_3_8B.weights() - embeddings - norms
    assert LLAMA_3_8B.attention_macs(100) == 32 * 2 * 100 * 4096


def test_an_adapter_is_named_and_counted() -> None:
    adapter = Adapter(8, ("self_attn.q_proj", "mlp.down_proj"))
    tensors = adapter.tensors(LLAMA_3_8B)
    assert tensors["base_model.model.model.layers.31.self_attn.q_proj.lora_A.weight"] == (8, 4096)
    assert tensors["base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"] == (8, 14336)
    assert tensors["base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"] == (4096, 8)
    assert len(tensors) == 32 * 2 * 2
    assert adapter.weights(LLAMA_3_8B) == sum(rows * columns for rows, columns in tensors.values())


def test_parameters_say_it_all() -> None:
    params = {
        "vocab": 49152, "hidden": 576, "layers": 30, "heads": 9, "kv_heads": 3, "intermediate": 1536, "tied": 1, "qkv_bias": 0,
        "rank": 4, "targets": 0b1000101,
    }  # fmt: skip
    assert decoder_of(params) == SMOLLM_135M
    assert adapter_of(params) == Adapter(4, (TARGETS[0], TARGETS[2], TARGETS[6]))
    told = json.loads(adapter_config(params | {"alpha": 8}))
    assert told["target_modules"] == ["q_proj", "v_proj", "down_proj"]
    assert (told["peft_type"], told["r"], told["lora_alpha"]) == ("LORA", 4, 8)


def test_heads_must_share_evenly() -> None:
    assert heads_refusal({"hidden": 576, "heads": 9, "kv_heads": 3}) is None
    for hidden, heads in ((576, 10), (27, 9)):
        said = f"{heads} heads do not share a hidden size of {hidden} evenly, in pairs of numbers"
        assert heads_refusal({"hidden": hidden, "heads": heads, "kv_heads": heads}) == said
    assert heads_refusal({"hidden": 576, "heads": 9, "kv_heads": 2}) == "9 heads cannot share 2 key heads evenly"
