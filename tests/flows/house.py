"""One owner's machine for the flow tests: an agent with its practice network, perhaps a tray, and a hand that kills parts.

Everything is a real process on a profile of its own. A part that was killed is started again, as a service manager, or an
owner, would.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from desktop_app.core import messages
from desktop_app.core.messages import OwnerMessage
from desktop_app.core.state import State
from desktop_app.wire.guest import Guest, NoAgent
from desktop_app.wire.profile import Profile

PASSPHRASE = "a passphrase for the tests only"


class House:
    """The machine. `wrapped` is put before the agent's command line, to run it under another roof."""

    def __init__(self, root: Path, wrapped: tuple[str, ...] = ()) -> None:
        self.profile = Profile(root)
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = root.parent / f"{root.name}.passphrase"
        secret.touch(0o600)
        secret.write_text(PASSPHRASE)
        self.environment = os.environ | {"SUBLET_HOME": str(root), "SUBLET_PASSPHRASE_FILE": str(secret)}
        self._wrapped = wrapped
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> None:
        """Start a process of ours: `agent`, `tray`, …"""
        command = [*(self._wrapped if words[0] == "agent" else ()), sys.executable, "-m", "desktop_app", *words]
        quiet = subprocess.DEVNULL
        self._children.append(subprocess.Popen(command, env=self.environment, stdin=quiet, stdout=quiet, stderr=quiet))

    def sublet(self, *words: str, status: int = 0) -> str:
        """What a verb of the command line prints. It must end with `status`."""
        command = [sys.executable, "-m", "desktop_app", *words]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    @contextmanager
    def guest(self, timeout_s: float = 30.0) -> Iterator[Guest]:
        """A connection to whichever agent answers."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                found = Guest(self.profile.socket)
                break
            except NoAgent:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        with found:
            yield found

    def post(self, message: OwnerMessage) -> None:
        """One word to the agent."""
        with self.guest() as guest:
            guest.post(message)
            guest.next_state(1.0)

    def wait(self, what: str, reached: Callable[[State], bool], timeout_s: float) -> State:
        """The first state that fits; a connection that breaks on the way is made again."""
        end = time.monotonic() + timeout_s
        state: State | None = None
        while (left := end - time.monotonic()) > 0:
            try:
                with self.guest(left) as guest:
                    state = guest.wait_for(reached, left)
                    if state is not None:
                        return state
                    state = guest.state
            except NoAgent:
                continue
        raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}; the state was {state}")

    def processes(self, *marks: str) -> list[psutil.Process]:
        """Living processes of this house whose command line has all the marks."""
        return [one for one in psutil.process_iter() if _is_ours(one, str(self.profile.root)) and _has(one, marks)]

    def seen(self) -> Path:
        """The profile's folder as this process sees it: under another roof, through the agent's own."""
        if not self._wrapped:
            return self.profile.root
        agent = next(one for one in self.processes("-m desktop_app agent") if one.parent() not in (None, psutil.Process()))
        return Path(f"/proc/{agent.pid}/root{self.profile.root}")

    def worker(self) -> list[psutil.Process]:
        """The task's own process, inside its sandbox."""
        return [
            one
            for agent in self.processes("-m desktop_app agent")
            for one in _descendants(agent)
            if _has(one, ("runpy",))
        ]

    def kill(self, processes: list[psutil.Process]) -> bool:
        """SIGKILL the first of them; False if there is none right now."""
        for process in processes:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
            while _is_ours(process, str(self.profile.root)):  # a frozen parent reaps nobody: a zombie is dead enough
                time.sleep(0.01)
            return True
        return False

    def close(self) -> None:
        """Quit as the owner does; what does not listen is killed."""
        try:
            with self.guest(2.0) as guest:
                guest.post(messages.OwnerQuit())
                guest.wait_for_end(30.0)
        except NoAgent:
            pass
        for child in self._children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    """They live and do nothing for as long as the block takes."""
    assert processes
    for one in processes:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)


def _is_ours(process: psutil.Process, root: str) -> bool:
    try:
        return process.environ().get("SUBLET_HOME") == root and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _has(process: psutil.Process, marks: tuple[str, ...]) -> bool:
    try:
        line = " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False
    return all(mark in line for mark in marks)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
