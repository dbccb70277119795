"""Receipts have one canonical form, so that signer and checker cannot differ."""

import hashlib
import json
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desktop_app.core.receipts import canonical, digest, result_sha256, root
from desktop_app.core.task import segment_units
from tests.builders import a_blob, a_manifest, a_receipt


def test_the_canonical_form_is_sorted_json_without_spaces() -> None:
    data = canonical(a_receipt())
    assert json.loads(data) == asdict(a_receipt())
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert digest(a_receipt()) == hashlib.sha256(data).hexdigest()


def test_any_change_changes_the_digest() -> None:
    one = a_receipt()
    for name, value in asdict(one).items():
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else f"{value}0"
        assert digest(replace(one, **{name: other})) != digest(one), name  # type: ignore[arg-type]


def test_a_results_hash_does_not_depend_on_the_order_of_its_files() -> None:
    model, log = a_blob("model"), a_blob("log")
    assert result_sha256((model, log)) == result_sha256((log, model)) != result_sha256((model,))
    assert result_sha256(()) == hashlib.sha256(b"[]").hexdigest()


def test_the_root_is_the_hash_chain_over_the_digests_in_their_order() -> None:
    one, other = digest(a_receipt()), digest(a_receipt(last_step=50))
    first = hashlib.sha256(bytes(32) + bytes.fromhex(one)).digest()
    assert root(()) == "0x" + "00" * 32
    assert root((one,)) == "0x" + first.hex()
    assert root((one, other)) == "0x" + hashlib.sha256(first + bytes.fromhex(other)).hexdigest()
    assert root((one, other)) != root((other, one))


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(0, 10**12), st.lists(st.integers(0, 10**6)))
def test_the_segments_of_a_task_are_worth_exactly_the_task(steps: int, units: int, cuts: list[int]) -> None:
    manifest = a_manifest(steps=steps, units=units)
    marks = sorted({0, steps, *(cut for cut in cuts if cut <= steps)})
    parts = [segment_units(manifest, first, last) for first, last in pairwise(marks)]
    assert sum(parts) == units and min(parts) >= 0


@pytest.mark.parametrize(("first", "last"), [(-1, 5), (6, 5), (0, 101)])
def test_a_segment_lies_within_its_task(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="within its task"):
        segment_units(a_manifest(steps=100), first, last)
