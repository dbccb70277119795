"""The bootstrap: what it asks of the system, that a second start asks nothing of pip, and that what it says can be followed."""

import ast
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "installers" / "dev.py"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at home in an empty folder with a space in its name."""
    spec = importlib.util.spec_from_file_location("dev_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "a clone"
    scripts = root / ".venv" / "bin"
    for name, place in {
        "ROOT": root, "VENV": root / ".venv", "SCRIPTS": scripts, "PYTHON": scripts / "python",
        "STAMP": root / ".venv" / "stamp.json", "LOG": root / ".venv" / "setup.log",
    }.items():
        monkeypatch.setattr(module, name, place)
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'sublet'\n")
    return module


@pytest.fixture
def asked(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Every command that would have been run; making `.venv` makes a Python in it."""
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            dev.SCRIPTS.mkdir(parents=True)
            dev.PYTHON.symlink_to(sys.executable)
        return subprocess.CompletedProcess(command, 0, sys.version, "")

    monkeypatch.setattr(dev, "subprocess", _Stub(run))
    monkeypatch.setattr(dev, "logged", lambda command, *_: commands.append(command))
    return commands


class _Stub:
    """Stands in for the subprocess module."""

    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, run: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
        self.run = run


def test_the_engine_is_installed_first_and_plainly(dev: ModuleType, asked: list[list[str]]) -> None:
    dev.install_python(("runtime",))
    installs = [command[command.index("--no-input") + 1 :] for command in asked if "install" in command]
    assert installs == [["torch==2.13.0"], ["--editable", f"{dev.ROOT}[runtime]"]]


def test_a_second_start_asks_nothing_of_pip(dev: ModuleType, asked: list[list[str]]) -> None:
    dev.install_python(("dev", "runtime"))
    asked.clear()
    dev.install_python(("dev", "runtime"))
    dev.install_python(("runtime",))
    assert asked == []


@pytest.mark.parametrize("change", ["pyproject", "stamp", "python"])
def test_a_change_asks_pip_again(dev: ModuleType, asked: list[list[str]], change: str) -> None:
    dev.install_python(("runtime",))
    asked.clear()
    if change == "pyproject":
        (dev.ROOT / "pyproject.toml").write_text("[project]\nname = 'sublet'\nversion = '2'\n")
    elif change == "stamp":
        dev.STAMP.write_text("{")
    else:
        dev.PYTHON.unlink()
        dev.SCRIPTS.rmdir()
    dev.install_python(("runtime",))
    assert [command for command in asked if "--editable" in command]


def test_testing_after_running_adds_and_takes_nothing_away(dev: ModuleType, asked: list[list[str]]) -> None:
    dev.install_python(("dev", "runtime"))
    (dev.ROOT / "pyproject.toml").write_text("changed")
    dev.install_python(("runtime",))
    asked.clear()
    dev.install_python(("dev", "runtime"))
    assert asked[-1][-1] == f"{dev.ROOT}[dev,runtime]"


def test_an_unfinished_setup_is_done_again(dev: ModuleType, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(command: list[str], *_: object) -> None:
        raise dev.Trouble("no network")

    with monkeypatch.context() as broken:
        broken.setattr(dev, "logged", no_network)
        with pytest.raises(dev.Trouble):
            dev.install_python(("runtime",))
    asked.clear()
    dev.install_python(("runtime",))
    assert [command for command in asked if "--editable" in command]


def test_a_failing_install_shows_its_last_words_and_what_to_do(dev: ModuleType) -> None:
    with pytest.raises(dev.Trouble, match=r"(?s)no such thing.*try again:\n  again please"):
        dev.logged([sys.executable, "-c", "print('no such thing'); raise SystemExit(1)"], {}, "again please")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux needs packages")
def test_what_is_missing_is_named_by_package(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "loads", lambda library: library != "libxcb-cursor.so.0")
    monkeypatch.setattr(dev.shutil, "which", lambda command: None if command == "trayer" else f"/usr/bin/{command}")
    monkeypatch.setattr(dev, "FONTS", SCRIPT.parent)
    assert dev.needed(screen=True, tests=True) == ["libxcb-cursor0", "trayer"]
    assert dev.needed(screen=True, tests=False) == ["libxcb-cursor0"]
    assert dev.needed(screen=False, tests=False) == []
    monkeypatch.setattr(dev, "FONTS", dev.ROOT / "no fonts")
    assert dev.needed(screen=True, tests=False) == ["libxcb-cursor0", "fonts-dejavu-core"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux needs packages")
def test_looking_for_libraries_is_quick(dev: ModuleType) -> None:
    started = time.perf_counter()
    dev.needed(screen=True, tests=True)
    assert time.perf_counter() - started < 1


def test_without_the_right_to_install_the_exact_command_is_said(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "right_to_install", lambda: None)
    monkeypatch.setattr(dev.shutil, "which", lambda command: f"/usr/bin/{command}")
    with pytest.raises(dev.Trouble, match=r"sudo apt-get install -y --no-install-recommends libxcb-cursor0 trayer$"):
        dev.install_system(["libxcb-cursor0", "trayer"])
    monkeypatch.setattr(dev.shutil, "which", lambda command: None)
    with pytest.raises(dev.Trouble, match="what your system calls: trayer"):
        dev.install_system(["trayer"])


def test_trouble_is_said_and_is_a_failure(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def trouble(_packages: list[str]) -> None:
        raise dev.Trouble("Do this first.")

    monkeypatch.setattr(dev, "install_system", trouble)
    assert dev.main(["setup"]) == 1
    assert capsys.readouterr().err == "Do this first.\n"


def test_an_older_python_is_told_what_to_do() -> None:
    source = SCRIPT.read_text()
    ast.parse(source, feature_version=(3, 8))
    script = f"import sys; sys.version_info = (3, 9, 18); exec(compile({source!r}, 'dev.py', 'exec'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13, and this is 3.9." in done.stderr


def test_every_check_is_run_and_the_first_failure_is_the_status(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = {"mypy": 2, "pytest": 3}
    ran: list[list[str]] = []

    def finished(command: list[str]) -> int:
        ran.append(command)
        return next((status for word, status in statuses.items() if word in command), 0)

    monkeypatch.setattr(dev, "finished", finished)
    assert dev.test() == 2
    assert len(ran) == 5
    assert capsys.readouterr().out.endswith("Not good yet: types, core, tests.\n")
    statuses.clear()
    assert dev.test() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_the_interrupt_key_waits_for_the_child_to_clean_up(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    child = f"""
import time, pathlib
try:
    print("ready", flush=True); time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.6); pathlib.Path({str(cleaned)!r}).touch()
"""
    script = f"""
import runpy, sys
dev = runpy.run_path({str(SCRIPT)!r})
try:
    dev["finished"]([sys.executable, "-c", {child!r}])
except KeyboardInterrupt:
    sys.exit(130)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    assert cleaned.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize(("presses", "waited_for"), [(1, True), (2, False)])
def test_the_interrupt_key_waits_also_for_a_child_that_is_just_being_started(tmp_path: Path, presses: int, waited_for: bool) -> None:
    ended = tmp_path / "ended"
    child = f"import sys, pathlib; sys.stdin.read(); pathlib.Path({str(ended)!r}).touch()"
    script = f"""
import os, runpy, signal, subprocess, sys, threading
class Pressed(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options, stdin=subprocess.PIPE)
        if {waited_for}:
            threading.Timer(0.6, self.stdin.close).start()
        for _ in range({presses}):
            os.kill(os.getpid(), signal.SIGINT)
dev = runpy.run_path({str(SCRIPT)!r})
subprocess.Popen = Pressed
try:
    dev["finished"]([sys.executable, "-c", {child!r}])
except KeyboardInterrupt:
    print({str(ended)!r} if os.path.exists({str(ended)!r}) else "", end="")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", waited_for)
