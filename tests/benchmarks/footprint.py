"""What an idle Sublet costs: `python -m tests.benchmarks.footprint`.

The real tray on a real X desktop, the real agent it starts, sharing off, practice network up. Once all is quiet, 60 seconds
are watched: unique memory (what would come free if the process ended) of tray and agent at the end, and the processor time
of both together as a share of one core. Ends in `tray_mb`, `agent_mb` and `cpu_percent`; the goals are 70, 100 and 0.3. The
practice network's own processes, which a live network does not have, are named before them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from desktop_app.adapters.keys import PASSPHRASE_FILE
from tests.desktop import open_desktop

_PATIENCE_S = 120.0
_SETTLE_S = 20.0
_MB = 1e6


class Household:
    """A tray and everything it starts, in a profile of its own."""

    def __init__(self, environment: dict[str, str], home: Path) -> None:
        self._home = home
        passphrase = home / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("an idle owner's passphrase\n")
        own = {"SUBLET_HOME": str(home / "profile"), "XDG_RUNTIME_DIR": str(home), PASSPHRASE_FILE: str(passphrase)}
        self._environment = os.environ | environment | own
        self.tray = psutil.Process(subprocess.Popen([sys.executable, "-m", "desktop_app"], env=self._environment).pid)

    def agent(self) -> psutil.Process:
        """The agent, once its wallet is open and it has reached the practice network."""
        self.until(self._ready, "the agent was not ready in time")
        return next(process for process in self.members() if process.cmdline()[1:] == ["-m", "desktop_app", "agent"])

    def members(self) -> list[psutil.Process]:
        """Every process of this profile, whoever started it."""
        return [process for process in psutil.process_iter() if self._belongs(process)]

    def end(self) -> None:
        """Quit as an owner does; what is left after that is killed."""
        self._sublet("quit")
        self.tray.terminate()
        self.tray.wait(_PATIENCE_S)
        end = time.monotonic() + 20
        while self.members() and time.monotonic() < end:
            time.sleep(0.1)
        for process in self.members():
            print(f"  had to kill {process.cmdline()}")
            process.kill()

    def until(self, what: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not what():
            if time.monotonic() > end:
                raise RuntimeError(otherwise)
            time.sleep(0.5)

    def _ready(self) -> bool:
        said = self._sublet("status", "--json")
        if said.returncode:
            return False
        state = json.loads(said.stdout)
        return bool(state["wallet"]["ready"] and state["market"]["connected"])

    def _sublet(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "desktop_app", *words]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("SUBLET_HOME") == self._environment["SUBLET_HOME"]
        except (psutil.Error, OSError):
            return False


@contextmanager
def household() -> Iterator[Household]:
    """A desktop with a tray on it, gone with the block."""
    with tempfile.TemporaryDirectory(prefix="sublet-footprint-", ignore_cleanup_errors=True) as folder, open_desktop() as desktop:
        home = Household(desktop.environment, Path(folder))
        try:
            yield home
        finally:
            home.end()


def unique_mb(process: psutil.Process) -> float:
    return float(process.memory_full_info().uss) / _MB


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch")
    seconds = parser.parse_args().seconds
    with household() as home:
        watched = [home.tray, home.agent()]
        time.sleep(_SETTLE_S)
        before, started = cpu_seconds(watched), time.monotonic()
        time.sleep(seconds)
        share = (cpu_seconds(watched) - before) / (time.monotonic() - started) * 100
        tray, agent = (unique_mb(process) for process in watched)
        others = {" ".join(one.cmdline()[-3:]): unique_mb(one) for one in home.members() if one not in watched}
    for name, megabytes in others.items():
        print(f"practice network: {name}: {megabytes:.1f} MB")
    print(f"tray_mb {tray:.1f} MB")
    print(f"agent_mb {agent:.1f} MB")
    print(f"cpu_percent {share:.2f} %")


if __name__ == "__main__":
    main()
