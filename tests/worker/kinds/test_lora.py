"""Fine-tuning a language model: it computes what Hugging Face computes, resumes to the bit, and peft takes what it gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from desktop_app.core.catalogue import state_bytes
from desktop_app.core.transformer import adapter_of, decoder_of
from desktop_app.wire.bundle import catalogue
from desktop_app.worker.kinds.lora import TrainLora
from tests.kinds import copied, make, run
from tests.language import CONTEXT, LEARNING, huggingface, saved, shard, text

KIND = "train.lora/1"

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own

Inputs = dict[str, Path]
Params = dict[str, int | float | str]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("language")
    return saved(huggingface(LEARNING), folder / "model") | {"data": shard(folder / "text.safetensors", text())}


def training(inputs: Inputs, params: Params = LEARNING) -> TrainLora:
    kind = make(KIND, inputs, params)
    assert isinstance(kind, TrainLora)
    return kind


def peft_model(params: Params, begin: dict[str, torch.Tensor]) -> torch.nn.Module:
    """peft around Hugging Face's model, its adapter set to ours."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    names = [target.rpartition(".")[2] for target in adapter_of(params).targets]
    config = LoraConfig(r=int(params["rank"]), lora_alpha=int(params["alpha"]), target_modules=names, task_type="CAUSAL_LM")
    model: torch.nn.Module = get_peft_model(huggingface(params), config)
    set_peft_model_state_dict(model, begin)
    return model.train()


def adapter(kind: TrainLora) -> dict[str, torch.Tensor]:
    return {name.removeprefix("adapter."): tensor for name, tensor in copied(kind).items() if name.startswith("adapter.")}


VARIANTS: list[Params] = [
    {},
    {"tied": 1, "kv_heads": 4},
    {"qkv_bias": 1, "kv_heads": 1},
    {"rope_factor": 8, "rope_theta": 500000.0},
    {"targets": 0b0001001, "alpha": 3},
    {"checkpointing": 1},
    {"accumulation": 1, "clip": 0},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_it_learns_step_by_step_what_peft_learns(tmp_path: Path, variant: Params) -> None:
    from transformers import get_cosine_schedule_with_warmup

    params = LEARNING | variant
    kind = training(saved(huggingface(params), tmp_path / "model") | {"data": shard(tmp_path / "text", text())}, params)
    model = peft_model(params, adapter(kind))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, 3, 12)
    for index in range(kind.steps):
        tokens = kind.batch(index)
        loss = model(input_ids=tokens, labels=tokens).loss
        (loss / int(params["accumulation"])).backward()
        if (index + 1) % int(params["accumulation"]) == 0:
            if params["clip"]:
                torch.nn.utils.clip_grad_norm_(trained, float(params["clip"]))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        assert kind.step(index) == pytest.approx(loss.item(), rel=1e-4)
    assert loss.item() < 5.4  # it was 5.7: there was something to agree on


def test_peft_loads_the_adapter_and_says_the_same(tmp_path: Path, inputs: Inputs) -> None:
    from peft import PeftModel

    kind = training(inputs)
    run(kind)
    files, metrics = kind.result()
    (tmp_path / "adapter_model.safetensors").write_bytes(files["adapter"])
    (tmp_path / "adapter_config.json").write_bytes(files["adapter_config"])
    model = PeftModel.from_pretrained(huggingface(LEARNING), str(tmp_path)).eval()
    tokens = kind.batch(0)
    with torch.no_grad():
        theirs = model(input_ids=tokens).logits[:, :-1]
        plain = huggingface(LEARNING)(input_ids=tokens).logits[:, :-1]
    ours = kind._model.logits(tokens[:, :-1])
    assert (ours - theirs).abs().max() < 1e-4
    assert (plain - theirs).abs().max() > 0.1
    assert metrics["train_loss"] < 5.5
    shapes = {name: tuple(tensor.shape) for name, tensor in load(files["adapter"]).items()}
    assert shapes == adapter_of(LEARNING).tensors(decoder_of(LEARNING))
    assert files["adapter_config"][:1] == b"{"  # how the worker tells lines from tensors
    assert json.loads(files["adapter_config"])["r"] == 4


@pytest.mark.parametrize("stops", [(1,), (7,), (4, 17), (24,)])
@pytest.mark.parametrize("checkpointing", [0, 1])
def test_a_resumed_run_has_the_same_losses_and_ends_with_the_same_bits(inputs: Inputs, stops: tuple[int, ...], checkpointing: int) -> None:
    params = LEARNING | {"checkpointing": checkpointing}
    whole = training(inputs, params)
    losses = [whole.step(index) for index in range(whole.steps)]
    kind, at, again = training(inputs, params), 0, []
    for stop in stops:
        again += [kind.step(index) for index in range(at, stop)]
        state, at = copied(kind), stop
        run(kind, at, min(at + 3, kind.steps))  # what the killed worker did after its last checkpoint is lost
        kind = training(inputs, params)
        kind.restore(state)
    again += [kind.step(index) for index in range(at, kind.steps)]
    assert again == losses
    assert kind.result() == whole.result()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_checkpoint_is_no_larger_than_was_said(inputs: Inputs, accumulation: int) -> None:
    params = LEARNING | {"accumulation": accumulation}
    held = sum(tensor.nbytes for tensor in copied(training(inputs, params)).values())
    said = state_bytes(catalogue()[KIND], params)
    assert said - 64 <= held <= said


def test_half_precision_learns_nearly_the_same(inputs: Inputs) -> None:
    exact, rough = training(inputs), training(inputs, LEARNING | {"bf16": 1})
    for index in range(exact.steps):
        assert rough.step(index) == pytest.approx(exact.step(index), rel=0.02)
    assert all(tensor.dtype == torch.float32 for tensor in adapter(rough).values())


def test_a_model_in_shards_and_a_text_in_lines_are_the_same_model_and_text(tmp_path: Path, inputs: Inputs) -> None:
    shards = saved(huggingface(LEARNING), tmp_path / "model", "20KB")
    assert len(shards) > 2
    tokens = text()
    cut = len(tokens) // CONTEXT // 2 * CONTEXT  # at the end of a row
    lines = [tokens[at : at + 100].tolist() for at in range(cut, len(tokens), 100)]
    (tmp_path / "second.jsonl").write_text("".join(f"{line}\n" for line in lines))
    halves = {"data": shard(tmp_path / "first", tokens[:cut].to(torch.int32).view(-1, CONTEXT)), "data_2": tmp_path / "second.jsonl"}
    kind, other = training(inputs), training(shards | halves)
    assert [kind.step(index) for index in range(6)] == [other.step(index) for index in range(6)]


def test_every_row_is_read_once_before_any_is_read_twice(tmp_path: Path, inputs: Inputs) -> None:
    rows = torch.arange(10, dtype=torch.int32).repeat_interleave(CONTEXT)
    kind = training(inputs | {"data": shard(tmp_path / "rows", rows)}, LEARNING | {"batch": 4})
    read = torch.cat([kind.batch(index)[:, 0] for index in range(5)]).tolist()
    assert sorted(read[:10]) == sorted(read[10:]) == list(range(10))
    assert read[:10] != read[10:]


def changed(folder: Path, inputs: Inputs, **changes: torch.Tensor | None) -> Inputs:
    tensors: dict[str, torch.Tensor | None] = dict(load_file(inputs["model"]))
    tensors |= {name.replace("_X_", "."): one for name, one in changes.items()}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "changed.safetensors")
    return inputs | {"model": folder / "changed.safetensors"}


def test_a_model_that_does_not_fit_is_refused_in_words(tmp_path: Path, inputs: Inputs) -> None:
    with pytest.raises(ValueError, match=r"not those that the parameters describe \(model\.layers\.2"):
        training(inputs, LEARNING | {"layers": 3})
    with pytest.raises(ValueError, match=r"not of floats of shape \[64, 32\]"):
        training(inputs, LEARNING | {"intermediate": 64})
    with pytest.raises(ValueError, match=r"parameters describe \(model\.norm\.weight\)"):
        training(changed(tmp_path, inputs, model_X_norm_X_weight=None))
    with pytest.raises(ValueError, match="not of floats"):
        training(changed(tmp_path, inputs, model_X_norm_X_weight=torch.ones(32, dtype=torch.int32)))
    with pytest.raises(ValueError, match="hold a tensor twice"):
        training(inputs | {"model_2": inputs["model"]})
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        training(inputs | {"model": Path(__file__)})


def test_what_follows_from_the_parameters_may_lie_in_the_file_too(tmp_path: Path, inputs: Inputs) -> None:
    old = {"model_X_layers_X_0_X_self_attn_X_rotary_emb_X_inv_freq": torch.ones(4)}
    assert training(changed(tmp_path, inputs, **old)).step(0) == training(inputs).step(0)
    assert training(inputs, LEARNING | {"tied": 1}).step(0) > 0  # its head is there and not looked at


def test_data_that_does_not_fit_is_refused_in_words(tmp_path: Path, inputs: Inputs) -> None:
    def with_lines(lines: str) -> Inputs:
        (tmp_path / "lines.jsonl").write_text(lines)
        return inputs | {"data": tmp_path / "lines.jsonl"}

    with pytest.raises(ValueError, match="makes 0 rows of 32 tokens"):
        training(with_lines("[1, 2, 3]\n"))
    with pytest.raises(ValueError, match="makes 0 rows"):
        training(with_lines(""))
    for bad in ('{"text": 1}', "[1.5]", "[true]", "[3000000000]", "[" * 100_000, "pickle", "[[1]]", "\x00"):
        with pytest.raises(ValueError, match=r"line 2 of lines\.jsonl is not a list of token ids"):
            training(with_lines(f"[1]\n{bad}\n"))
    save_file({"words": text()}, tmp_path / "words")
    save_file({"tokens": text().float()}, tmp_path / "floats")
    for name in ("words", "floats"):
        with pytest.raises(ValueError, match="has not just one tensor `tokens`"):
            training(inputs | {"data": tmp_path / name})
    for token in (256, -1):
        kind = training(inputs | {"data": shard(tmp_path / "odd", torch.full((CONTEXT,), token, dtype=torch.int32))})
        with pytest.raises(ValueError, match="outside 0 to 255"):
            kind.step(0)


def test_a_training_that_runs_away_is_said(tmp_path: Path, inputs: Inputs) -> None:
    kind = training(changed(tmp_path, inputs, model_X_norm_X_weight=torch.full((32,), float("nan"))))
    with pytest.raises(ValueError, match="no longer a number"):
        run(kind)


def test_another_tasks_checkpoint_is_refused(inputs: Inputs) -> None:
    with pytest.raises(ValueError, match="another task's"):
        training(inputs).restore(copied(training(inputs, LEARNING | {"accumulation": 1})))
    with pytest.raises(ValueError, match="another shape"):
        training(inputs).restore(copied(training(inputs, LEARNING | {"rank": 5})))


def test_no_task_imports_the_compiler(inputs: Inputs) -> None:
    places = {role: str(path) for role, path in inputs.items()}
    code = (
        "import sys; from pathlib import Path; from tests.kinds import make, run; from tests.language import LEARNING\n"
        f"inputs = {{role: Path(path) for role, path in {places!r}.items()}}\n"
        "for again in (0, 1): run(make('train.lora/1', inputs, LEARNING | {'checkpointing': again}))\n"
        "sys.exit(bool({'torch._dynamo', 'sympy', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[3])
