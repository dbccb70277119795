"""What a task's steps cost, from its parameters alone: one function per arithmetic that the catalogue's kinds do.

`core.catalogue` turns these counts into reference milliseconds with a tier's speeds, so that renter, pool, owner and escrow
agree on a price before anybody runs the task. Called by `core.catalogue` only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from desktop_app.core.bench import bench_steps
from desktop_app.core.classifier import Params, shape_of
from desktop_app.core.encoder import encoder_of, encoder_refusal
from desktop_app.core.transformer import adapter_of, decoder_of, heads_refusal

_TRAINING_PASSES = 3  # forward, and twice as much backward
_FROZEN_PASSES = 2  # a frozen weight has no gradient of its own: forward, and once backward
_TRAINED_FLOATS = 3  # a weight and AdamW's two moments
_FLOAT, _HALF = 4, 2  # bytes
_SLACK = 64
_ACTIVATIONS = (12, 5)  # what one token leaves behind in a layer, in hidden and intermediate sizes
_CHUNK_BYTES = 3 * 2**26  # of the head's outputs, which are never held whole


class Work(StrEnum):
    """Which arithmetic a kind's steps are."""

    TRAIN = "train"
    INFER = "infer"
    CHECK = "check"
    LORA = "lora"
    LORA_CHECK = "lora_check"
    EMBED = "embed"
    EMBED_CHECK = "embed_check"
    BENCH = "bench"


@dataclass(frozen=True, slots=True)
class Cost:
    """A task's micro-steps, what one of them multiplies, launches and moves, and how many bytes the task holds.

    `half_macs` are multiplications that may be done in bfloat16, `device_bytes` the working set besides state and files
    (0: of no account).
    """

    steps: int
    state_bytes: int
    macs: int = 0
    half_macs: int = 0
    layers: int = 0
    moved: int = 0
    device_bytes: int = 0


def cost_of(work: Work, params: Params) -> Cost:
    """The cost of a task with these (checked) parameters."""
    return _COSTS[work](params)


def sizes_refusal(work: Work, params: Params) -> str | None:
    """Why the sizes, each in its range, do not fit one another, in words, or None."""
    if work in (Work.LORA, Work.LORA_CHECK):
        return heads_refusal(params)
    return encoder_refusal(params) if work in (Work.EMBED, Work.EMBED_CHECK) else None


def _train(params: Params) -> Cost:
    shape = shape_of(params)
    state = _FLOAT * (_TRAINED_FLOATS * shape.weights() + shape.features + 1) + _SLACK
    macs = shape.macs() * int(params["batch"]) * _TRAINING_PASSES
    return Cost(int(params["steps"]), state, macs, moved=shape.weights())


def _infer(params: Params) -> Cost:
    shape, rows = shape_of(params), int(params["rows"])
    state = _FLOAT * (rows * shape.classes + shape.features + 1) + _SLACK
    return Cost(_batches(params), state, shape.macs() * int(params["batch"]))


def _check(params: Params) -> Cost:
    shape = shape_of(params)
    return Cost(_batches(params), _FLOAT * (shape.features + 1) + _SLACK, shape.macs() * int(params["batch"]))


def _lora(params: Params) -> Cost:
    """Forward, backward through what is frozen, and with `checkpointing` forward once more; adapters and attention cost a pass more."""
    decoder, adapter = decoder_of(params), adapter_of(params).weights(decoder_of(params))
    context, accumulation, again = int(params["context"]), int(params["accumulation"]), int(params["checkpointing"])
    tokens = context * int(params["batch"])
    grown = adapter + decoder.attention_macs(context)
    macs = tokens * (decoder.linear_macs() * (_FROZEN_PASSES + again) + grown * (_TRAINING_PASSES + again))
    floats = _TRAINED_FLOATS + (accumulation > 1)
    deep = decoder.layers * (_FROZEN_PASSES + again)
    left = 1 if again else decoder.layers  # layers whose inner results are held at the same time
    hiddens, intermediates = _ACTIVATIONS
    held = tokens * (decoder.hidden * (decoder.layers + hiddens * left) + decoder.intermediate * intermediates * left)
    width = _HALF if params["bf16"] else _FLOAT
    return Cost(
        steps=int(params["steps"]) * accumulation,
        state_bytes=_FLOAT * floats * adapter + _SLACK,
        layers=deep,
        moved=adapter // accumulation,
        device_bytes=width * (decoder.weights() + held) + _FLOAT * (floats + 1) * adapter + _CHUNK_BYTES,
        **_in_precision(params, macs),
    )


def _lora_check(params: Params) -> Cost:
    """Forward twice: with the adapter and without."""
    decoder, adapter = decoder_of(params), adapter_of(params).weights(decoder_of(params))
    context = int(params["context"])
    tokens = context * int(params["batch"])
    macs = tokens * (2 * (decoder.linear_macs() + decoder.attention_macs(context)) + adapter)
    hiddens, intermediates = _ACTIVATIONS
    held = tokens * (decoder.hidden * hiddens + decoder.intermediate * intermediates)
    width = _HALF if params["bf16"] else _FLOAT
    return Cost(
        steps=_batches(params),
        state_bytes=_SLACK,
        layers=2 * decoder.layers,
        device_bytes=width * (decoder.weights() + held) + _FLOAT * adapter + _CHUNK_BYTES,
        **_in_precision(params, macs),
    )


def _embed(params: Params) -> Cost:
    return _encoding(params, _FLOAT * int(params["rows"]) * int(params["hidden"]) + _SLACK)


def _embed_check(params: Params) -> Cost:
    return _encoding(params, _SLACK)


def _encoding(params: Params, state_bytes: int) -> Cost:
    encoder, length = encoder_of(params), int(params["length"])
    tokens = length * int(params["batch"])
    hiddens, intermediates = _ACTIVATIONS
    held = tokens * (encoder.hidden * hiddens + encoder.intermediate * intermediates)
    width = _HALF if params["bf16"] else _FLOAT
    return Cost(
        steps=_batches(params),
        state_bytes=state_bytes,
        layers=encoder.layers,
        device_bytes=width * (encoder.weights() + held),
        **_in_precision(params, tokens * encoder.macs(length)),
    )


def _bench(params: Params) -> Cost:
    count = bench_steps(int(params["seconds"]))
    return Cost(count, 2 * 8 * count + _SLACK, device_bytes=int(params["memory_mb"]) * 1_000_000)


def _batches(params: Params) -> int:
    """How many batches the rows make, the last one whole; a check draws `sample` of them."""
    rows = min(int(params["rows"]), int(params.get("sample", params["rows"])))
    return -(-rows // int(params["batch"]))


def _in_precision(params: Params, macs: int) -> dict[str, int]:
    return {"half_macs": macs} if params["bf16"] else {"macs": macs}


_COSTS: dict[Work, Callable[[Params], Cost]] = {
    Work.TRAIN: _train,
    Work.INFER: _infer,
    Work.CHECK: _check,
    Work.LORA: _lora,
    Work.LORA_CHECK: _lora_check,
    Work.EMBED: _embed,
    Work.EMBED_CHECK: _embed_check,
    Work.BENCH: _bench,
}
