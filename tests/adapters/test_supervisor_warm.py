"""The worker that waits: it has no task, no file and no device; a task gets it at once, once, and within the task's own bounds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.supervisor.hosted import HostedWorker
from desktop_app.adapters.supervisor.shelf import Shelf
from desktop_app.adapters.supervisor.stale import Stale
from desktop_app.core import messages as m
from desktop_app.core.state import Trigger
from desktop_app.core.task import Checkpoint
from tests.adapters.ordinary_user import as_user
from tests.adapters.supervisor_house import LIMITS, House, fake, house
from tests.leaks import family

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

ROOMY = replace(LIMITS, disk_mb=64)  # as much as a worker is started with that waits


def waiting(home: House) -> list[psutil.Process]:
    """The processes of the worker that waits, once its program runs."""
    end = time.monotonic() + 20
    note = home.root / "tasks/.warm/worker.json"
    while time.monotonic() < end:
        found = family(psutil.Process())
        if note.exists() and len(json.loads(note.read_text())) == 2 and len(found) == 3:
            return found
        time.sleep(0.02)
    raise AssertionError(f"no worker waits: {family(psutil.Process())}")


def program(processes: list[psutil.Process]) -> int:
    """The worker itself: the one that nobody else is a child of."""
    parents = {one.ppid() for one in processes}
    return next(one.pid for one in processes if one.pid not in parents)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_task_gets_the_worker_that_waits_and_nobody_gets_it_twice(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        home.supervisor.warm()
        kept = program(waiting(home))
        home.supervisor.start(home.lease(limits=ROOMY, steps=20), None)
        assert home.until(m.WorkerStarted).pid == kept
        home.until(m.WorkerFinished)
        home.supervisor.start(home.lease(limits=ROOMY, steps=20, task_id="task-2"), None)
        assert home.until(m.WorkerStarted).pid != kept
        home.until(m.WorkerFinished)
        assert not list((tmp_path / "blobs").glob(".shelf-*"))


def test_it_reads_its_inputs_and_its_checkpoint(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        kept = program(waiting(home))
        sha256 = home.put(b"a state of step five")
        home.supervisor.start(home.lease("reads", limits=ROOMY), Checkpoint(5, sha256, 20))
        assert home.until(m.WorkerStarted).pid == kept
        (answer,) = home.until(m.WorkerFinished).result
        seen = json.loads(home.blob(answer.sha256).read_text())
        assert seen == {"checkpoint": "a state of step five", "data": "some data", "first": 5}


def test_what_it_is_given_it_cannot_change_and_nothing_else_is_there(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        waiting(home)
        home.put(b"another task's")
        home.supervisor.start(home.lease("meddles", limits=ROOMY), None)
        (answer,) = home.until(m.WorkerFinished).result
        seen = json.loads(home.blob(answer.sha256).read_text())
        assert seen["there"] == ["data"]
        assert seen["done"] == []
        assert len(seen["refused"]) == 9
        assert home.blob(home.put(b"some data")).read_bytes() == b"some data"


_USERS = """
import os, sys, tempfile
from pathlib import Path
from tests.adapters import test_supervisor_warm as t
assert os.geteuid() != 0
with tempfile.TemporaryDirectory() as folder:
    for name in ("what_it_is_given_it_cannot_change_and_nothing_else_is_there", "private_memory_is_bounded_too"):
        Path(folder, name).mkdir()
        getattr(t, "test_" + name)(Path(folder, name))
print("held")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; elsewhere every other test is an ordinary user's")
def test_all_that_holds_for_an_ordinary_user_whose_own_number_the_worker_has(tmp_path: Path) -> None:
    done = as_user(_USERS, tmp_path)
    assert done.stdout.strip() == "held", done.stderr[-3000:]


def test_the_tasks_own_bound_on_memory_holds(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        kept = program(waiting(home))
        home.supervisor.start(home.lease("takes_memory", limits=ROOMY), None)
        assert home.until(m.WorkerStarted).pid == kept
        assert "memory" in home.until(m.WorkerFailed).detail


def test_the_kernel_keeps_that_bound_where_it_keeps_one(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        pid = program(waiting(home))
        before = group_bytes(pid)
        home.supervisor.start(home.lease("silent", limits=ROOMY), None)
        home.until(m.WorkerStarted)
        assert before is None or before > 1 << 30
        assert group_bytes(pid) == (None if before is None else ROOMY.ram_mb << 20)
        home.supervisor.give_back("task-1", Trigger.CLICK, 0)
        home.until(m.GpuGivenBack)


def group_bytes(pid: int) -> int | None:
    """What the control group of a process may hold; None where it is in none of its own."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, place = line.split(":", 2)
        folder = Path("/sys/fs/cgroup") / ("memory" if "memory" in names.split(",") else "") / place.lstrip("/")
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (folder / name).exists() and folder.name.startswith(("sublet-", "run-")):
                return int((folder / name).read_text())
    return None


def test_private_memory_is_bounded_too(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        waiting(home)
        home.supervisor.start(home.lease("tells_limits", limits=ROOMY), None)
        (answer,) = home.until(m.WorkerFinished).result
        assert json.loads(home.blob(answer.sha256).read_text()) == {"data_mb": 256 + 16}


@pytest.mark.parametrize("limits", [replace(ROOMY, disk_mb=16), replace(ROOMY, ram_mb=1 << 24)])
def test_a_task_that_may_have_less_than_it_was_started_with_starts_anew(tmp_path: Path, limits: object) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        there = waiting(home)
        kept = program(there)
        home.supervisor.start(home.lease(limits=limits, steps=5), None)  # type: ignore[arg-type]
        assert home.until(m.WorkerStarted).pid != kept
        home.until(m.WorkerFinished)
        assert gone(there)


def test_where_a_second_name_cannot_be_given_the_task_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no links here")

    with house(tmp_path) as home:
        home.supervisor.warm()
        there = waiting(home)
        kept = program(there)
        monkeypatch.setattr(os, "link", refused)
        home.supervisor.start(home.lease(limits=ROOMY, steps=5), None)
        assert home.until(m.WorkerStarted).pid != kept
        home.until(m.WorkerFinished)
        assert gone(there)


@pytest.mark.parametrize("way", ["cool", "give_back", "close"])
def test_it_goes_when_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    returned, in_order, end = threading.Event(), [], HostedWorker.end

    def after_the_call(worker: HostedWorker) -> bool:
        """Its end, held up until whoever asked for it has gone on."""
        in_order.append(returned.wait(20))
        return end(worker)

    with house(tmp_path) as home:
        home.supervisor.warm()
        there = waiting(home)
        if way == "close":
            home.supervisor.close()
            assert not any(one.is_running() for one in there)
        else:
            monkeypatch.setattr(HostedWorker, "end", after_the_call)
            if way == "cool":
                home.supervisor.cool()
            else:
                home.supervisor.give_back("task-1", Trigger.CLICK, 200)
            returned.set()
            assert gone(there)
            assert in_order == [True], "the call waited for the worker's end"
    assert not [one for one in home.quiet(0) if isinstance(one, m.WorkerCooled)]
    assert not list(tmp_path.glob("*/.shelf-*"))
    assert not list((tmp_path / "tasks").iterdir())


def test_a_worker_that_is_let_go_while_it_starts_goes(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        for _ in range(5):
            home.supervisor.warm()
            home.supervisor.cool()
        home.supervisor.warm()
        home.supervisor.start(home.lease(limits=ROOMY, steps=5), None)  # overtakes the start
        home.until(m.WorkerFinished)
        assert home.quiet(0.2) == []


def test_that_it_ended_by_itself_is_said_and_the_task_starts_all_the_same(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        os.kill(program(waiting(home)), signal.SIGKILL)
        assert "by itself" in home.until(m.WorkerCooled).detail
        home.supervisor.start(home.lease(limits=ROOMY, steps=5), None)
        home.until(m.WorkerFinished)


def test_one_that_cannot_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with house(tmp_path) as home:
        shutil.rmtree(tmp_path / "blobs")
        home.supervisor.warm()
        assert "could not be started" in home.until(m.WorkerCooled).detail
        (tmp_path / "blobs").mkdir()


def test_it_stands_behind_everything_of_the_owners(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.warm()
        for one in waiting(home):
            assert one.nice() == 19
            assert one.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
            assert Path(f"/proc/{one.pid}/oom_score_adj").read_text().strip() == "900"


def test_the_real_one_has_torch_and_no_device_and_waits_without_working(tmp_path: Path) -> None:
    with house(tmp_path, fake(script=None)) as home:
        home.supervisor.warm()
        pid = program(waiting(home))
        end = time.monotonic() + 120  # at the lowest priority, on a busy machine
        while "libtorch_cpu" not in Path(f"/proc/{pid}/maps").read_text() and time.monotonic() < end:
            time.sleep(0.2)
        used, before = spent(pid), -1.0
        while (before < 0 or used - before > 0.02 or used < 0.5) and time.monotonic() < end:
            time.sleep(1)
            before, used = used, spent(pid)
        assert used - before <= 0.02
        assert "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()
        assert not [place for place in opened(pid) if "nvidia" in place or "dri" in place]


def spent(pid: int) -> float:
    """Processor time, in seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def opened(pid: int) -> list[str]:
    return [str(place.readlink()) for place in Path(f"/proc/{pid}/fd").iterdir()]


_AGENT = """
import sys, time
from pathlib import Path
from tests.adapters.supervisor_house import house
from tests.adapters.test_supervisor_warm import waiting
with house(Path(sys.argv[1])) as home:
    home.supervisor.warm()
    waiting(home)
    print("waiting", flush=True)
    time.sleep(60)
"""


def test_a_killed_agent_leaves_none_and_the_next_one_clears_up(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", _AGENT, str(tmp_path)), stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"waiting\n"
        there = family(psutil.Process(agent.pid))
        agent.kill()
        agent.wait()
    assert len(there) == 3
    assert gone(there)
    assert list(tmp_path.glob("blobs/.shelf-*"))
    with house(tmp_path):
        assert not list(tmp_path.glob("blobs/.shelf-*"))
        assert not list((tmp_path / "tasks").iterdir())


def test_one_that_a_dead_agent_left_all_the_same_is_ended(tmp_path: Path) -> None:
    with subprocess.Popen(("sleep", "60")) as left:
        Stale(tmp_path).note(".warm", left.pid)
        assert Stale(tmp_path).sweep() == 1
        assert left.wait(3) == -signal.SIGKILL


def test_a_shelf_takes_plain_names_only(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    shelf = Shelf(tmp_path)
    for name in ("../out", "a/b", "..", "/etc/x"):
        with pytest.raises(OSError, match="no name for a file"):
            shelf.put(name, tmp_path / "blob")
    shelf.put("data", tmp_path / "blob")
    shelf.clear()
    assert [place.name for place in tmp_path.iterdir()] == ["blob"]

