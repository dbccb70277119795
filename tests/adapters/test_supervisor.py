"""Workers that behave: started, followed, interrupted, resumed, finished, in the real sandbox with a real child process."""

import json
import os
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.core import messages as m
from desktop_app.core.faults import HELD
from desktop_app.core.state import Halt, Trigger
from desktop_app.core.task import Checkpoint, Progress
from tests.adapters.supervisor_house import DEVICE, LATER, LIMITS, House, fake, house

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def step_in(blob: Path) -> int:
    """The step a stored checkpoint says it holds, read as any reader of safetensors would."""
    raw = blob.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    begin, end = json.loads(raw[8 : 8 + length])["sublet.step"]["data_offsets"]
    return int.from_bytes(raw[8 + length + begin : 8 + length + end], "little")


def test_a_task_runs_to_its_result(home: House) -> None:
    home.supervisor.start(home.lease(steps=100), None)
    done = home.until(m.WorkerFinished)
    assert [type(one) for one in home.seen if not isinstance(one, m.WorkerProgressed)] == [m.WorkerStarted, m.WorkerFinished]
    (result,) = done.result
    assert (result.role, result.format, done.metrics) == ("answer", "jsonl", (("accuracy", 0.5),))
    assert json.loads(home.blob(result.sha256).read_bytes()) == {"answer": 42}
    assert result.bytes == home.blob(result.sha256).stat().st_size


def test_progress_is_told_four_times_a_second_at_most(home: House) -> None:
    begun = time.monotonic()
    home.begin(steps=1_000_000)
    told = [home.until(m.WorkerProgressed).progress for _ in range(12)]
    assert time.monotonic() - begun >= 11 * 0.25, "the worker says it ten times a second"
    assert all(isinstance(one, Progress) and 0 < one.step <= one.of == 1_000_000 for one in told)


def test_the_worker_is_the_process_that_is_named(home: House) -> None:
    pid = home.begin(steps=1_000_000)
    assert b"fake_worker" not in Path(f"/proc/{pid}/cmdline").read_bytes(), "the owner's folders show in the process list"
    assert b"program.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_give_back_is_quick_and_loses_nothing(home: House) -> None:
    pid = home.begin(steps=1_000_000)
    home.until(m.WorkerProgressed)
    back, stopped_ms = home.taken_back(Trigger.CLICK, LATER)
    assert back.record.committed
    assert back.record.halt is Halt.YIELDED
    assert back.record.trigger is Trigger.CLICK
    assert stopped_ms < 400
    assert back.record.steps_lost == 0
    assert back.record.vram_free_ms is None
    assert not Path(f"/proc/{pid}").exists()
    assert back.checkpoint is not None
    assert step_in(home.blob(back.checkpoint.sha256)) == back.checkpoint.step > 0
    assert back.checkpoint.bytes == home.blob(back.checkpoint.sha256).stat().st_size


def test_a_worker_that_ignores_the_gate_is_killed_at_the_deadline(home: House) -> None:
    home.begin("ignores_gate", steps=1_000_000)
    home.until(m.WorkerProgressed)
    back, stopped_ms = home.taken_back(Trigger.HEAT, 200, late_ms=90.0)
    assert not back.record.committed
    assert (back.record.halt, back.record.detected_ms) == (Halt.KILLED, 90.0)
    assert back.record.stopped_ms >= 195
    assert stopped_ms < 1_000
    assert back.checkpoint is not None
    assert step_in(home.blob(back.checkpoint.sha256)) == back.checkpoint.step > 0


def test_one_record_however_often_it_is_asked_for(home: House) -> None:
    home.begin(steps=1_000_000)
    for trigger in (Trigger.CLICK, Trigger.QUIT, Trigger.HEAT):
        home.supervisor.give_back("task-1", trigger, 200)
    assert home.until(m.GpuGivenBack).record.trigger is Trigger.CLICK
    home.supervisor.give_back("task-1", Trigger.CLICK, 200)
    assert home.quiet(0.3) == []


def test_an_owner_in_a_hurry_does_not_wait_for_the_schedule(home: House) -> None:
    pid = home.begin("ignores_gate", steps=1_000_000)
    home.supervisor.give_back("task-1", Trigger.SCHEDULE, LATER)
    assert Path(f"/proc/{pid}").exists(), "the call waited for the worker's end"
    _, stopped_ms = home.taken_back(Trigger.CLICK, 200)
    assert stopped_ms < 2_000


def test_a_task_still_starting_is_killed_at_once(home: House) -> None:
    home.supervisor.start(home.lease("slow_start"), None)
    time.sleep(0.5)
    back, stopped_ms = home.taken_back(Trigger.CLICK, LATER)
    assert (back.checkpoint, back.record.halt, back.record.steps_lost) == (None, Halt.LOADING, 0)
    assert stopped_ms < 600
    assert not any(isinstance(one, m.WorkerStarted) for one in home.seen)


def test_a_give_back_in_the_same_breath_as_the_start(home: House) -> None:
    kept = Checkpoint(7, home.put(b"an older state"), 14)
    home.supervisor.start(home.lease(), kept)
    home.supervisor.give_back("task-1", Trigger.CLICK, 200)
    assert home.until(m.GpuGivenBack).checkpoint == kept


def test_a_task_goes_on_from_its_checkpoint(home: House) -> None:
    home.begin(steps=1_000_000)
    home.until(m.WorkerProgressed)
    home.supervisor.give_back("task-1", Trigger.CLICK, LATER)
    checkpoint = home.until(m.GpuGivenBack).checkpoint
    assert checkpoint is not None
    home.supervisor.start(home.lease("resumed", steps=1_000_000), checkpoint)
    (result,) = home.until(m.WorkerFinished).result
    seen = json.loads(home.blob(result.sha256).read_bytes())
    assert seen == {"first": checkpoint.step, "checkpoint": home.blob(checkpoint.sha256).read_bytes().hex()}


def test_a_give_back_after_the_end_is_answered_too(home: House) -> None:
    home.supervisor.start(home.lease(steps=20), None)
    home.until(m.WorkerFinished)
    home.supervisor.give_back("task-1", Trigger.CLICK, 200)
    record = home.until(m.GpuGivenBack, 5).record
    assert (record.halt, record.steps_lost, record.stopped_ms) == (Halt.OVER, 0, 0.0)


def test_a_give_back_of_a_task_from_before_a_restart_is_answered_once(home: House) -> None:
    home.supervisor.give_back("gone", Trigger.CLICK, 200)
    home.supervisor.give_back("gone", Trigger.CLICK, 200)
    (only,) = home.quiet(0.1)
    assert isinstance(only, m.GpuGivenBack)
    assert (only.record.task_id, only.record.halt, only.checkpoint) == ("gone", Halt.OVER, None)


def test_starting_twice_is_starting_once(home: House) -> None:
    home.begin(steps=1_000_000)
    home.supervisor.start(home.lease(steps=1_000_000), None)
    assert not any(isinstance(one, m.WorkerStarted | m.WorkerFailed) for one in home.quiet(1))


def test_a_second_task_does_not_get_a_busy_device(home: House) -> None:
    home.begin(steps=1_000_000)
    home.supervisor.start(home.lease(task_id="task-2"), None)
    failed = home.until(m.WorkerFailed)
    assert (failed.task_id, failed.blameless) == ("task-2", True)


def test_checkpoints_are_stored_while_it_runs(tmp_path: Path) -> None:
    with house(tmp_path, fake(checkpoint_s=0.3)) as home:
        home.begin(steps=1_000_000)
        first, second = (home.until(m.CheckpointStored).checkpoint for _ in range(2))
        assert second.step > first.step > 0
        for _ in range(6):
            home.until(m.CheckpointStored)
        assert not home.blob(first.sha256).exists(), "old checkpoints pile up"
        home.supervisor.give_back("task-1", Trigger.CLICK, LATER)  # which stores one more, and then none takes an older one's place
        home.until(m.GpuGivenBack)
        newest = [one.checkpoint for one in home.seen if isinstance(one, m.CheckpointStored)][-1]
        assert step_in(home.blob(newest.sha256)) == newest.step


def test_memory_is_read_back_before_the_owner_is_told(tmp_path: Path) -> None:
    looks = iter((8 << 30, 2 << 30, 2 << 30, 2 << 30))  # before the task; then the driver lets go, when it was asked three times
    with house(tmp_path, vram_free=lambda: next(looks, 8 << 30)) as home:
        home.begin(steps=1_000_000)
        back, stopped_ms = home.taken_back(Trigger.CLICK, LATER)
        record = back.record
        assert next(looks, None) is None
        assert record.vram_free_ms is not None
        assert record.vram_free_ms > record.stopped_ms + 3 * 4, "it was told before the memory was free"
        assert stopped_ms < 500


def test_memory_that_does_not_come_free_is_said(tmp_path: Path) -> None:
    free = [8 << 30]
    with house(tmp_path, vram_free=lambda: free[0]) as home:
        home.begin(steps=1_000_000)
        free[0] = 2 << 30
        home.supervisor.give_back("task-1", Trigger.CLICK, 200)
        assert home.until(m.GpuFaulted) == m.GpuFaulted(DEVICE.uuid, HELD)
        record = home.until(m.GpuGivenBack).record
        assert (record.held, record.vram_free_ms) == (True, None)


def test_memory_that_others_hold_is_not_waited_for(tmp_path: Path) -> None:
    """A game took it: it may be why the task had to go. That the driver lists our process no more is what counts."""
    free, looks, listed = [8 << 30], [0], threading.Event()

    def users() -> frozenset[int]:
        """Ours stays in the list for three looks after its end."""
        looks[0] += bool(listed.is_set() and pid and not Path(f"/proc/{pid}").exists())
        if pid:
            listed.set()
        return frozenset({4_000_000, pid} if pid and looks[0] <= 3 else {4_000_000})

    pid = 0
    with house(tmp_path, fake(), vram_free=lambda: free[0], vram_users=users) as home:
        pid = home.begin(steps=1_000_000)
        assert listed.wait(20), "nobody looked who uses the card"
        free[0] = 2 << 30
        home.supervisor.give_back("task-1", Trigger.FOREIGN_USE, 200)
        record = home.until(m.GpuGivenBack).record
        assert not record.held
        assert looks[0] == 4
        assert (record.vram_free_ms or 0) > record.stopped_ms + 3 * 4


def test_a_card_that_says_nothing_any_more_is_not_called_free(tmp_path: Path) -> None:
    free: list[int | None] = [8 << 30]
    with house(tmp_path, vram_free=lambda: free[0]) as home:
        home.begin(steps=1_000_000)
        free[0] = None
        home.supervisor.give_back("task-1", Trigger.GPU_LOST, 200)
        record = home.until(m.GpuGivenBack).record
        assert (record.held, record.vram_free_ms) == (False, None)


def test_the_wall_limit_holds(home: House) -> None:
    lease = home.lease(steps=1_000_000, limits=replace(LIMITS, wall_s=1))
    home.supervisor.start(lease, None)
    assert "longer" in home.until(m.WorkerFailed).detail


def test_a_forgotten_task_leaves_only_its_inputs(home: House) -> None:
    home.supervisor.start(home.lease(steps=50), None)
    home.until(m.WorkerFinished)
    assert len(list((home.root / "blobs").iterdir())) == 2
    home.supervisor.forget("task-1")
    names = [place.name for place in (home.root / "blobs").iterdir() if not place.name.startswith(".")]
    assert names == [home.put(b"some data")], "gone before the call returns, so that the task may come back at once"
    assert list((home.root / "tasks").iterdir()) == []


def test_a_running_task_is_forgotten_when_it_ends(home: House) -> None:
    home.begin(steps=1_000_000)
    home.supervisor.give_back("task-1", Trigger.QUIT, 200)
    home.supervisor.forget("task-1")
    home.until(m.GpuGivenBack)
    end = time.monotonic() + 20
    while list((home.root / "tasks").iterdir()) and time.monotonic() < end:
        time.sleep(0.01)
    assert [place.name for place in (home.root / "tasks").iterdir()] == []


def test_closing_ends_the_worker(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        pid = home.begin(steps=1_000_000)
    assert not Path(f"/proc/{pid}").exists()


def nice_of(pid: int) -> int:
    """As the kernel weighs it: the session's value where sessions are grouped, else the process' own."""
    group = Path(f"/proc/{pid}/autogroup")
    return int(group.read_text().split()[-1]) if group.exists() else os.getpriority(os.PRIO_PROCESS, pid)


def test_the_worker_stands_back_until_it_is_to_go(home: House) -> None:
    pid = home.begin("ignores_gate", steps=1_000_000)
    assert (nice_of(pid), os.getpriority(os.PRIO_PROCESS, pid)) in ((10, 19), (19, 19))
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "900\n"
    home.supervisor.give_back("task-1", Trigger.CLICK, LATER)
    end = time.monotonic() + 20
    while nice_of(pid) > 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert nice_of(pid) <= 0
