"""Safetensors files as data: a strict reader of the header, and a writer, both without torch.

A safetensors file is 8 bytes of header length (little endian), a JSON header, and the tensors' bytes (format:
https://huggingface.co/docs/safetensors). Whatever a stranger sends is read here before a worker sees it. Called by
`wire.bundle` and by the renter.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

MOST_HEADER: Final = 1024 * 1024
MOST_TENSORS: Final = 10_000
MOST_DIMENSIONS: Final = 8
MOST_NAME: Final = 512

WIDTHS: Final = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "I64": 8, "F64": 8}
"""Bytes of one element, by the dtypes that are taken."""

_LENGTH_BYTES: Final = 8
_METADATA: Final = "__metadata__"
_MOST_DEPTH: Final = 8  # a header nests three deep
_TEXT_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}]', re.DOTALL)  # possessive: no memory for ways back


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's place: bytes [begin, end) after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Malformed(ValueError):
    """The file is no safetensors file as we take it; the text says why."""


def read_header(file: BinaryIO, size: int) -> dict[str, Tensor]:
    """The tensors of a file of `size` bytes, by name, read from its start. Raises Malformed."""
    prefix = file.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise Malformed("the file is too short to be safetensors")
    length = int.from_bytes(prefix, "little")
    if length > MOST_HEADER:
        raise Malformed("the safetensors header is larger than 1 MiB")
    raw = file.read(length)
    if len(raw) < length:
        raise Malformed("the safetensors header is longer than the file")
    return parse_header(raw, size - _LENGTH_BYTES - length)


def parse_header(raw: bytes, data_bytes: int) -> dict[str, Tensor]:
    """The tensors a header names, which must fill the file's `data_bytes` exactly, without gap or overlap. Raises Malformed."""
    if not raw.startswith(b"{"):
        raise Malformed("the safetensors header is not a JSON object")
    if _too_deep(raw):
        raise Malformed("the safetensors header is not JSON as we take it: it is nested too deep")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_doubles)
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("the safetensors header is not JSON") from None
    _check_metadata(header.pop(_METADATA, {}))
    if len(header) > MOST_TENSORS:
        raise Malformed(f"the file holds more than {MOST_TENSORS} tensors")
    tensors = {name: _tensor(name, entry) for name, entry in header.items()}
    at = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != at:
            raise Malformed("the safetensors file has a gap or an overlap between tensors")
        at = tensor.end
    if at != data_bytes:
        raise Malformed("the tensors do not fill the safetensors file exactly")
    return tensors


def pack(tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A whole file from (dtype, shape, little-endian bytes) by name; the same input gives the same bytes."""
    header: dict[str, object] = {}
    at = 0
    # widest elements first keeps every tensor aligned to its element, as readers expect
    order = sorted(tensors, key=lambda name: (-WIDTHS[tensors[name][0]], name))
    for name in order:
        dtype, shape, data = tensors[name]
        if math.prod(shape) * WIDTHS[dtype] != len(data):
            raise ValueError(f"the bytes of {name} are not those of its shape")
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % _LENGTH_BYTES)
    return len(raw).to_bytes(_LENGTH_BYTES, "little") + raw + b"".join(tensors[name][2] for name in order)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("the safetensors header names something twice")
    return found


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Malformed("the safetensors metadata is not a map of texts")


def _tensor(name: str, entry: object) -> Tensor:
    if len(name) > MOST_NAME or not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Malformed("the safetensors header describes a tensor in an unknown way")
    dtype, shape, offsets = entry["dtype"], _counts(entry["shape"]), _counts(entry["data_offsets"])
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise Malformed("the safetensors file holds numbers of a type that is not taken")
    if len(shape) > MOST_DIMENSIONS or len(offsets) != 2:
        raise Malformed("the safetensors header describes a tensor in an unknown way")
    if offsets[1] - offsets[0] != math.prod(shape) * WIDTHS[dtype]:
        raise Malformed("a tensor's bytes in the safetensors file do not match its shape")
    return Tensor(dtype, shape, offsets[0], offsets[1])


def _counts(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(one) is int and 0 <= one < 2**48 for one in value):
        raise Malformed("the safetensors header has a size that is not a sensible whole number")
    return tuple(value)


def _too_deep(raw: bytes) -> bool:
    """Asked before the parser is: the chain's libraries lift the recursion limit so far that deep nesting would end the process."""
    depth = 0
    for found in _TEXT_OR_BRACKET.finditer(raw):
        match raw[found.start() : found.start() + 1]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
        if depth > _MOST_DEPTH:
            return True
    return False
