"""The strict reader of safetensors headers, against the library that writes them and against everything else."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from desktop_app.wire import tensors
from desktop_app.wire.tensors import Malformed, Tensor, pack, parse_header, read_header

quietly = settings(database=None, deadline=None, max_examples=300)

ONE = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def header(entries: Any) -> bytes:
    return json.dumps(entries).encode()


def test_it_reads_what_the_library_writes() -> None:
    arrays: dict[str, numpy.ndarray[Any, numpy.dtype[Any]]] = {}
    arrays |= {"a": numpy.arange(6, dtype=numpy.float32).reshape(2, 3), "b": numpy.zeros((0, 4), dtype=numpy.uint8), "c": numpy.array(7)}
    raw = save(arrays, metadata={"format": "pt"})
    found = read_header(io.BytesIO(raw), len(raw))
    assert {name: tensor.shape for name, tensor in found.items()} == {"a": (2, 3), "b": (0, 4), "c": ()}
    assert {name: tensor.dtype for name, tensor in found.items()} == {"a": "F32", "b": "U8", "c": "I64"}


def test_the_library_reads_what_it_writes() -> None:
    pixels, labels = bytes(range(12)), numpy.array([5, -6], dtype="<i8").tobytes()
    raw = pack({"images": ("U8", (3, 4), pixels), "labels": ("I64", (2,), labels)})
    loaded = load(raw)
    assert loaded["images"].tobytes() == pixels
    assert loaded["labels"].tolist() == [5, -6]
    assert read_header(io.BytesIO(raw), len(raw)) == {"labels": Tensor("I64", (2,), 0, 16), "images": Tensor("U8", (3, 4), 16, 28)}


def test_it_writes_no_tensor_whose_bytes_are_not_its_shape() -> None:
    with pytest.raises(ValueError, match="the bytes of images"):
        pack({"images": ("U8", (3, 4), b"short")})


@pytest.mark.parametrize(
    ("raw", "size", "reason"),
    [
        (b"", 0, "too short"),
        (b"\x01\x00", 2, "too short"),
        ((2**20 + 1).to_bytes(8, "little"), 8, "larger than 1 MiB"),
        ((2**63).to_bytes(8, "little"), 8, "larger than 1 MiB"),
        ((100).to_bytes(8, "little") + b"{}", 10, "longer than the file"),
    ],
)
def test_a_broken_prefix_is_refused(raw: bytes, size: int, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_header(io.BytesIO(raw), size)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b" {}", "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":' + b"[" * 100_000, "not JSON"),
        (b'{"a":' + b"9" * 5_000 + b"}", "not JSON"),
        (b'{"a":{},"a":{}}', "twice"),
        (b'{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', "twice"),
        (header({"__metadata__": {"a": 1}}), "map of texts"),
        (header({"__metadata__": ["a"]}), "map of texts"),
        (header({"a": 1}), "unknown way"),
        (header({"a": {**ONE, "code": "x"}}), "unknown way"),
        (header({"a": {"dtype": "F32", "shape": [6]}}), "unknown way"),
        (header({"a" * 513: ONE}), "unknown way"),
        (header({"a": {**ONE, "shape": [1] * 9}}), "unknown way"),
        (header({"a": {**ONE, "data_offsets": [0, 24, 24]}}), "unknown way"),
        (header({"a": {**ONE, "dtype": "F8_E4M3"}}), "of a type"),
        (header({"a": {**ONE, "dtype": ["F32"]}}), "of a type"),
        (header({"a": {**ONE, "shape": [True, 6]}}), "sensible"),
        (header({"a": {**ONE, "shape": [-2, -3]}}), "sensible"),
        (header({"a": {**ONE, "shape": [2.0, 3]}}), "sensible"),
        (header({"a": {**ONE, "shape": "23"}}), "sensible"),
        (header({"a": {**ONE, "shape": [2**48, 1]}}), "sensible"),
        (header({"a": {**ONE, "shape": [float("nan")]}}), "sensible"),
        (header({"a": {**ONE, "shape": [2, 4]}}), "match its shape"),
        (header({"a": {**ONE, "data_offsets": [24, 0]}}), "match its shape"),
        (header({"a": ONE, "b": ONE}), "gap or an overlap"),
        (header({"a": {**ONE, "data_offsets": [1, 25]}}), "gap or an overlap"),
        (header({}), "fill"),
    ],
)
def test_a_header_that_lies_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        parse_header(raw, 24)


def test_deep_nesting_does_not_end_the_process() -> None:
    """In a process of its own, with the recursion limit that the chain's libraries set: Python's parser would overflow the stack."""
    script = r"""
import sys
from desktop_app.wire.tensors import Malformed, parse_header
sys.setrecursionlimit(100_000)
for raw in (b'{"a":' + b"[" * 500_000, b'{"]]]]":' + b'{"a":' * 180_000, b'{"\\\\":' + b"[" * 500_000):
    try:
        parse_header(raw, 24)
    except Malformed as refused:
        print(refused)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nested too deep") == 3


@pytest.mark.parametrize("size", [23, 25])
def test_the_tensors_fill_the_file_exactly(size: int) -> None:
    assert parse_header(header({"a": ONE}), 24)
    with pytest.raises(Malformed, match="fill"):
        parse_header(header({"a": ONE}), size)


def test_there_is_an_end_to_the_number_of_tensors() -> None:
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    entries = {str(number): empty for number in range(10_001)}
    with pytest.raises(Malformed, match="more than 10000"):
        parse_header(header(entries), 0)
    del entries["0"]
    assert len(parse_header(header(entries), 0)) == 10_000


arbitrary_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
entry = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(tensors.WIDTHS)) | st.text(max_size=4),
        "shape": st.lists(st.integers(-2, 2**50), max_size=3) | arbitrary_json,
        "data_offsets": st.lists(st.integers(-2, 40), min_size=2, max_size=2) | arbitrary_json,
    }
)


@quietly
@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=20), entry | arbitrary_json, max_size=4).map(header), st.integers(0, 100))
def test_no_header_breaks_the_reader(raw: bytes, size: int) -> None:
    try:
        found = parse_header(raw, size)
    except Malformed:
        return
    assert sum(tensor.end - tensor.begin for tensor in found.values()) == size


@quietly
@given(st.data())
def test_a_flipped_byte_in_a_real_file_never_breaks_the_reader(data: st.DataObject) -> None:
    raw = bytearray(pack({"images": ("U8", (2, 4), bytes(8)), "labels": ("I64", (2,), bytes(16))}))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        read_header(io.BytesIO(bytes(raw[:cut])), cut)
    except Malformed as refused:
        assert str(refused)


def test_it_takes_every_file_that_ships() -> None:
    folder = Path(__file__).parents[2] / "resources" / "practice"
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            assert set(read_header(file, path.stat().st_size)) == {"images", "labels"}
