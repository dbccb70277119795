"""The owner's list of programs against real processes: names cut short, written otherwise, taken on later; and how little is read."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.presence import PresenceSensor, programs
from desktop_app.adapters.presence.programs import Programs, names_of, plain, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are read from /proc; elsewhere psutil tells them")

CALLS_ITSELF = "import sys, time; open('/proc/self/comm', 'w').write(sys.argv[1]); print(flush=True); time.sleep(60)"


@pytest.fixture
def look() -> Programs:
    """Takes the test's own children for the owner's programs."""
    return Programs(ours=0)


@contextmanager
def started(*command: str | Path, shown_as: str | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = [shown_as or str(command[0]), *map(str, command[1:])]
    with subprocess.Popen(arguments, executable=str(command[0])) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def calling_itself(name: str, shown_as: str) -> Iterator[None]:
    command = [shown_as, "-c", CALLS_ITSELF, name]
    with subprocess.Popen(command, executable=sys.executable, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def game(folder: Path, name: str) -> Path:
    shutil.copy("/bin/sleep", folder / name)
    return folder / name


def becomes(look: Programs, apps: tuple[str, ...], found: tuple[str, ...]) -> None:
    end = time.monotonic() + 10
    while (said := look.running(apps)) != found and time.monotonic() < end:
        time.sleep(0.02)
    assert said == found


def test_a_program_of_the_list_is_seen_when_it_starts_and_when_it_ends(look: Programs, tmp_path: Path) -> None:
    apps = ("Factorio", "My Game.exe", "steam-not-here")
    becomes(look, apps, ())
    with started(game(tmp_path, "my game"), "60"), started(game(tmp_path, "factorio.exe"), "60") as factorio:
        becomes(look, apps, ("Factorio", "My Game.exe"))
        factorio.kill()
        becomes(look, apps, ("My Game.exe",))
    becomes(look, apps, ())


def test_one_that_ended_and_waits_to_be_fetched_does_not_run(look: Programs, tmp_path: Path) -> None:
    with started(game(tmp_path, "zgame"), "60") as process:
        becomes(look, ("zgame",), ("zgame",))
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert look.running(("zgame",)) == ()


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("EldenRing", "eldenring.exe"),
        ("  eldenring.EXE ", "EldenRing"),
        (r"C:\Games\Elden Ring.exe", "elden ring"),
        ("/usr/games/0ad", "0ad"),
        ("a-name-far-longer-than-the-kernel-keeps", "a-name-far-longer-than-the-kernel-keeps"),
    ],
)
def test_a_name_is_found_however_it_is_written(look: Programs, tmp_path: Path, written: str, file: str) -> None:
    with started(game(tmp_path, file), "60"):
        becomes(look, (written,), (written,))


def test_a_program_in_wine_is_found_though_its_file_is_another(look: Programs) -> None:
    with calling_itself("EldenRing.exe", r"Z:\games\EldenRing.exe"):
        becomes(look, ("eldenring",), ("eldenring",))
    with calling_itself("EldenRingNightr", r"Z:\games\EldenRingNightreign.exe"):
        becomes(look, ("EldenRingNightreign",), ("EldenRingNightreign",))


def test_a_launcher_that_becomes_the_game_is_seen(look: Programs, tmp_path: Path) -> None:
    becomes(look, ("latergame",), ())
    command = ["/bin/sh", "-c", f"read told; exec {game(tmp_path, 'latergame')} 60"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as launcher:
        assert launcher.stdin is not None
        try:
            assert look.running(("latergame",)) == ()
            launcher.stdin.write(b"now\n")
            launcher.stdin.flush()
            becomes(look, ("latergame",), ("latergame",))
        finally:
            launcher.kill()


def test_our_own_processes_are_never_the_owners(tmp_path: Path) -> None:
    with started(game(tmp_path, "ourgame"), "60") as process:
        becomes(Programs(ours=0), ("ourgame",), ("ourgame",))
        assert Programs(ours=os.getpid()).running(("ourgame",)) == ()
        assert names_of([process.pid], ours=0) == ("ourgame",)
        assert names_of([process.pid], ours=os.getpid()) == ()
    with closing(PresenceSensor({})) as sensor:
        assert sensor.sense(("ourgame",)).apps == ()


def test_an_empty_list_looks_at_nobody(look: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_start_of", lambda path, most: pytest.fail(f"{path} was read"))
    assert look.running(()) == ()
    assert look.running(("", "  ", ".exe")) == ()


def test_names_are_read_once_and_the_rest_in_turn(look: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what ran already: a sixteenth of the names at each look, and no command line at all. What others start now does not count."""
    pids = psutil.pids()
    monkeypatch.setattr(psutil, "pids", lambda: pids)
    for _ in range(30):
        look.running(("nothing",))
    read: list[str] = []
    real = programs._start_of

    def counted(path: str, most: int) -> str:
        read.append(path)
        return real(path, most)

    monkeypatch.setattr(programs, "_start_of", counted)
    looks = 16
    for _ in range(looks):
        look.running(("nothing",))
    assert 0 < len(read) < len(pids) * 4, f"{len(read)} reads in {looks} looks at {len(pids)} processes"
    assert sum(path.endswith("cmdline") for path in read) < len(pids)


def test_a_look_at_many_new_names_takes_its_time_in_parts(look: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def slow(path: str, most: int) -> str:
        time.sleep(0.005)
        read.append(path)
        return "slow"

    here = [*psutil.pids(), *range(2**22 + 1, 2**22 + 61)]
    monkeypatch.setattr(psutil, "pids", lambda: here)
    monkeypatch.setattr(programs, "_start_of", slow)
    look.running(("nothing",))
    assert 0 < len(read) * 0.005 < 0.1
    becomes(look, ("slow",), ("slow",))


def test_a_process_that_runs_is_found_by_name(tmp_path: Path) -> None:
    assert not runs("some-server")
    with started(game(tmp_path, "some-server"), "60"):
        end = time.monotonic() + 10
        while not runs("some-server"):
            assert time.monotonic() < end


@pytest.mark.parametrize(
    ("name", "as_compared"),
    [("Steam", "steam"), ("C:\\a\\B.EXE", "b"), ("/usr/bin/x", "x"), ("", ""), ("exe", "exe"), ("a.exe.exe", "a.exe"), ("Ä.exe\n", "ä")],
)
def test_names_are_compared_without_folder_case_and_exe(name: str, as_compared: str) -> None:
    assert plain(name) == as_compared
