"""The benchmark as the agent orders it: in the real sandbox, to figures that make a record, and taken back as a task is."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.adapters.supervisor import Tuning
from desktop_app.core import messages as m
from desktop_app.core.bench import bench_steps, measured_of
from desktop_app.core.gpu import Reading
from desktop_app.core.money import Rate
from desktop_app.core.state import Trigger
from desktop_app.core.task import Lease
from desktop_app.core.update.benchmark import BENCHMARK, order
from tests.adapters.supervisor_house import DEVICE, House, house

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far"),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, Tuning(threads=1)) as opened:
        yield opened


def ordered(seconds: int) -> Lease:
    """The order of a card with very little memory, whose sustained part is short."""
    made = order(replace(DEVICE, memory_mb=512 + 64), Reading(), 0, 7)
    params = tuple({**dict(made.params), "seconds": seconds}.items())
    steps = bench_steps(seconds)
    return Lease(replace(made, params=params, steps=steps, checkpoint_steps=steps), 0, "", Rate(0))


def test_it_runs_to_figures(home: House) -> None:
    home.supervisor.start(ordered(1), None)
    done = home.until(m.WorkerFinished, 120)
    measured = measured_of(dict(done.metrics))
    assert done.task_id == BENCHMARK and measured is not None
    assert measured.fp32_tflops > 0 and measured.copy_gbps > 0 and 60 < measured.memory_mb < 70


def test_it_is_taken_back_at_once(home: House) -> None:
    home.supervisor.start(ordered(45), None)
    home.until(m.WorkerProgressed, 60)
    back, stopped_ms = home.taken_back(Trigger.CLICK, 200, BENCHMARK)
    assert back.record.task_id == BENCHMARK and stopped_ms < 1_000
    home.supervisor.forget(BENCHMARK)
    assert not any(isinstance(one, m.WorkerFinished) for one in home.seen)
