"""Finds what a test left running: processes (also orphans, which no longer are our children), threads, open files.

Used by the autouse fixture. A leak that is there for a reason is named here with the reason, nowhere else.
"""

import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import psutil

LOOKS = 60  # counted and not timed: while the machine stands still, nothing that is about to go gets any further
_PAUSE_S = 0.05
_YOUNG_S = 10.0
_DESKTOP = ("Xvfb", "openbox", "trayer")

ALLOWED_THREADS = {
    "asyncio_": "asyncio's executor threads end with their loop, a moment after the test",
    "ThreadPoolExecutor": "idle pool threads end when their pool is collected",
    "execnet": "pytest-xdist's own channel",
}
ALLOWED_FILES = {
    "/dev/null": "kept open by libraries that quieten a child",
    "/dev/urandom": "opened once by a library and kept",
    "anon_inode:[io_uring]": "opened once by a library and kept",
    "anon_inode:[eventfd]": "Qt's own drawing threads, which end half a minute after their last large picture",
}

_strangers: set[int] = set()


class Leak(AssertionError):
    """Something outlived its test."""


@contextmanager
def leak_check(marker: str) -> Iterator[None]:
    """Fail if anything new is still there some seconds after the block.

    What a process starts that was there before, a house that a module's tests share, is that process's own business; whoever
    started it checks that nothing outlives it.
    """
    before = {name: set(look(marker)) for name, look in _LOOKS.items()}
    residents = {process.pid for process in _ours(marker)}
    yield
    left = _left(before, marker, residents)
    for _ in range(LOOKS):
        if not left:
            return
        gc.collect()
        time.sleep(_PAUSE_S)
        left = _left(before, marker, residents)
    if left:
        _end_processes(marker, residents)
        raise Leak("; ".join(left))


def _left(before: dict[str, set[str]], marker: str, residents: set[int]) -> list[str]:
    looks = _LOOKS | {"process": lambda marker: _processes(marker, residents)}
    return [f"{name} left behind: {one}" for name, look in looks.items() for one in look(marker) if one not in before[name]]


def _processes(marker: str, residents: AbstractSet[int] = frozenset()) -> list[str]:
    return [f"{process.pid} {_command(process)}" for process in _ours(marker) if not _belongs(process, residents)]


def _belongs(process: psutil.Process, residents: AbstractSet[int]) -> bool:
    """Whether a resident is it, or is behind it."""
    try:
        return bool(residents) and not residents.isdisjoint((process.pid, *(one.pid for one in process.parents())))
    except psutil.Error:
        return False


def _ours(marker: str) -> list[psutil.Process]:
    """Our living descendants, and whoever inherited the marker from one of them. Who was once found a stranger stays one."""
    here = set(psutil.pids())
    _strangers.intersection_update(here)
    found = []
    for pid in sorted(here - _strangers - {os.getpid()}):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if _environment(process).get("SUBLET_TEST_RUN") == marker or _descends(process):
                found.append(process)
            else:
                _strangers.add(pid)
    return [process for process in found if _alive(process)]


def _descends(process: psutil.Process) -> bool:
    try:
        return os.getpid() in {one.pid for one in process.parents()}
    except psutil.Error:
        return False


def _environment(process: psutil.Process) -> dict[str, str]:
    """Empty where it is another user's. In a program's beginning it is empty for a moment, which is waited out."""
    try:
        told = process.environ()
        tries = 10
        while not told and tries and time.time() - process.create_time() < _YOUNG_S:
            time.sleep(_PAUSE_S / 10)
            told, tries = process.environ(), tries - 1
    except (psutil.Error, OSError):
        return {}
    return told


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "?"


def _end_processes(marker: str, residents: set[int]) -> None:
    """So that one careless test does not spoil the others."""
    for process in _ours(marker):
        if not _belongs(process, residents):
            process.kill()


def _threads(_marker: str) -> list[str]:
    return [
        f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not any(thread.name.startswith(name) for name in ALLOWED_THREADS)
    ]


def _files(_marker: str) -> list[str]:
    if sys.platform != "linux":
        return []
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the one that listed the folder
        if target not in ALLOWED_FILES:
            found.append(f"fd {link.name} -> {target}")
    return found


_LOOKS: dict[str, Callable[[str], list[str]]] = {"process": _processes, "thread": _threads, "file": _files}


def family(process: psutil.Process | None = None) -> list[psutil.Process]:
    """All living descendants of a process (this one's by default), without the desktop that the whole test run shares."""
    told = {}
    for one in (process or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
            told[one] = one.name(), one.ppid()
    desktop = {one.pid for one, (name, _) in told.items() if name in _DESKTOP}
    return [one for one, (_, parent) in told.items() if one.pid not in desktop and parent not in desktop]
