"""The layout of the arena: the shared memory in which a worker's state outlives the worker.

    0      magic, version, slot size, output size      written once by the owner
    64     the gate: one byte, read before every micro-step
    72     steps done, written before every micro-step: the worker's own word
    128    header of slot 0, 192 header of slot 1
    4096   slot 0, then slot 1, then the output region

A slot holds one state as the bytes of a safetensors file, so that the copy the owner keeps can be read by anybody. A worker
wipes a slot's header, writes the slot, and writes the header last; a header counts only if its own checksum is right. So at
whatever instant the worker dies, the other slot is whole, and who copies from a living worker knows by the header, the same
before and after, that nothing was written meanwhile. The payload has no checksum: it would take six times as long as the
copy, every time, and protect from nothing that this order leaves open. Pure packing: called by the arena adapter (the
owner's side) and by `worker.snapshot`.
"""

import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from desktop_app.wire.tensors import WIDTHS, Malformed

MAGIC = b"SUBLETAR"
VERSION = 1
GATE = 64
STEPS_AT = 72
STEPS = struct.Struct("<Q")
OPEN, CLOSED = 1, 0
SLOTS = 2
PAGE = 4096

STEP_TENSOR = "sublet.step"
"""An int64 scalar in every state: the number of steps in it, so that a checkpoint says itself how far it is."""

_PREFIX = struct.Struct("<8sIIQQ")
_SLOT = struct.Struct("<QQQ")  # seq, step, length
_CRC = struct.Struct("<I")
_SLOT_AT = (128, 192)


@dataclass(frozen=True, slots=True)
class Layout:
    """The sizes of one arena, in bytes."""

    slot_bytes: int
    output_bytes: int

    @property
    def total(self) -> int:
        return PAGE + SLOTS * self.slot_bytes + self.output_bytes

    @property
    def output_at(self) -> int:
        return PAGE + SLOTS * self.slot_bytes

    def slot_at(self, slot: int) -> int:
        return PAGE + slot * self.slot_bytes

    def prefix(self) -> bytes:
        return _PREFIX.pack(MAGIC, VERSION, 0, self.slot_bytes, self.output_bytes)


@dataclass(frozen=True, slots=True)
class SlotHeader:
    """What lies in a slot. `seq` counts commits from 1, `step` the steps in the state, `length` its bytes."""

    seq: int
    step: int
    length: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a payload; `dtype` by its safetensors name."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * WIDTHS[self.dtype]


def layout_of(prefix: bytes) -> Layout:
    """Read the first bytes of an arena. Raises Malformed for another version or something else."""
    if len(prefix) < _PREFIX.size:
        raise Malformed("too short for an arena")
    magic, version, _, slot_bytes, output_bytes = _PREFIX.unpack_from(prefix)
    if magic != MAGIC or version != VERSION:
        raise Malformed("not an arena of this version")
    return Layout(slot_bytes, output_bytes)


def pack_header(header: SlotHeader) -> bytes:
    """A slot's header with its own checksum behind it."""
    body = _SLOT.pack(header.seq, header.step, header.length)
    return body + _CRC.pack(zlib.crc32(body))


HEADER_BYTES = _SLOT.size + _CRC.size
EMPTY_HEADER = bytes(HEADER_BYTES)  # its checksum is wrong: no slot


def header_at(slot: int) -> int:
    """The offset of a slot's header."""
    return _SLOT_AT[slot]


def parse_header(raw: bytes, layout: Layout) -> SlotHeader | None:
    """A slot's header, or None when the slot is empty, half written or claims more than it can hold."""
    if len(raw) != HEADER_BYTES or _CRC.unpack_from(raw, _SLOT.size)[0] != zlib.crc32(raw[: _SLOT.size]):
        return None
    header = SlotHeader(*_SLOT.unpack_from(raw))
    return header if header.seq > 0 and 0 < header.length <= layout.slot_bytes else None


def newest(headers: Sequence[SlotHeader | None]) -> tuple[int, SlotHeader] | None:
    """The slot committed last, and its header."""
    whole = [(slot, header) for slot, header in enumerate(headers) if header is not None]
    return max(whole, key=lambda pair: pair[1].seq, default=None)


def payload_header(specs: Sequence[TensorSpec]) -> bytes:
    """The head of a safetensors file with these tensors one after the other: length, JSON, padding to 8 bytes.

    `wire.tensors` reads what this writes; it stands alone since a slot's tensors are written in place, not gathered first.
    """
    described: dict[str, object] = {}
    offset = 0
    for spec in specs:
        described[spec.name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [offset, offset + spec.bytes]}
        offset += spec.bytes
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
