"""Valid inputs made evil: small changes to trees and to bytes, each fixed by a number, so that hypothesis can choose and shrink them.

Used by `fuzz`. A mutant is a seed and a list of (operation, number); the same list always gives the same bytes.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

Tree = Any  # what JSON and msgpack hold
Steps = list[tuple[int, int]]

EVIL_VALUES: tuple[Tree, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324,
    float("inf"), float("-inf"), float("nan"), "", "x", "x" * 300, "x" * 5000, "\x00", "a\n", "\x1b[2J", "\u202e", "../../etc/passwd",
    "0x" + "ab" * 32, "ab" * 32, "NaN", "1", "safetensors", "pickle", "__metadata__", "t", [], {}, [[]], [{}], {"": 0}, {"a": {"a": {}}},
    [0] * 3, [0, 8], [8, 0], [2**48 - 1] * 8, [1] * 100, ["x"] * 20, {str(one): one for one in range(70)},
)  # fmt: skip
EVIL_BYTES: tuple[bytes, ...] = (
    b"\x00", b"\xff", b"\xc1", b"\x80", b"[", b"{", b"]", b"}", b'"', b"\\", b"\\u", b"\\ud800", b",", b":", b"-", b"e999", b"NaN",
    b"Infinity", b"9" * 400, b"[" * 2000, b'{"a":' * 500, b"\x91" * 2000, b"\x81\xa1a" * 500, b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\xd9\xff", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xc7\xff\xff", b"\xd6\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x00" * 8, b"\xff" * 8,
    b"\x7f" + b"\xff" * 7, b"\n", b"PK\x03\x04", b" " * 100,
)  # fmt: skip

steps: st.SearchStrategy[Steps] = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1)), min_size=1, max_size=6)


def tree(seed: Tree, changes: Steps) -> Tree:
    """The seed with every change made somewhere in it."""
    grown = [copy.deepcopy(seed)]  # so that the root itself can be replaced
    for operation, number in changes:
        places = _places(grown)
        holder, key = places[number % len(places)]
        _TREE_CHANGES[operation % len(_TREE_CHANGES)](holder, key, number // len(places))
    return grown[0] if grown else None


def raw(seed: bytes, changes: Steps) -> bytes:
    """The bytes with every change made."""
    data = bytearray(seed)
    for operation, number in changes:
        at, value = number % (len(data) + 1), number >> 12
        match operation % 6:
            case 0 if data:
                data[at % len(data)] ^= 1 << value % 8
            case 1 if data:
                data[at % len(data)] = value % 256
            case 2:
                data[at:at] = EVIL_BYTES[value % len(EVIL_BYTES)]
            case 3:
                del data[at : at + value % 16 + 1]
            case 4:
                data[at:at] = data[at : at + value % 64]
            case 5:
                del data[at:]
    return bytes(data)


def pieces(data: bytes, number: int) -> list[bytes]:
    """The bytes in up to four pieces."""
    cuts = sorted((number >> shift) % (len(data) + 1) for shift in (0, 7, 13))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _places(grown: list[Tree]) -> Sequence[tuple[Any, Any]]:
    """Every (holder, key) in the tree, breadth first, at most a few hundred."""
    found: list[tuple[Any, Any]] = [(grown, 0)] if grown else []
    for holder, key in found:
        inner = holder[key]
        if isinstance(inner, dict):
            found.extend((inner, one) for one in inner)
        elif isinstance(inner, list):
            found.extend((inner, one) for one in range(len(inner)))
        if len(found) > 300:
            break
    return found or [(grown, 0)]


def _replace(holder: Any, key: Any, number: int) -> None:
    holder[key] = copy.deepcopy(EVIL_VALUES[number % len(EVIL_VALUES)])


def _remove(holder: Any, key: Any, number: int) -> None:
    if isinstance(holder, dict):
        del holder[key]
    else:
        _replace(holder, key, number)


def _add(holder: Any, key: Any, number: int) -> None:
    value = copy.deepcopy(EVIL_VALUES[number % len(EVIL_VALUES)])
    if isinstance(holder[key], dict):
        holder[key][("x", "", "t", "__metadata__", "\u202e")[number % 5]] = value
    elif isinstance(holder[key], list):
        holder[key].append(value)
    else:
        holder[key] = value


def _wrap(holder: Any, key: Any, number: int) -> None:
    for _ in range((1, 2, 40)[number % 3]):
        holder[key] = [holder[key]] if number % 2 else {"a": holder[key]}


def _copy(holder: Any, key: Any, number: int) -> None:
    """The value again, under another key or further along."""
    if isinstance(holder, dict):
        holder[f"{key}_2"] = copy.deepcopy(holder[key])
    elif isinstance(holder[key], list) and holder[key]:
        holder[key].extend(copy.deepcopy(holder[key][:1]) * (number % 30))


def _shift(holder: Any, key: Any, number: int) -> None:
    """A number a little off; anything else replaced."""
    if isinstance(holder[key], int | float):
        holder[key] += (-1, 1, 0.5, 1000, -1000, 2**40)[number % 6]
    else:
        _replace(holder, key, number)


_TREE_CHANGES: tuple[Callable[[Any, Any, int], None], ...] = (_replace, _replace, _remove, _add, _wrap, _copy, _shift)
