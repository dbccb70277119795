"""Attacks as files: what a stranger's bundle holds, as the agent checks it after the download. Nothing of it is ever run.

`ATTACKS` is used by `test_bundles` and by `python -m tests.hostile`.
"""

import hashlib
import io
import json
import pickle
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from desktop_app.core.task import Blob
from desktop_app.wire.bundle import check_blob
from desktop_app.wire.tensors import pack
from tests.hostile.attack import Attack, Outcome

_MOST_S, _MOST_MB = 5.0, 48

Fields = dict[str, Any]


def _file(words: str, data: Callable[[], bytes], format: str = "safetensors", **lies: Any) -> Callable[[Path], Outcome]:
    """A file as the agent checks it after the download. Held when refused in these words, without taking time or memory."""

    def run(folder: Path) -> Outcome:
        place, content = folder / "blob", data()
        place.write_bytes(content)
        blob = Blob("data", lies.get("sha256", hashlib.sha256(content).hexdigest()), lies.get("bytes", len(content)), format)
        del content
        tracemalloc.start()
        begun = time.thread_time()  # its own: neither what else the machine does nor how slow its disk is
        reason = check_blob(place, blob)
        took, held_mb = time.thread_time() - begun, tracemalloc.get_traced_memory()[1] >> 20
        tracemalloc.stop()
        if reason is None:
            return Outcome(False, "the file was taken")
        return Outcome(words in reason and took < _MOST_S and held_mb < _MOST_MB, f"refused: {reason}")

    return run


def _header(text: bytes, data: bytes = b"", length: int | None = None) -> Callable[[], bytes]:
    return lambda: (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _tensors(data_bytes: int, **entries: Any) -> Callable[[], bytes]:
    return lambda: _header(json.dumps(entries).encode(), bytes(data_bytes))()


def _tensor(dtype: str, shape: list[Any], begin: int, end: int) -> Fields:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


class _Evil:
    """What a pickle may hold: a call of anything, on loading."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("the pickle was executed",))


def _archive(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, pickle.dumps(_Evil()))
    return made.getvalue()


SAFE = pack({"images": ("U8", (2, 4), bytes(8))})
SAFE_SHA256 = hashlib.sha256(SAFE).hexdigest()
_ONNX = b"\x08\x08\x12\x07pytorch\x3a\x40" + b"external_data\x00location\x00../../../etc/passwd"

ATTACKS = (
    Attack("file_not_the_promised", "other bytes than promised", _file("its hash differs", lambda: SAFE, sha256="ab" * 32)),
    Attack("file_shorter", "fewer bytes than promised", _file("instead of the", lambda: SAFE, bytes=len(SAFE) + 1)),
    Attack("file_longer", "more bytes than promised", _file("instead of the", lambda: SAFE, bytes=len(SAFE) - 1)),
    Attack("file_pickle", "a pickle that calls a function", _file("Python pickle", lambda: pickle.dumps(_Evil()))),
    Attack("file_old_pickle", "a pickle in the oldest, printable form", _file("larger than 1 MiB", lambda: pickle.dumps(_Evil(), 0))),
    Attack("file_pt", "a .pt file: a zip archive with a pickle", _file("zip archive", lambda: _archive("model/data.pkl"))),
    Attack("file_pt2", "a .pt2 file with an evil sample input", _file("zip archive", lambda: _archive("data/sample_inputs/model.pt"))),
    Attack("file_torchscript", "a TorchScript archive", _file("zip archive", lambda: _archive("m/data.pkl", "m/code/__torch__.py"))),
    Attack("file_onnx", "an ONNX file whose weights lie at ../../../etc/passwd", _file("larger than 1 MiB", lambda: _ONNX)),
    Attack("file_two_in_one", "a zip archive behind an honest safetensors file", _file("do not fill", lambda: SAFE + _archive("data.pkl"))),
    Attack("header_of_8_eib", "a header said to be 8 EiB long", _file("larger than 1 MiB", _header(b"{}", length=2**63))),
    Attack("header_of_100_mb", "a header of 100 MB", _file("larger than 1 MiB", _header(b"{" + b" " * 100_000_000))),
    Attack("header_beyond_the_file", "a header longer than the file", _file("longer than the file", _header(b"{}", length=1000))),
    Attack("header_deep", "a header nested 100,000 deep", _file("nested too deep", _header(b'{"a":' + b"[" * 100_000))),
    Attack("header_one_long_text", "a header of one text without end", _file("not JSON", _header(b'{"' + b"\\a" * 500_000))),
    Attack("header_of_many_texts", "a header of half a million texts", _file("not JSON", _header(b'{"' + b'a"' * 500_000))),
    Attack("header_tensor_twice", "a tensor named twice", _file("twice", _header(b'{"a":{},"a":{}}'))),
    Attack(
        "header_many_tensors",
        "15,000 tensors of nothing",
        _file("more than 10000", _tensors(0, **{str(one): _tensor("U8", [0], 0, 0) for one in range(15_000)})),
    ),
    Attack(
        "tensors_overlap", "two tensors in one place", _file("overlap", _tensors(8, a=_tensor("U8", [8], 0, 8), b=_tensor("U8", [8], 0, 8)))
    ),
    Attack(
        "tensors_leave_a_gap",
        "hidden bytes between tensors",
        _file("gap", _tensors(9, a=_tensor("U8", [4], 0, 4), b=_tensor("U8", [4], 5, 9))),
    ),
    Attack("tensor_before_the_file", "a tensor at a negative place", _file("sensible", _tensors(8, a=_tensor("U8", [8], -8, 0)))),
    Attack("tensor_backwards", "a tensor that ends before it begins", _file("match its shape", _tensors(8, a=_tensor("U8", [8], 8, 0)))),
    Attack(
        "tensor_beyond_the_file", "a tensor that goes on behind the file", _file("do not fill", _tensors(8, a=_tensor("U8", [80], 0, 80)))
    ),
    Attack(
        "tensor_wraps_around", "sizes whose product is 2^64", _file("match its shape", _tensors(8, a=_tensor("U8", [2**32, 2**32], 0, 0)))
    ),
    Attack("tensor_of_huge_size", "a size of 2^63", _file("sensible", _tensors(8, a=_tensor("U8", [2**63], 0, 8)))),
    Attack("tensor_of_nothing", "a size of nothing with bytes", _file("match its shape", _tensors(8, a=_tensor("U8", [0], 0, 8)))),
    Attack("tensor_of_objects", "numbers of the type OBJECT", _file("type that is not taken", _tensors(8, a=_tensor("OBJECT", [1], 0, 8)))),
    Attack("tensor_of_halves", "a size that is no whole number", _file("sensible", _tensors(8, a=_tensor("U8", [8.0], 0, 8)))),
    Attack("lines_of_256_mb", "a line of 256 MB", _file("longer than 1 MiB", lambda: b"x" * (256 << 20), "jsonl")),
    Attack("lines_no_utf8", "bytes that are no UTF-8", _file("not UTF-8", lambda: b'{"a":"\xff\xfe"}\n', "jsonl")),
    Attack("lines_zero_bytes", "zero bytes among the lines", _file("no text", lambda: b'{"a":"\x00"}\n', "jsonl")),
    Attack("lines_escape_codes", "escape codes among the lines", _file("no text", lambda: b'{"a":"\x1b[2J"}\n', "jsonl")),
    Attack("file_of_no_known_format", "a file of a format nobody knows", _file("unknown format", lambda: SAFE, "torchscript")),
)
