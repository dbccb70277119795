"""The door between supervisor and worker: what is said arrives, everything else is refused and nothing crashes."""

import math
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from desktop_app.wire import ipc

FROM_WORKER = (
    ipc.Hello(1, 2, "torch 2.13.0"),
    ipc.Ready(),
    ipc.Beat(),
    ipc.Progress(3, 10, 0.5, 7.25),
    ipc.Progress(0, 0, None, None),
    ipc.Committed(1, 9, 3),
    ipc.Finished([ipc.OutputFile("model", "safetensors", 0, 10)], {"accuracy": 0.97}),
    ipc.Failed("crash", "it broke"),
)
LOAD = ipc.Load("train.classifier/1", {"data": "/in/data"}, {"lr": 0.1, "steps": 5, "name": "x"}, -7, 5, 0, None, 50)


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda message: type(message).__name__)
def test_what_a_worker_says_arrives(message: ipc.FromWorker) -> None:
    assert ipc.parse_from_worker(ipc.pack(message)) == message


@pytest.mark.parametrize("message", [LOAD, ipc.Yield()], ids=["load", "yield"])
def test_what_a_worker_is_told_arrives(message: ipc.ToWorker) -> None:
    assert ipc.parse_to_worker(ipc.pack(message)) == message


def test_neither_side_takes_the_others_words() -> None:
    with pytest.raises(ipc.Refused):
        ipc.parse_from_worker(ipc.pack(LOAD))
    with pytest.raises(ipc.Refused):
        ipc.parse_to_worker(ipc.pack(ipc.Ready()))


@given(some.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(frame: bytes) -> None:
    try:
        assert isinstance(ipc.parse_from_worker(frame), ipc.FromWorker)
    except ipc.Refused as refused:
        assert len(str(refused)) < 100


_values = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | some.floats() | some.text(max_size=20) | some.binary(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    some.sampled_from(["hello", "ready", "beat", "progress", "committed", "finished", "failed", "load"]),
    some.dictionaries(some.sampled_from(["proto", "step", "of", "loss", "slot", "files", "metrics", "kind", "detail", "x"]), _values),
)
def test_any_shape_is_a_message_or_refused(tag: str, fields: dict[str, object]) -> None:
    with suppress(ipc.Refused):
        ipc.parse_from_worker(msgspec.msgpack.encode({"t": tag, **fields}))


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "progress", "step": -1, "of": 5, "loss": None, "step_ms": None},
        {"t": "progress", "step": 2**60, "of": 2**60, "loss": None, "step_ms": None},
        {"t": "committed", "slot": 2, "seq": 1, "step": 1},
        {"t": "failed", "kind": "x", "detail": "x" * 2001},
        {"t": "finished", "files": [{"role": "../../etc", "format": "jsonl", "offset": 0, "length": 1}], "metrics": {}},
        {"t": "finished", "files": [], "metrics": {f"m{number}": 1.0 for number in range(65)}},
        {"t": "finished", "files": [{"role": "a", "format": "jsonl", "offset": 0, "length": 1}] * 17, "metrics": {}},
        {"t": "finished", "files": [{"role": "a\n", "format": "jsonl", "offset": 0, "length": 1}], "metrics": {}},
        {"t": "finished", "files": [{"role": "a", "format": "pickle", "offset": 0, "length": 1}], "metrics": {}},
        {"t": "finished", "files": [], "metrics": {"\x1b[2J": 1.0}},
        {"t": "beat", "more": 1},
        {"pid": 1, "proto": 1, "engine": "", "t": "hello"},
    ],
)
def test_values_out_of_bounds_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ipc.Refused):
        ipc.parse_from_worker(msgspec.msgpack.encode(fields))


def test_deep_nesting_is_refused() -> None:
    deep = b"\x82\xa1t\xa4beat\xa1x" + b"\x91" * 60_000 + b"\xc0"
    with pytest.raises(ipc.Refused):
        ipc.parse_from_worker(deep)


def test_a_packet_begins_with_its_name_so_that_nothing_before_it_is_read_into_the_deep() -> None:
    deep = b"\x82\xa1x" + b"\x91" * 60_000 + b"\xc0" + b"\xa1t\xa4beat"
    with pytest.raises(ipc.Refused, match="begin with its name"):
        ipc.parse_from_worker(deep)


def test_words_for_the_owner_are_letters() -> None:
    said = ipc.parse_from_worker(ipc.pack(ipc.Failed("bad\x07", "\x1b[31mred\u202e\nline\u2028 \u200bend")))
    assert said == ipc.Failed("bad?", "?[31mred? line  ?end")
    assert ipc.parse_from_worker(ipc.pack(ipc.Hello(1, 2, "torch\x00"))) == ipc.Hello(1, 2, "torch?")


def test_long_packets_are_refused_both_ways() -> None:
    with pytest.raises(ipc.Refused):
        ipc.parse_from_worker(b"\x00" * (ipc.FRAME_LIMIT + 1))
    with pytest.raises(ipc.Refused):
        ipc.pack(ipc.Load("k", {}, {f"p{number}": "x" * 4000 for number in range(20)}, 0, 0, 0, None, 0))


def test_numbers_that_are_none_are_cut() -> None:
    said = ipc.parse_from_worker(ipc.pack(ipc.Progress(9, 5, math.nan, math.inf)))
    assert said == ipc.Progress(5, 5, None, None)
    assert ipc.parse_from_worker(ipc.pack(ipc.Progress(1, 5, 1.0, -4.0))) == ipc.Progress(1, 5, 1.0, 0.0)
    assert ipc.parse_from_worker(ipc.pack(ipc.Finished([], {"a": math.inf, "b": 1.0}))) == ipc.Finished([], {"b": 1.0})


@given(some.lists(some.binary(min_size=1, max_size=40), max_size=6), some.data())
def test_a_stream_is_cut_into_the_packets_it_was_made_of(frames: list[bytes], data: some.DataObject) -> None:
    stream = b"".join(map(ipc.framed, frames))
    cuts = sorted(data.draw(some.lists(some.integers(0, len(stream)), max_size=5)))
    packets, found = ipc.Packets(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += packets.feed(stream[begin:end])
    assert found == frames


@pytest.mark.parametrize("length", [0, ipc.FRAME_LIMIT + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_the_packet_arrives(length: int) -> None:
    with pytest.raises(ipc.Refused, match=f"{length} bytes"):
        ipc.Packets().feed(length.to_bytes(4, "little"))


def test_the_longest_packet_is_taken() -> None:
    assert ipc.Packets().feed(ipc.framed(b"x" * ipc.FRAME_LIMIT)) == [b"x" * ipc.FRAME_LIMIT]
