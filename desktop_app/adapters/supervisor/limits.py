"""Bounds on memory and processes that the kernel keeps: a systemd scope, a control group, or neither.

Neither means that only resource limits and the watchdog in `cage` bound a worker. Made anew for each
worker by `cage.spawn`.
"""

import os
import shutil
import subprocess
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_MOUNTS = Path("/sys/fs/cgroup")
_V2_FILES = {"memory": (("memory.max", "{bytes}"), ("memory.swap.max", "0")), "pids": (("pids.max", "{processes}"),)}
_V1_FILES = {
    "memory": (("memory.limit_in_bytes", "{bytes}"), ("memory.memsw.limit_in_bytes", "{bytes}")),
    "pids": (("pids.max", "{processes}"),),
}


@dataclass(frozen=True, slots=True)
class Enclosure:
    """The bounds around one worker: words put before the command, and files in which a process writes 0 to step in."""

    prefix: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    @property
    def procs(self) -> tuple[str, ...]:
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    def tighten(self, ram_bytes: int, pid: int) -> None:
        """Lower the bound on memory of these bounds, in which `pid` lives. Raises OSError when the kernel, or the files' owner, refuses."""
        for folder in (_scope_of(pid),) if self.prefix else self.folders:
            for name in ("memory.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
                if (folder / name).exists():
                    (folder / name).write_text(str(ram_bytes))

    def hasten(self, pid: int) -> None:
        """Let the worker of a scope, one of whose processes is `pid`, end quickly: by its weight its last step would stand in line."""
        if not self.prefix:
            return
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
            for place in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
                (_MOUNTS / place / "cpu.weight").write_text("10000")

    def close(self) -> None:
        """Remove what was made, once the worker is gone."""
        for folder in self.folders:
            for _ in range(20):  # the kernel lets go of the last process a moment after its end
                with suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.01)


def enclose(ram_mb: int, processes: int) -> Enclosure:
    """New bounds by the best means this machine has; none at all where it has none."""
    if os.geteuid() == 0:
        with suppress(OSError):
            return _groups(ram_mb << 20, processes)
    scope = _scope_command()
    if not scope:
        return Enclosure()
    bounds = (f"MemoryMax={ram_mb}M", "MemorySwapMax=0", f"TasksMax={processes}", "CPUWeight=10", "IOWeight=10")
    # env -i: the bus address and the like must not be seen in the sandbox
    return Enclosure((*scope, *(word for bound in bounds for word in ("-p", bound)), "--", "/usr/bin/env", "-i"))


def _groups(ram_bytes: int, processes: int) -> Enclosure:
    """One group per controller below our own on version 1, one for both on version 2. Raises OSError when the kernel refuses."""
    parents, files = _group_parents()
    name = f"sublet-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    made = Enclosure((), tuple({parent / name: None for parent in parents.values()}))
    try:
        for folder in made.folders:
            folder.mkdir()
        for controller, parent in parents.items():
            for file, value in files[controller]:
                if (parent / name / file).exists():  # some kernels do not account swap
                    (parent / name / file).write_text(value.format(bytes=ram_bytes, processes=processes))
    except OSError:
        made.close()
        raise
    return made


def sweep_groups() -> None:
    """Remove groups that a dead process of ours left empty."""
    parents, _ = _group_parents()
    for parent in set(parents.values()):
        for folder in parent.glob("sublet-*"):
            maker = folder.name.split("-")[1]
            if not Path(f"/proc/{maker}").exists():
                with suppress(OSError):
                    folder.rmdir()


def bus_environment() -> dict[str, str]:
    """What systemd-run needs to find the owner's systemd; nothing of it goes further."""
    names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    return {name: os.environ[name] for name in names if name in os.environ} if _scope_command() else {}


@cache
def _scope_command() -> tuple[str, ...]:
    """The command that makes a scope of an ordinary user's, if it works here."""
    found = shutil.which("systemd-run")
    if os.geteuid() == 0 or found is None or not Path("/run/systemd/system").is_dir() or not Path("/usr/bin/env").exists():
        return ()
    command = (found, "--user", "--scope", "--quiet", "--collect")
    try:
        tried = subprocess.run((*command, "true"), stdin=subprocess.DEVNULL, capture_output=True, timeout=3, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if tried.returncode == 0 else ()


@cache
def _group_parents() -> tuple[dict[str, Path], dict[str, tuple[tuple[str, str], ...]]]:
    """Where groups for memory and processes can be made: only for root, and only if both controllers are there."""
    if os.geteuid() != 0:
        return {}, {}
    if (_MOUNTS / "cgroup.controllers").exists():
        with suppress(OSError):
            return _version_2(), _V2_FILES
        return {}, {}
    own = dict(_own_groups())
    parents = {name: _MOUNTS / name / own[name].lstrip("/") for name in _V1_FILES if name in own}
    usable = set(parents) == set(_V1_FILES) and all(os.access(parent, os.W_OK) for parent in parents.values())
    return (parents, _V1_FILES) if usable else ({}, {})


def _version_2() -> dict[str, Path]:
    """The root group hands both controllers down, so that ours may lie directly below it."""
    if not set(_V2_FILES) <= set((_MOUNTS / "cgroup.controllers").read_text().split()):
        return {}
    handed = _MOUNTS / "cgroup.subtree_control"
    if not set(_V2_FILES) <= set(handed.read_text().split()):
        handed.write_text("+memory +pids")
    return dict.fromkeys(_V2_FILES, _MOUNTS)


def _scope_of(pid: int) -> Path:
    """The folder of the scope that systemd made around a worker. Raises OSError when it is in none of its own."""
    group = dict(_own_groups(pid)).get("", "")
    if not group.endswith(".scope") or group == dict(_own_groups()).get(""):
        raise OSError("the worker is not in a scope of its own")
    return _MOUNTS / group.lstrip("/")


def _own_groups(pid: int | str = "self") -> list[tuple[str, str]]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return [(name, path) for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",") if name]
