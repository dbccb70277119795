"""The check that nothing outlives a test finds a child, an orphan, a thread and an open file, and says which."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests import leaks
from tests.leaks import Leak, leak_check

_SLEEP = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "LOOKS", 4)


def _marker() -> str:
    return os.environ["SUBLET_TEST_RUN"]


def test_a_child_is_found_and_ended() -> None:
    with pytest.raises(Leak, match=r"process left behind: .*sleep"), leak_check(_marker()):
        child = subprocess.Popen([sys.executable, "-c", _SLEEP])
    assert child.wait(5) == -signal.SIGKILL


def test_an_orphan_is_found_and_ended() -> None:
    spawn = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {_SLEEP!r}], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "print(child.pid)"
    )
    with pytest.raises(Leak, match=r"process left behind: .*sleep"), leak_check(_marker()):
        orphan = int(subprocess.run([sys.executable, "-c", spawn], stdout=subprocess.PIPE, check=True, timeout=20).stdout)
    end = time.monotonic() + 5
    while psutil.pid_exists(orphan) and psutil.Process(orphan).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_a_resident_starts_is_its_own_business() -> None:
    spawn = f"import subprocess, sys; sys.stdin.read(1); subprocess.run([sys.executable, '-c', {_SLEEP!r}])"
    with subprocess.Popen([sys.executable, "-c", spawn], stdin=subprocess.PIPE) as resident:
        assert resident.stdin is not None
        with leak_check(_marker()):
            resident.stdin.write(b"x")
            resident.stdin.flush()
            while not psutil.Process(resident.pid).children():
                time.sleep(0.02)
        for child in psutil.Process(resident.pid).children():
            child.kill()


def test_a_thread_is_found() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="lingerer")
    with pytest.raises(Leak, match="thread left behind: lingerer"), leak_check(_marker()):
        thread.start()
    over.set()
    thread.join()


def test_an_open_file_is_found(tmp_path: Path) -> None:
    with pytest.raises(Leak, match=r"file left behind: .*kept\.txt"), leak_check(_marker()):
        number = os.open(tmp_path / "kept.txt", os.O_CREAT | os.O_WRONLY)
    os.close(number)


def test_what_ends_in_time_is_no_leak(tmp_path: Path) -> None:
    with leak_check(_marker()):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        thread = threading.Thread(target=time.sleep, args=(0.05,))
        thread.start()
        (tmp_path / "closed.txt").write_text("closed")


def test_what_ends_while_the_machine_stands_still_is_no_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    look_again = leaks._left

    def stand_still(before: dict[str, set[str]], marker: str, residents: set[int]) -> list[str]:
        left = look_again(before, marker, residents)
        time.sleep(0.5)
        over.set()
        thread.join()
        return left

    monkeypatch.setattr(leaks, "_left", stand_still)
    with leak_check(_marker()):
        thread.start()


def test_who_is_seen_while_it_becomes_another_program_is_no_stranger_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel shows no environment then; and an orphan is known by nothing else."""
    spawn = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {_SLEEP!r}], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "print(child.pid)"
    )
    seen: set[int] = set()
    look_at = psutil.Process.environ

    def late(process: psutil.Process) -> dict[str, str]:
        told = look_at(process) if process.pid in seen else {}
        seen.add(process.pid)
        return told

    monkeypatch.setattr(psutil.Process, "environ", late)
    with pytest.raises(Leak, match=r"process left behind: .*sleep"), leak_check(_marker()):
        subprocess.run([sys.executable, "-c", spawn], stdout=subprocess.DEVNULL, check=True, timeout=20)


def test_home_screen_and_keyring_of_the_person_are_out_of_reach(sublet_home: Path) -> None:
    assert Path.home().name == "home"
    assert Path.home().parent.name == os.environ["SUBLET_TEST_RUN"]
    assert os.environ["SUBLET_HOME"] == str(sublet_home)
    assert "DISPLAY" not in os.environ
