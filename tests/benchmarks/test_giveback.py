"""The benchmark of the give-back keeps working: each signal once, from its origin through the real agent to a whole checkpoint.

The bounds here are loose, since other tests run beside these, and hold for the time in which the machine ran; the benchmark measures.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.core.state import Halt, Trigger
from tests.benchmarks.giveback import attempt, percentile, whole
from tests.benchmarks.giveback_house import SIGNALS, House, open_house
from tests.benchmarks.small_tasks import Small, prepare
from tests.standstill import standstill

pytestmark = [pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="sandboxes exist on Linux only so far"), pytest.mark.slow]

KIND = "infer.batch/1"
GENEROUS_MS = 3_000.0
PATIENT_MS = 30_000  # a worker that is kept from the processor for longer than the owner's deadline would be killed, rightly


@pytest.fixture
def task(tmp_path: Path) -> Small:
    return prepare(tmp_path / "tasks", (KIND,))[KIND]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    root = tmp_path / "house"
    root.mkdir()
    with open_house(root, burners=0) as house:
        yield house


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[House]:
    """A house whose worker may take its time to answer."""
    root = tmp_path / "house"
    root.mkdir()
    with open_house(root, burners=0, deadline_ms=PATIENT_MS) as house:
        yield house


def test_every_signal_takes_the_gpu_back(patient: House, task: Small) -> None:
    for trigger in SIGNALS:
        with standstill() as lost_ms:
            trial = attempt(patient, task, trigger, 0.1, stop=False)
            most_ms = GENEROUS_MS + lost_ms()
        assert trial is not None and trial.record.trigger is trigger
        assert trial.record.halt is Halt.YIELDED and trial.record.steps_lost == 0
        assert 0 < trial.gone_ms < most_ms
        assert 0 < trial.record.detected_ms < most_ms
        assert whole(trial, task)


def test_a_worker_that_cannot_answer_is_killed_at_the_deadline(house: House, task: Small) -> None:
    with standstill() as lost_ms:
        trial = attempt(house, task, Trigger.CLICK, 0.5, stop=True)
        most_ms = GENEROUS_MS + lost_ms()
    assert trial is not None and trial.record.halt is Halt.KILLED
    assert 195 < trial.gone_ms < most_ms
    assert trial.step + trial.record.steps_lost > 1, "more steps were done than the record admits"
    assert whole(trial, task)


def test_a_checkpoint_that_is_not_what_was_computed_is_found(patient: House, task: Small) -> None:
    trial = attempt(patient, task, Trigger.CLICK, 0.3, stop=False)
    assert trial is not None and trial.step > 0 and whole(trial, task)
    data = bytearray(trial.kept.read_bytes())
    data[-trial.step * 4] ^= 0x7F  # the last rows are empty yet
    trial.kept.write_bytes(data)
    assert not whole(trial, task)


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)
