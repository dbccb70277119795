"""Receipts as the whole account of a task."""

from dataclasses import replace
from typing import Any

import pytest

from desktop_app.core.receipts import chain_refusal, result_sha256
from tests.manifests import altered, blob, chain, written

MANIFEST = written()[0]
RESULT = (blob("model"),)


@pytest.mark.parametrize("ends", [(), (11,), (3, 3, 29)])
def test_an_honest_chain_is_believed(ends: tuple[int, ...]) -> None:
    receipts = chain(MANIFEST, RESULT, *ends)
    assert chain_refusal(MANIFEST, receipts, RESULT) is None
    assert sum(receipt.units for receipt in receipts) == MANIFEST.units


@pytest.mark.parametrize(
    ("at", "changes", "reason"),
    [
        (1, {"task_id": "another"}, "receipt 2 is about another task"),
        (0, {"job_id": "0x00"}, "receipt 1 is about another task"),
        (0, {"manifest_sha256": "00"}, "receipt 1 is about another task"),
        (1, {"first_step": 10}, "receipt 2 does not go on"),
        (1, {"prev": "00"}, "receipt 2 does not go on"),
        (2, {"epoch": 1}, "receipt 3 is from an older lease"),
        (2, {"last_step": 31}, "receipt 3 counts steps"),
        (1, {"last_step": 10}, "receipt 2 counts steps"),
        (0, {"units": 10**6}, "receipt 1 claims units"),
        (0, {"final": True}, "receipt 1 is wrong about being the last"),
        (2, {"final": False}, "receipt 3 is wrong about being the last"),
        (2, {"last_step": 29, "units": 0}, "receipt 3 claims units"),
        (2, {"result_sha256": "00"}, "the last receipt is for another result"),
    ],
)
def test_a_chain_that_lies_is_refused(at: int, changes: dict[str, Any], reason: str) -> None:
    receipts = altered(chain(MANIFEST, RESULT, 11, 20), at, **changes)
    assert reason in (chain_refusal(MANIFEST, receipts, RESULT) or "")


def test_a_chain_must_reach_the_end() -> None:
    whole = chain(MANIFEST, RESULT, 11)
    early = (replace(whole[0], final=True),)
    assert chain_refusal(MANIFEST, early, RESULT) == "the receipts do not cover the whole task"
    assert chain_refusal(MANIFEST, (), RESULT) == "the receipts do not cover the whole task"


def test_the_results_hash_hangs_on_every_field_and_not_on_the_order() -> None:
    two = (blob("model"), blob("log"))
    assert result_sha256(two) == result_sha256(two[::-1])
    changes: list[dict[str, Any]] = [{"role": "x"}, {"sha256": "cd" * 32}, {"bytes": 1}, {"format": "jsonl"}]
    others = {result_sha256((replace(two[0], **change), two[1])) for change in changes}
    assert len(others) == 4
    assert result_sha256(two) not in others
