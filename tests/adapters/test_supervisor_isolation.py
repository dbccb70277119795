"""The walls themselves: the self-test holds here, as root and as an ordinary user, and turns red when a wall is missing."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.adapters.supervisor import cage, sandbox, selftest, walls
from desktop_app.adapters.supervisor.hosted import HostedWorker, Order
from desktop_app.adapters.supervisor.limits import Enclosure
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.adapters.supervisor.once import run_sandboxed
from desktop_app.adapters.supervisor.sandbox import Bounds, Sandbox
from desktop_app.core import messages as m
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Device, DeviceKind
from desktop_app.core.state import Level
from tests.adapters.ordinary_user import as_user
from tests.adapters.supervisor_house import house
from tests.hostile import inside
from tests.standstill import standstill

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

WORD = Path(__file__).with_name("one_word.py")


def failed(tested: selftest.Tested) -> set[str]:
    return {check.name for check in tested.checks if not check.held}


def test_every_wall_holds_and_the_test_is_quick() -> None:
    with standstill() as lost_ms:
        begun = time.monotonic()
        tested = selftest.run(lambda work: work())
        took = time.monotonic() - begun - lost_ms() / 1000
    assert failed(tested) == set()
    assert (tested.level, tested.fix) == (Level.ISOLATED, "")
    assert {check.name for check in tested.checks} == selftest.EXPECTED
    assert took < 5


def test_the_supervisor_says_what_the_test_found(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.supervisor.self_test()
        assert home.until(m.SandboxTested).level is Level.ISOLATED
        assert home.until(m.RuntimeFound, 130).present


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; elsewhere every other test is an ordinary user's")
def test_every_wall_holds_for_an_ordinary_user(tmp_path: Path) -> None:
    code = "from desktop_app.adapters.supervisor import selftest as s; t = s.run(lambda w: w()); "
    code += "print(t.level, [c for c in t.checks if not c.held], t.fix)"
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    done = as_user(code, home)
    assert done.stdout.strip() == "isolated []", done.stderr[-2000:]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Flags to leave out of every bwrap command."""
    missing: list[str] = []
    real = sandbox._namespaces

    def fewer(seccomp: int, info: int) -> list[str]:
        words = real(seccomp, info)
        for flag in missing:
            at = words.index(flag)
            del words[at : at + (2 if flag == "--seccomp" else 1)]
        return words

    monkeypatch.setattr(sandbox, "_namespaces", fewer)
    yield missing


@pytest.mark.parametrize(
    ("flag", "wall"),
    [("--unshare-net", "no_network"), ("--unshare-pid", "no_other_processes"), ("--seccomp", "no_privileges"), ("--seccomp", "no_ptrace")],
)
def test_a_missing_wall_turns_the_test_red(without: list[str], flag: str, wall: str) -> None:
    without.append(flag)
    tested = selftest.run(lambda work: work())
    assert tested.level is Level.NONE
    assert wall in failed(tested)
    assert wall in tested.fix


def test_an_open_home_turns_the_test_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/usr/share")  # a home that shows inside
    assert "no_home" in failed(selftest.run(lambda work: work()))


def test_missing_bounds_turn_the_test_red(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cage._spec

    def boundless(*words: object) -> bytes:
        spec = json.loads(real(*words))  # type: ignore[arg-type]
        spec["rlimits"] = {}
        return json.dumps(spec).encode()

    monkeypatch.setattr(cage, "_spec", boundless)
    assert {"small_files", "bounded_private_memory"} <= failed(selftest.run(lambda work: work()))


def test_a_bound_on_memory_that_does_not_bite_turns_the_test_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope or a group that was made and does nothing, and a watchdog that does not look."""
    monkeypatch.setattr(cage, "enclose", lambda ram_mb, processes: Enclosure())
    monkeypatch.setattr(cage.Cage, "memory_bytes", lambda self: 0)
    assert failed(selftest.run(lambda work: work())) == {"bounded_memory"}


@pytest.mark.parametrize("program", ["shared_memory", "unmapped_memory"])
def test_where_the_kernel_keeps_no_bound_the_watchdog_sees_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    monkeypatch.setattr(cage, "enclose", lambda ram_mb, processes: Enclosure())
    outcome = next(one for one in inside.ATTACKS if one.name == f"alone_{program}").run(tmp_path)
    assert outcome.held, outcome.seen


def test_a_bound_on_processes_that_does_not_bite_turns_the_test_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cage, "enclose", lambda ram_mb, processes: Enclosure())
    monkeypatch.setattr(sandbox, "_PROLOGUE", sandbox._PROLOGUE.replace("resource.setrlimit(resource.RLIMIT_NPROC", "(lambda *_: None)(0"))
    assert "few_processes" in failed(selftest.run(lambda work: work()))


def test_a_sandbox_that_does_not_start_is_none_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_SYSTEM_LINKS", ("no-such-thing",))  # no dynamic linker inside
    tested = selftest.run(lambda work: work())
    assert tested.level is Level.NONE
    assert [check.name for check in tested.checks] == ["sandbox_starts"]
    assert tested.fix


def test_each_task_is_preceded_by_a_trial_of_its_own_walls(tmp_path: Path, without: list[str]) -> None:
    """The self-test held; the sandbox of the task does not: the task is not begun, and it is nobody's fault."""
    with house(tmp_path) as home:
        without.append("--unshare-net")
        home.supervisor.start(home.lease("honest", steps=5), None)
        tested = home.until(m.SandboxTested)
        assert tested.level is Level.NONE
        assert [check.name for check in tested.checks] == ["no_network", "no_abstract_socket", "own_namespaces", "nothing_heard"]
        assert "no_network" in tested.fix
        assert "no_network" in home.until(m.TroubleArose).detail
        refused = home.until(m.WorkerFailed)
        assert refused.blameless
        without.clear()
        home.supervisor.start(home.lease("honest", task_id="task-2", steps=5), None)
        assert home.until(m.WorkerFinished).task_id == "task-2"


def test_the_renters_and_the_pools_own_runs_are_tried_too(tmp_path: Path, without: list[str]) -> None:
    without.append("--unshare-net")
    with pytest.raises(AppError, match="does not hold"):
        run_sandboxed("bench/1", {}, {}, 1, tmp_path / "work", 30)


@pytest.mark.parametrize(
    ("flag", "wall"),
    [("--unshare-pid", "no_other_processes"), ("--seccomp", "no_privileges"), ("--unshare-ipc", "own_namespaces")],
)
def test_a_missing_wall_is_seen_before_the_task(without: list[str], flag: str, wall: str) -> None:
    without.append(flag)
    assert wall in fallen_walls()


def test_a_worker_whose_walls_hold_has_nothing_to_tell() -> None:
    assert fallen_walls() == set()


def test_what_is_left_open_or_not_bounded_is_seen_before_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cage._spec

    def boundless(*words: object) -> bytes:
        spec = json.loads(real(*words))  # type: ignore[arg-type]
        del spec["rlimits"]["RLIMIT_FSIZE"]
        return json.dumps(spec).encode()

    monkeypatch.setattr(cage, "_spec", boundless)
    with Path("/dev/null").open() as stray:
        assert fallen_walls((stray.fileno(),)) == {"bounded", "no_descriptors"}


def test_a_probe_that_says_nothing_is_a_wall_that_fell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRY_THE_WALLS", "")
    assert fallen_walls() == walls.QUICK - {"nothing_heard"}


def test_a_listener_that_was_reached_is_a_wall_that_fell() -> None:
    bait = walls.Bait(Bounds())
    spec = bait.spec()
    with socket.create_connection((spec["host"], spec["tcp"])):  # type: ignore[arg-type]
        end = time.monotonic() + 20
        while bait.silence().held and time.monotonic() < end:  # a busy kernel has us connected a moment before the listener knows
            time.sleep(0.01)
        assert not bait.silence().held
    bait.close()


def test_a_worker_that_waits_has_been_judged_and_its_bait_is_gone(tmp_path: Path) -> None:
    worker = HostedWorker(Order("", {}, {}, 0, bounds=Bounds(threads=1), script=WORD), WorkerLog(tmp_path / "log"))
    try:
        trial, end = worker._walls, time.monotonic() + 20
        assert trial is not None
        while not trial.judged and time.monotonic() < end:
            assert not worker.ended_while_waiting(1)
        assert {listener.fileno() for listener in trial._bait._listeners} == {-1}, "somebody may still visit them"
        assert worker.fallen() == ()
    finally:
        worker.end()
        worker.close()


def fallen_walls(stray: tuple[int, ...] = ()) -> set[str]:
    """What the trial before a task finds in a sandbox whose program then says one word."""
    trial = walls.Walls(Bounds(threads=1), None, ())
    made = cage.spawn(Sandbox((), Bounds(threads=1), script=WORD, descriptors=(*trial.words, *stray), probe=trial.words))
    trial.started()
    try:
        assert select.select([made.log], [], [], 20)[0]
        assert os.read(made.log, 100).startswith(b"a word")
        return {check.name for check in trial.fallen()}
    finally:
        made.end()
        trial.close()


def test_the_nodes_of_one_card_and_of_no_other() -> None:
    card = Device(DeviceKind.NVIDIA, "GPU-1", "RTX", 24_000, 350, index=1)
    made = sandbox.plan(Sandbox((), device=card), Path("/usr/bin/bwrap"), 9, 10, dropping=False)
    bound = [made.arguments[at + 1] for at, word in enumerate(made.arguments) if word == "--dev-bind"]
    assert [node for node in bound if node != "/dev/null"] == ["/dev/nvidiactl", "/dev/nvidia1", "/dev/nvidia-uvm"]
    at = made.arguments.index("CUDA_VISIBLE_DEVICES")
    assert made.arguments[at + 1] == "GPU-1"
    assert made.arguments.index("--dev") < made.arguments.index("/dev/nvidiactl")


def test_with_a_card_the_list_of_devices_tells_nothing_of_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver reads the list; the addresses of network cards and the numbers of disks in it are covered."""
    outside = subprocess.run((sys.executable, str(inside.ALONE), "identify", "0"), capture_output=True, text=True, check=True, timeout=20)
    assert outside.stdout.startswith("found")
    monkeypatch.setattr(sandbox, "nodes_of", lambda device: ())  # there is no card here
    card = Device(DeviceKind.NVIDIA, "GPU-1", "RTX", 24_000, 350)
    made = cage.spawn(Sandbox(("identify", "0"), Bounds(), device=card, script=inside.ALONE))
    try:
        assert select.select([made.outer_fd], [], [], 20)[0]
        assert os.read(made.log, 1000) == b"nothing\n"
    finally:
        made.end()


def test_the_self_test_is_made_with_the_card_of_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "nodes_of", lambda device: ())
    monkeypatch.setattr(walls, "nodes_of", lambda device: ())
    tested = selftest.run(lambda work: work(), Device(DeviceKind.NVIDIA, "GPU-1", "RTX", 24_000, 350))
    assert failed(tested) == set()


def test_the_environment_inside_is_the_one_that_is_checked() -> None:
    made = sandbox.plan(Sandbox(()), Path("/usr/bin/bwrap"), 9, 10, dropping=False)
    names = {made.arguments[at + 1] for at, word in enumerate(made.arguments) if word == "--setenv"}
    assert names <= sandbox.VARIABLES


def test_memory_is_never_bounded_by_address_space() -> None:
    """CUDA reserves terabytes of it."""
    made = cage._spec(Sandbox(()), sandbox.plan(Sandbox(()), Path("/usr/bin/bwrap"), 9, 10, dropping=False), Enclosure(), False)
    assert b"RLIMIT_AS" not in made
