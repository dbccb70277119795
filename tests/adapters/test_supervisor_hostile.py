"""Workers that mean harm: whatever one does, the agent lives, says what happened, and has the device back."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.supervisor import hosted
from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.core import messages as m
from desktop_app.core.state import Trigger
from tests.adapters.supervisor_house import LATER, House, fake, house, whole_family
from tests.leaks import family

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("flood", "more messages"),
        ("garbage", "no message"),
        ("oversized", "too long"),
        ("out_of_turn", "out of turn"),
        ("fails", "the data is odd"),
        ("takes_memory", "memory"),
        ("result_outside", "outside"),
        ("result_is_no_safetensors", "safetensors"),
        ("crashes", "the last words"),
        ("resizes", "refused,refused"),
    ],
)
def test_a_breach_ends_the_worker_with_the_reason(home: House, act: str, words: str) -> None:
    home.supervisor.start(home.lease(act), None)
    failed = home.until(m.WorkerFailed, 15)
    assert words in failed.detail
    assert not failed.blameless
    assert not family()
    home.supervisor.start(home.lease("honest", task_id="task-2", steps=10), None)
    assert home.until(m.WorkerFinished).task_id == "task-2"


@pytest.mark.parametrize(
    ("act", "patience", "words"),
    [
        ("slow_start", Patience(start_s=1), "not ready"),
        ("silent", Patience(silence_s=1.5), "no sign of life"),
        ("beats_only", Patience(stall_s=1.5), "no step"),
        ("empty_packet", Patience(silence_s=1.5), "no sign of life"),
    ],
)
def test_a_worker_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, patience: Patience, words: str) -> None:
    monkeypatch.setattr(hosted, "_LINGER_S", 60.0)  # an empty packet that comes by itself looks like hanging up
    with house(tmp_path, fake(patience=patience)) as home:
        home.supervisor.start(home.lease(act), None)
        failed = home.until(m.WorkerFailed)
        assert words in failed.detail
        assert not failed.blameless


def test_the_state_of_a_crashed_worker_is_kept(home: House) -> None:
    home.supervisor.start(home.lease("crashes"), None)
    assert home.until(m.CheckpointStored).checkpoint.step == 7
    home.until(m.WorkerFailed)


def test_no_control_character_reaches_the_log_or_the_owner(home: House) -> None:
    home.supervisor.start(home.lease("crashes"), None)
    failed = home.until(m.WorkerFailed)
    logged = (home.root / "logs/worker.log").read_bytes()
    assert b"the last words" in logged
    assert not set(failed.detail.encode() + logged) & (set(range(32)) - {9, 10})


@pytest.mark.parametrize(
    ("act", "step"), [("lies_about_steps", None), ("differs_from_header", None), ("commits_junk", None), ("lies_about_progress", 2)]
)
def test_a_lie_about_the_state_is_not_kept(home: House, act: str, step: int | None) -> None:
    home.begin(act)
    home.supervisor.give_back("task-1", Trigger.CLICK, LATER)
    back = home.until(m.GpuGivenBack)
    assert (back.checkpoint.step if back.checkpoint else None) == step
    assert 0 <= back.record.steps_lost <= 200
    told = [one.progress for one in home.seen if isinstance(one, m.WorkerProgressed)]
    assert all(progress.step <= 200 and progress.of == 200 for progress in told)


def test_a_worker_that_opens_the_gate_again_is_still_killed(home: House) -> None:
    home.begin("scribbles")
    back, stopped_ms = home.taken_back(Trigger.CLICK, 200)
    assert stopped_ms < 1_000
    assert not back.record.committed


def test_a_family_in_sessions_of_its_own_is_gone_too(home: House) -> None:
    home.begin("children", steps=1_000_000)
    family = whole_family(psutil.Process())
    assert len(family) == 13
    _, stopped_ms = home.taken_back(Trigger.CLICK, 200)
    assert stopped_ms < 1_000
    assert not any(one.is_running() for one in family)


def test_descriptors_sent_along_end_it_and_do_not_stay(home: House) -> None:
    before = held()
    home.supervisor.start(home.lease("sends_descriptors"), None)
    assert "sent files along" in home.until(m.WorkerFailed).detail
    assert not more_than(before)


def test_a_flood_of_output_is_cut(home: House) -> None:
    home.begin("prints_much", steps=1_000_000)
    home.quiet(1.2)
    _, stopped_ms = home.taken_back(Trigger.CLICK, 200)
    assert stopped_ms < 1_000
    sizes = [place.stat().st_size for place in (home.root / "logs").iterdir()]
    assert 0 < sum(sizes) <= 11 << 20


def test_nothing_is_left_after_many_tasks(home: House) -> None:
    home.supervisor.start(home.lease("honest", steps=5), None)
    home.until(m.WorkerFinished)
    before = held()
    for number in range(6):
        act = ("honest", "garbage", "crashes")[number % 3]
        home.supervisor.start(home.lease(act, task_id=f"many-{number}", steps=5), None)
        home.until((m.WorkerFailed, m.WorkerFinished))  # type: ignore[arg-type]
    assert not more_than(before)


def held() -> "Counter[str]":
    """Our open files, by what they are, and our threads. Other tests' may still be leaving."""
    files = (os.path.realpath(place) for place in Path("/proc/self/fd").iterdir())
    return Counter([*files, *(f"thread {thread.ident}" for thread in threading.enumerate())])


def more_than(before: "Counter[str]") -> "Counter[str]":
    """What is held on top of that, once whoever told us of the end has ended, too."""
    end = time.monotonic() + 10
    while (more := held() - before) and time.monotonic() < end:
        time.sleep(0.02)
    return more


def test_what_cannot_be_started_is_nobodys_fault(home: House) -> None:
    lease = home.lease()
    home.blob(lease.manifest.inputs[0].sha256).unlink()
    home.supervisor.start(lease, None)
    failed = home.until(m.WorkerFailed)
    assert failed.blameless
