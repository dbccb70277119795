"""The benchmark on the practice device: its figures come from seconds, its memory from what is read back, and a minute is enough."""

import json
import statistics
import time
from contextlib import AbstractContextManager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from desktop_app.core.bench import Part, bench_steps, measured_of, part_at
from desktop_app.core.catalogue import state_bytes, steps
from desktop_app.wire.bundle import catalogue
from desktop_app.worker.kinds import bench as benchmark
from desktop_app.worker.kinds.bench import Bench
from tests.kinds import copied, make, run

KIND = "bench/1"
PARAMS: dict[str, int | float | str] = {"seconds": 1, "memory_mb": 64}


def bench(params: dict[str, int | float | str] = PARAMS) -> Bench:
    kind = make(KIND, {}, params)
    assert isinstance(kind, Bench)
    return kind


@pytest.fixture(scope="module")
def done() -> Bench:
    kind = bench()
    with by_processor_time():
        run(kind)
    return kind


def by_processor_time() -> AbstractContextManager[object]:
    """Readings of this thread's own time: those of two moments can be compared although other tests use the processors too."""
    return patch.object(benchmark, "time", SimpleNamespace(perf_counter=time.thread_time))


def test_it_measures_what_the_device_does() -> None:
    """Beside readings of ours, each taken right after one of its own, since a processor is not always as quick."""
    kind, ours = bench(), []
    with by_processor_time():
        for index in range(first_of(Part.BF16)):
            kind.step(index)
            side, times = kind.state()["sizes"][0].tolist()
            left, right = torch.randn(side, side), torch.randn(side, side)
            begun = time.thread_time()
            for _ in range(times):
                torch.mm(left, right)
            ours.append((time.thread_time() - begun) / times)
    speed = 2 * side**3 / statistics.median(ours) / 1e12
    assert 0.3 * speed < kind.result()[1]["fp32_tflops"] < 3 * speed


def test_its_figures_are_those_of_a_device(done: Bench) -> None:
    figures = done.result()[1]
    measured = measured_of(figures)
    assert measured is not None
    assert 0 < measured.sustained_tflops < 5 * measured.half_tflops  # taken a moment later
    assert 0.2 < measured.copy_gbps < 1000
    assert measured.memory_mb == pytest.approx(64, rel=1e-3)
    assert "to_device_gbps" not in figures  # there is no other memory to move from


def test_every_reading_is_told(done: Bench) -> None:
    lines = [json.loads(line) for line in done.result()[0]["readings"].splitlines()]
    assert len(lines) == done.steps == bench_steps(1) == steps(catalogue()[KIND], PARAMS)
    assert done.result()[0]["readings"][:1] == b"{"
    assert [(line["part"], line["place"]) for line in lines] == [part_at(index) for index in range(done.steps)]
    assert all(line["seconds"] is None for line in lines if line["part"] == "to_device")
    assert all(line["seconds"] > 0 for line in lines if line["part"] in ("copy", "sustained"))


def first_of(part: Part) -> int:
    return next(index for index in range(bench_steps(1)) if part_at(index)[0] is part)


def test_memory_that_holds_something_else_does_not_count() -> None:
    kind = bench()
    run(kind, first_of(Part.TOUCH), first_of(Part.VERIFY))
    kind._buffers[3][100] += 1
    kind._buffers[60] = kind._buffers[61]  # one memory that pretends to be two
    run(kind, first_of(Part.VERIFY), first_of(Part.SUSTAINED))
    assert kind.result()[1]["memory_mb"] == pytest.approx(62, rel=1e-3)


def test_memory_that_cannot_be_had_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, full = bench(), torch.full

    def scarce(*arguments: object, **options: object) -> torch.Tensor:
        if len(kind._buffers) == 10:
            raise torch.OutOfMemoryError
        return full(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(torch, "full", scarce)
    run(kind, first_of(Part.TOUCH), first_of(Part.SUSTAINED))
    assert kind.result()[1]["memory_mb"] == pytest.approx(10, rel=1e-3)


def test_a_minute_is_enough() -> None:
    kind = bench({"seconds": 45, "memory_mb": 64})
    kind._spent += 59
    begun = time.thread_time()
    run(kind)
    assert time.thread_time() - begun < 1
    assert kind.result()[1] == {
        "fp32_tflops": 0, "bf16_tflops": 0, "fp16_tflops": 0, "sustained_tflops": 0, "memory_mb": 0,
    }  # fmt: skip
    assert measured_of(kind.result()[1]) is None


def test_a_resumed_benchmark_goes_on_with_the_sizes_it_found() -> None:
    first = bench()
    stop = first_of(Part.COPY) - 2
    run(first, 0, stop)
    state = copied(first)
    assert sum(tensor.nbytes for tensor in state.values()) <= state_bytes(catalogue()[KIND], PARAMS)
    second = bench()
    second.restore(state)
    run(second, stop)
    assert measured_of(second.result()[1]) is not None
    assert torch.equal(second.state()["sizes"], state["sizes"])
