"""The door for tasks: what is let in, and with what words everything else is refused."""

import hashlib
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.catalogue import Verification
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.wire.bundle import Refused, catalogue, check_blob, manifest_bytes, parse_manifest
from desktop_app.wire.tensors import pack
from tests.manifests import JOB, NOW, RENTER, SIGNATURE, blob, signed, spoiled, written

quietly = settings(database=None, deadline=None, max_examples=400)

MANIFEST, RAW = written()
SAFE = pack({"images": ("U8", (2, 4), bytes(8))})


def parse(raw: bytes, now: int = NOW, signature: str = SIGNATURE) -> Manifest | Refused:
    return parse_manifest(raw, signature, now, signed)


def refusal(raw: bytes, now: int = NOW, signature: str = SIGNATURE) -> str:
    parsed = parse(raw, now, signature)
    assert isinstance(parsed, Refused)
    return parsed.reason


def changed(**changes: Any) -> str:
    return refusal(spoiled(RAW, **changes))


@pytest.mark.parametrize("kind", ["train.classifier/1", "infer.batch/1"])
def test_an_honest_manifest_comes_back_as_it_was_written(kind: str) -> None:
    manifest, raw = written(kind)
    assert parse(raw) == manifest
    assert manifest.sha256 == hashlib.sha256(raw).hexdigest()
    assert manifest_bytes(manifest) == raw


def test_the_signature_is_asked_about_just_this_manifest() -> None:
    asked: list[tuple[str, str, str]] = []

    def verify(job: str, sha256: str, signature: str) -> str | None:
        asked.append((job, sha256, signature))
        return RENTER

    assert parse_manifest(RAW, SIGNATURE, NOW, verify) == MANIFEST
    assert asked == [(JOB, MANIFEST.sha256, SIGNATURE)]


@pytest.mark.parametrize("signature", ["", "0x", "5e" * 65, "0x" + "zz" * 65, SIGNATURE + "\n"])
def test_no_signature_is_refused(signature: str) -> None:
    assert refusal(RAW, signature=signature) == "the task carries no signature"


def test_another_signature_is_refused() -> None:
    assert refusal(RAW, signature="0x" + "00" * 65) == "the task is not signed by the renter it names"
    assert "not signed" in changed(renter="0x" + "00" * 20)


def test_only_the_canonical_bytes_are_taken() -> None:
    assert json.loads(RAW)
    assert refusal(RAW + b"\n") == "the task's description is not in canonical form"
    assert "canonical" in refusal(json.dumps(json.loads(RAW)).encode())
    assert "canonical" in refusal(RAW.replace(b'"v":1', b'"v":1,"v":1'))  # a key said twice
    assert "canonical" in refusal(RAW.replace(b'"lr":0.01', b'"lr":1e-2'))
    assert "canonical" in refusal(RAW.replace(b"train", b"\\u0074rain"))


NO_TEXT = (b"\xff\xfe", b"{", b'{"v":NaN}', b'{"v":1e999}', b'{"v":' + b"9" * 5_000 + b"}", b'{"v":"\\ud800"}')


@pytest.mark.parametrize("raw", [b"", b"null", b"7", b"[]", b"{}", b'"text"', *NO_TEXT])
def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    assert "not well-formed" in refusal(raw)


def test_size_and_depth_are_bounded_before_anything_is_read() -> None:
    assert refusal(b" " * (256 * 1024 + 1)) == "the task's description is larger than 256 KiB"
    assert refusal(b"[" * 65 + b"]" * 65) == "the task's description is nested too deep or lists too much"
    assert "nested too deep" in refusal(b"[" * 200_000)
    assert "nested too deep" in refusal(b'{"a":' * 40_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"v": 2},
        {"v": True},
        {"task_id": "UPPER-CASE"},
        {"task_id": "../../etc"},
        {"task_id": "0d9f3c1a\n"},
        {"job_id": "0x12"},
        {"job_id": JOB.upper()},
        {"renter": "somebody"},
        {"kind": "rm -rf"},
        {"kind": 7},
        {"tier": "golden"},
        {"seed": -1},
        {"seed": 2**53 + 1},
        {"seed": True},
        {"seed": 1.5},
        {"steps": 0},
        {"steps": "30"},
        {"units": None},
        {"expires": 10**30},
        {"checkpoint_steps": 0},
        {"inputs": [{"role": "data", "sha256": "ab" * 32, "bytes": 0, "format": "safetensors"}]},
        {"inputs": [{"role": "data", "sha256": "AB" * 32, "bytes": 1, "format": "safetensors"}]},
        {"inputs": [{"role": "../x", "sha256": "ab" * 32, "bytes": 1, "format": "safetensors"}]},
        {"inputs": [{"role": "data", "sha256": "ab" * 32, "bytes": 1, "format": "safetensors", "path": "/etc"}]},
        {"inputs": ["data"]},
        {"inputs": [{"role": "data", "sha256": "ab" * 32, "bytes": 1, "format": "safetensors"}] * 17},
        {"params": {"width": True}},
        {"params": {"width": [1]}},
        {"params": {"width": 10**400}},
        {"params": {"width": "x" * 201}},
        {"params": {"a b": 1}},
        {"params": {f"p{number}": 1 for number in range(65)}},
        {"limits": {}},
        {"limits": json.loads(RAW)["limits"] | {"ram_mb": -5}},
        {"limits": json.loads(RAW)["limits"] | {"wall_s": 10**9}},
        {"limits": json.loads(RAW)["limits"] | {"gpus": 8}},
    ],
)
def test_every_field_has_a_type_and_a_range(changes: dict[str, Any]) -> None:
    assert "not well-formed" in changed(**changes)


@pytest.mark.parametrize("gone", sorted(json.loads(RAW)))
def test_no_field_may_be_missing(gone: str) -> None:
    fields = json.loads(RAW)
    del fields[gone]
    assert "not well-formed" in refusal(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())


def test_a_refusal_can_be_shown_to_anybody() -> None:
    reason = changed(**{"\x1b[31m\u202e" + "x" * 5_000: 1})
    assert reason.isprintable()
    assert len(reason) < 300


def test_a_task_has_its_time() -> None:
    assert refusal(RAW, now=MANIFEST.expires) == "the task has expired"
    assert isinstance(parse(RAW, now=MANIFEST.expires - 1), Manifest)
    assert refusal(RAW, now=NOW - 32 * 24 * 3600) == "the task wants to live longer than a month"


def test_kinds_outside_the_catalogue_or_the_market_are_refused() -> None:
    assert changed(kind="run.python/1") == "this version knows no task of the kind run.python/1"
    assert "not for the market" in changed(kind="check.predictions/1")


def test_the_catalogues_rules_hold_at_the_door() -> None:
    huge = replace(blob("data"), bytes=10_000_000_000)
    assert changed(inputs=[{"role": huge.role, "sha256": huge.sha256, "bytes": huge.bytes, "format": huge.format}]) == (
        "the input data claims 10.0 GB, more than the 2.1 GB this kind allows"
    )
    assert changed(units=MANIFEST.units + 1).startswith("the task says")
    assert "outside 8 to 8192" in changed(params=dict(MANIFEST.params) | {"width": 10**9})
    assert "whole number" in changed(params=dict(MANIFEST.params) | {"width": 1e300})


def test_the_catalogue_is_whole() -> None:
    kinds = catalogue()
    checks = ["check.classifier/1", "check.embeddings/1", "check.lora/1", "check.predictions/1"]
    assert sorted(kinds) == ["bench/1", *checks, "embed/1", "infer.batch/1", "train.classifier/1", "train.lora/1"]
    for name, declared in kinds.items():
        assert declared.kind == name
        assert declared.market == name.startswith(("train", "infer", "embed"))
        assert declared.market == (declared.verification is not Verification.NONE)
        assert declared.step_ms == 50
        assert Tier.PRACTICE in dict(declared.speeds)
        assert all(set(rule.formats) <= {"safetensors", "jsonl"} for rule in declared.inputs)
        assert sum(rule.files for rule in declared.inputs) <= 17  # of which a manifest lists sixteen
        assert all(rule.low < rule.high for rule in declared.params)
        assert not declared.market or {tier for tier, _ in declared.speeds} == set(Tier)


arbitrary_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@quietly
@given(st.binary(max_size=300) | arbitrary_json.map(lambda value: json.dumps(value).encode()), st.text(max_size=200), st.integers(0, 2**53))
def test_nothing_breaks_the_door(raw: bytes, signature: str, now: int) -> None:
    assert isinstance(parse_manifest(raw, signature, now, signed), Refused)


@quietly
@given(st.dictionaries(st.sampled_from(sorted(json.loads(RAW))), arbitrary_json, min_size=1, max_size=3))
def test_no_value_in_any_field_breaks_the_door(changes: dict[str, Any]) -> None:
    parsed = parse(spoiled(RAW, **changes))
    assert isinstance(parsed, Manifest | Refused)
    if isinstance(parsed, Manifest):
        assert manifest_bytes(parsed) == spoiled(RAW, **changes)


@quietly
@given(st.dictionaries(st.sampled_from(sorted(dict(MANIFEST.params))), arbitrary_json | st.floats() | st.integers(), min_size=1))
def test_no_parameter_breaks_the_door(params: dict[str, Any]) -> None:
    assert isinstance(parse(spoiled(RAW, params=dict(MANIFEST.params) | params)), Manifest | Refused)


@quietly
@given(st.integers(0, len(RAW) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_another_honest_task(at: int, byte: int) -> None:
    raw = bytearray(RAW)
    raw[at] = byte
    parsed = parse(bytes(raw))
    assert isinstance(parsed, Refused) or parsed.sha256 == hashlib.sha256(bytes(raw)).hexdigest()


def put(folder: Path, content: bytes, format: str = "safetensors") -> tuple[Path, Blob]:
    path = folder / "file"
    path.write_bytes(content)
    return path, Blob("data", hashlib.sha256(content).hexdigest(), len(content), format)


def test_the_promised_file_is_taken(tmp_path: Path) -> None:
    assert check_blob(*put(tmp_path, SAFE)) is None
    assert check_blob(*put(tmp_path, b'{"a":1}\n{"a":2}\n', "jsonl")) is None


def test_another_file_is_refused(tmp_path: Path) -> None:
    path, promised = put(tmp_path, SAFE)
    assert check_blob(path, replace(promised, bytes=7)) == f"the file for data has {len(SAFE)} bytes instead of the 7 that were promised"
    assert check_blob(path, replace(promised, sha256="00" * 32)) == "the file for data is not the one that was promised: its hash differs"
    assert "cannot be read" in (check_blob(tmp_path / "missing", promised) or "")
    assert "cannot be read" in (check_blob(tmp_path, promised) or "")


class Evil:
    """Would make a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    reason = check_blob(*put(tmp_path, pickle.dumps(Evil(trap), protocol=protocol))) or ""
    assert "only safetensors is taken" in reason if protocol >= 2 else "refused" in reason
    assert not trap.exists()


def test_an_archive_is_refused_as_what_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    reason = check_blob(*put(tmp_path, (tmp_path / "model.pt").read_bytes()))
    assert reason == "the file for data is a zip archive (as .pt files are), which can carry code; only safetensors is taken"


def test_lines_are_bounded_text(tmp_path: Path) -> None:
    assert "longer than 1 MiB" in (check_blob(*put(tmp_path, b"x" * (2**20 + 1), "jsonl")) or "")
    assert check_blob(*put(tmp_path, b"x" * 2**20, "jsonl")) is None
    assert "not UTF-8" in (check_blob(*put(tmp_path, b"ok\n\xff\n", "jsonl")) or "")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    assert check_blob(*put(tmp_path, b"x", "onnx")) == "the file for data is of an unknown format (onnx)"


@quietly
@given(
    content=st.binary(max_size=400) | st.binary(max_size=100).map(lambda tail: SAFE + tail),
    format=st.sampled_from(["safetensors", "jsonl", "png"]),
)
def test_no_file_breaks_the_check(tmp_path_factory: pytest.TempPathFactory, content: bytes, format: str) -> None:
    reason = check_blob(*put(tmp_path_factory.getbasetemp(), content, format))
    assert reason is None or reason.isprintable()
