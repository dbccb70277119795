"""A little of the fuzzing every time, what it found, and that it does find: see `fuzz`."""

import json

import pytest

from desktop_app.wire import ipc, link, tensors
from tests.hostile import fuzz

NAMES = [target.name for target in fuzz.targets()]


def named(name: str) -> fuzz.Target:
    return next(target for target in fuzz.targets() if target.name == name)


@pytest.mark.parametrize("name", NAMES)
def test_mutants_are_taken_or_refused(name: str) -> None:
    target = named(name)
    target.round(1, examples=120)
    assert target.inputs >= 100


@pytest.mark.parametrize(
    ("name", "module", "function", "fault"),
    [
        ("safetensors header", tensors, "_counts", TypeError),
        ("ipc from worker", ipc, "_shown", OverflowError),
        ("link frames", link, "_parse", MemoryError),
    ],
)
def test_a_planted_fault_is_found(
    name: str, module: object, function: str, fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise fault("planted")

    monkeypatch.setattr(module, function, broken)
    with pytest.raises(fuzz.Find, match="planted"):
        named(name).round(1)


def test_a_parser_that_takes_its_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MOST_S", 0.0)
    with pytest.raises(fuzz.Find, match="took"):
        named("manifest").check(b"{}")


def test_the_seeds_of_the_mutants_are_taken() -> None:
    for message in fuzz.spoken():
        ipc.parse_from_worker(message)
    assert len(tensors.parse_header(json.dumps(fuzz.HEADER).encode(), 25)) == 2
