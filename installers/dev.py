"""Two commands from a bare machine: `python3 installers/dev.py run` tries Sublet, `… test` checks it. `… setup` only installs.

Standard library only, on Linux, Windows and macOS. Everything goes into `.venv` beside this folder; system libraries are
installed where that is allowed and named where it is not. Called by a person, and by `.ci/run`.
"""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "Sublet needs Python 3.11, 3.12 or 3.13, and this is %d.%d.\n" % sys.version_info[:2]  # noqa: UP031
        + "Install one of them and start this again with it, for example: python3.12 installers/dev.py run"
    )

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).resolve()
ROOT = SCRIPT.parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "sublet-stamp.json"
LOG = VENV / "setup.log"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
LINUX = sys.platform == "linux"

# first and by itself, so that whichever build of it the machine offers is taken and no later resolve replaces it
TORCH = "torch==2.13.0"

LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libXrandr.so.2": "libxrandr2",
    "libXss.so.1": "libxss1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What Qt's window system loads, and the Debian package of each."""

TEST_COMMANDS = {
    "Xvfb": "xvfb",
    "openbox": "openbox",
    "trayer": "trayer",
    "xdotool": "xdotool",
    "import": "imagemagick",
    "xprop": "x11-utils",
    "dbus-daemon": "dbus",
    "gcc": "gcc libc6-dev",
    "git": "git",
}
"""What the tests start, and the Debian packages of each."""

FONTS = Path("/usr/share/fonts")


class Trouble(Exception):
    """Something the person must do first; the message says what."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked; return the exit status."""
    parser = argparse.ArgumentParser(prog="dev.py", description="Set Sublet up in .venv, then try it or test it.")
    parser.add_argument("what", choices=("run", "test", "setup"), help="run: try it; test: check everything; setup: only install")
    what = parser.parse_args(arguments).what
    try:
        if what == "test":
            install_system(needed(screen=True, tests=True))
            install_python(("dev", "runtime"))
            return test()
        install_system(needed(screen=has_screen(), tests=False))
        install_python(("runtime",))
        return run() if what == "run" else 0
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def has_screen() -> bool:
    """Whether a window could be shown."""
    return not LINUX or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# --- what the system must bring -----------------------------------------------------------------------------------------


def needed(*, screen: bool, tests: bool) -> list[str]:
    """The Debian packages of what is missing. Empty where nothing is, and on other systems, which bring it all."""
    packages = [] if importlib.util.find_spec("ensurepip") else [f"python{sys.version_info.major}.{sys.version_info.minor}-venv"]
    if LINUX and screen:
        packages += [package for library, package in LIBRARIES.items() if not loads(library)]
        if not (FONTS.is_dir() and any(FONTS.iterdir())):
            packages.append("fonts-dejavu-core")
    if LINUX and tests:
        packages += [name for command, names in TEST_COMMANDS.items() if not shutil.which(command) for name in names.split()]
    return packages


def loads(library: str) -> bool:
    """Whether the dynamic loader finds it."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install_system(packages: list[str]) -> None:
    """Install what is missing where this account may; otherwise say how, and stop."""
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not shutil.which("apt-get"):
        raise Trouble(f"Some system packages are missing. Install what your system calls: {' '.join(packages)}\nThen start this again.")
    prefix = right_to_install()
    if prefix is None:
        raise Trouble(f"Some system packages are missing. Install them, then start this again:\n  sudo {' '.join(command)}")
    started = time.monotonic()
    say(f"Installing system packages: {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    again = " ".join([*prefix[:1], *command])
    logged([*prefix, "apt-get", "update"], environment, again)
    logged([*prefix, *command], environment, again)
    say(f"  done in {time.monotonic() - started:.0f} s")


def right_to_install() -> list[str] | None:
    """What to put before apt-get: nothing for root, sudo where it asks for no password; None where neither works."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n"]
    return None


# --- what .venv must hold -----------------------------------------------------------------------------------------------


def install_python(extras: tuple[str, ...]) -> None:
    """Make `.venv` hold Sublet and what it needs. Nothing is asked of pip when the stamp says that it does."""
    key = fingerprint()
    held = stamped(key)
    if held is not None and set(extras) <= set(held):
        return
    started = time.monotonic()
    wanted = tuple(sorted({*extras, *(held or ())}))
    STAMP.unlink(missing_ok=True)
    if not PYTHON.exists() or not same_python():
        say("Making .venv")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise Trouble(f"Python could not make .venv:\n{made.stdout}{made.stderr}")
    LOG.unlink(missing_ok=True)
    say("Installing the task engine (some minutes the first time)")
    pip(TORCH)
    say("Installing Sublet")
    pip("--editable", f"{ROOT}[{','.join(wanted)}]")
    STAMP.write_text(json.dumps({"key": key, "extras": wanted}))
    say(f"  done in {time.monotonic() - started:.0f} s")


def fingerprint() -> str:
    """Changes with the dependencies, the Python, this script and the folder."""
    parts = ((ROOT / "pyproject.toml").read_bytes(), SCRIPT.read_bytes(), sys.version.encode(), os.fsencode(ROOT))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamped(key: str) -> tuple[str, ...] | None:
    """The extras that `.venv` holds for this fingerprint; None if it holds another, or was not finished."""
    try:
        stamp = json.loads(STAMP.read_text())
        return tuple(stamp["extras"]) if stamp["key"] == key and PYTHON.exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def same_python() -> bool:
    """Whether `.venv` runs, on the version of Python that runs this."""
    try:
        ask = [str(PYTHON), "-c", "import sys; print(sys.version)"]
        seen = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return seen.stdout.strip() == sys.version.strip()


def pip(*arguments: str) -> None:
    """Install with .venv's own pip."""
    again = f"{sys.executable} {SCRIPT} setup"
    logged([str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments], dict(os.environ), again)


def logged(command: list[str], environment: dict[str, str], again: str) -> None:
    """Run a command into the log; on failure show its last words and how to try again."""
    log = LOG if VENV.is_dir() else Path(os.devnull)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    with log.open("ab") as file:
        file.write(done.stdout)
    if done.returncode:
        words = "\n  ".join(done.stdout.decode(errors="replace").strip().splitlines()[-12:])
        raise Trouble(f"That did not work:\n  {words}\nSee that the network and the disk are there, then try again:\n  {again}")


# --- run and test -------------------------------------------------------------------------------------------------------


def run() -> int:
    """The tray with its window open; without a screen the tour, in this terminal."""
    if has_screen():
        return become([str(PYTHON), "-m", "desktop_app", "--open"])
    say("There is no screen here, so this is the tour: a whole first earning on the practice network, in the terminal.\n")
    status = finished([str(PYTHON), "-m", "desktop_app", "tour"])
    sublet = SCRIPTS / "sublet"
    say("\nTo go on without a screen:")
    say(f"  {sublet} agent             shares until you stop it")
    say(f"  {sublet} status --watch    says, in another terminal, what it does and why")
    return status


def become(command: list[str]) -> int:
    """Turn into the command where the system can; wait for it where it cannot."""
    if os.name != "nt":
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(command[0], command)
    return finished(command)


def finished(command: list[str]) -> int:
    """Run to the end. The interrupt key reaches the command too, which then cleans up after itself: it is waited for.

    Also when the key is pressed while the command is only being started; pressed twice, nothing is waited for.
    """
    pressed: list[int] = []

    def interrupted(number: int, _frame: object) -> None:
        pressed.append(number)
        if len(pressed) > 1:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # who was made deaf to the key stays so, and so does the command
        signal.signal(signal.SIGINT, interrupted)
    try:
        status = subprocess.Popen(command, cwd=ROOT).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
    return status


PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""Many tests mostly wait: for a block a second, for a worker to start. Two at a time fill two cores; three starve the trainings in them."""
LONGEST_FIRST = ["tests/flows", "tests/practice", "tests", "--ignore=tests/core"]


def test() -> int:
    """Every check, one after the other, each with its time; the status is the first failure's."""
    coverage = ["--cov=desktop_app.core", "--cov-branch", "--cov-report=term-missing:skip-covered", "--cov-fail-under=100"]
    checks = {
        "style": [str(PYTHON), "-m", "ruff", "check", "."],
        "types": [str(PYTHON), "-m", "mypy"],
        "imports": [str(SCRIPTS / "lint-imports")],
        # by itself, because counting branches slows down whatever else runs in the same process
        "core": [str(PYTHON), "-m", "pytest", "-q", *PARALLEL, *coverage, "tests/core"],
        "tests": [str(PYTHON), "-m", "pytest", "-q", *PARALLEL, *LONGEST_FIRST],
    }
    results = {name: timed(name, command) for name, command in checks.items()}
    failed = [name for name, status in results.items() if status]
    if failed:
        say(f"Not good yet: {', '.join(failed)}.")
        return results[failed[0]]
    say("All checks hold.")
    return 0


def timed(name: str, command: list[str]) -> int:
    """Run one check and say how long it took."""
    say(f"--- {name}")
    started = time.monotonic()
    status = finished(command)
    say(f"--- {name}: {'failed' if status else 'ok'} after {time.monotonic() - started:.1f} s")
    return status


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
