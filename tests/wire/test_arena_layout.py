"""The arena's layout: headers that are whole or nothing, and a payload every reader of safetensors can read."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from desktop_app.wire import arena, tensors

LAYOUT = arena.Layout(8192, 4096)
HEADER = arena.SlotHeader(3, 17, 100)


def test_places_do_not_overlap() -> None:
    assert len(LAYOUT.prefix()) <= arena.GATE
    assert arena.STEPS_AT > arena.GATE and arena.STEPS_AT % 8 == 0
    assert arena.header_at(0) >= arena.STEPS_AT + arena.STEPS.size
    assert arena.header_at(1) >= arena.header_at(0) + arena.HEADER_BYTES
    assert arena.header_at(1) + arena.HEADER_BYTES <= arena.PAGE == LAYOUT.slot_at(0)
    assert LAYOUT.slot_at(1) == LAYOUT.slot_at(0) + LAYOUT.slot_bytes
    assert LAYOUT.output_at == LAYOUT.slot_at(1) + LAYOUT.slot_bytes
    assert LAYOUT.total == LAYOUT.output_at + LAYOUT.output_bytes


def test_the_prefix_says_the_layout() -> None:
    assert arena.layout_of(LAYOUT.prefix()) == LAYOUT


@pytest.mark.parametrize("prefix", [b"", b"SUBLETAR", b"x" * 64, LAYOUT.prefix()[:8] + struct.pack("<I", 2) + LAYOUT.prefix()[12:]])
def test_another_prefix_is_refused(prefix: bytes) -> None:
    with pytest.raises(tensors.Malformed):
        arena.layout_of(prefix)


def test_a_header_comes_back() -> None:
    assert arena.parse_header(arena.pack_header(HEADER), LAYOUT) == HEADER


def test_an_empty_header_is_none() -> None:
    assert arena.parse_header(arena.EMPTY_HEADER, LAYOUT) is None


@given(some.integers(0, arena.HEADER_BYTES - 1), some.integers(1, 255))
def test_a_header_with_any_byte_changed_is_none(place: int, flip: int) -> None:
    raw = bytearray(arena.pack_header(HEADER))
    raw[place] ^= flip
    assert arena.parse_header(bytes(raw), LAYOUT) is None


@given(some.integers(0, arena.HEADER_BYTES))
def test_a_half_written_header_is_none_or_the_whole_one(written: int) -> None:
    old, new = arena.EMPTY_HEADER, arena.pack_header(HEADER)
    found = arena.parse_header(new[:written] + old[written:], LAYOUT)
    assert found == (HEADER if written == arena.HEADER_BYTES else None)


@pytest.mark.parametrize("header", [arena.SlotHeader(0, 1, 10), arena.SlotHeader(1, 1, 0), arena.SlotHeader(1, 1, 8193)])
def test_a_header_that_cannot_be_is_none(header: arena.SlotHeader) -> None:
    assert arena.parse_header(arena.pack_header(header), LAYOUT) is None


def test_the_newest_slot_wins() -> None:
    older = arena.SlotHeader(2, 9, 1)
    assert arena.newest([older, HEADER]) == (1, HEADER)
    assert arena.newest([HEADER, older]) == (0, HEADER)
    assert arena.newest([None, older]) == (1, older)
    assert arena.newest([None, None]) is None


def test_a_payload_header_is_safetensors() -> None:
    specs = [arena.TensorSpec(arena.STEP_TENSOR, "I64", ()), arena.TensorSpec("w", "F32", (3, 2)), arena.TensorSpec("none", "U8", (0,))]
    head = arena.payload_header(specs)
    file = head + bytes(8 + 24)
    assert len(head) % 8 == 0
    found = tensors.read_header(io.BytesIO(file), len(file))
    assert {name: (one.dtype, one.shape) for name, one in found.items()} == {spec.name: (spec.dtype, spec.shape) for spec in specs}
    assert found[arena.STEP_TENSOR].begin == 0
