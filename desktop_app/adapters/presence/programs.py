"""Which of the owner's programs run now, looked at four times a second without weighing on the machine.

A look lists the process numbers; names are read for those not seen before, for the young ones, which may still become
another program, and for a few of the rest in turn. Used by `presence.sensor`.
"""

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

YOUNG_S = 10.0
BUDGET_S = 0.015
"""For reading names in one look. A first look at a thousand processes takes a few looks."""

_TURNS = 16
_COMM = 15  # the kernel keeps so many letters of a name


@dataclass(slots=True)
class _Seen:
    names: frozenset[str]
    since: float


class Programs:
    """What runs, as far as looked at. `ours` and what descends from it are never the owner's."""

    def __init__(self, ours: int) -> None:
        self._ours = ours
        self._seen: dict[int, _Seen] = {}
        self._turn = 0
        self._all_seen = False  # those of the first looks are not young

    def running(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `apps` that run, as they are written there. Names are compared without case, folder or `.exe`."""
        wanted = {plain(app): app for app in reversed(apps) if plain(app)}
        if not wanted:
            self._seen.clear()
            self._all_seen = False
            return ()
        self._look()
        found = {name for pid, one in self._seen.items() for name in one.names & wanted.keys() if _counts(pid, self._ours)}
        return tuple(app for app in apps if plain(app) in found)

    def _look(self) -> None:
        started = time.monotonic()
        here = set(psutil.pids())
        for gone in self._seen.keys() - here:
            del self._seen[gone]
        self._turn = (self._turn + 1) % _TURNS
        due = [pid for pid, one in self._seen.items() if started - one.since < YOUNG_S or pid % _TURNS == self._turn]
        unseen = sorted(here - self._seen.keys(), reverse=True)
        for pid in (*unseen, *due):
            if time.monotonic() - started > BUDGET_S:
                return
            known = self._seen.get(pid)
            since = started if self._all_seen else float("-inf")
            self._seen[pid] = _Seen(_names(pid, known.names if known else None), known.since if known else since)
        self._all_seen = True


def plain(name: str) -> str:
    """A program's name as it is compared: without folder, case and `.exe`."""
    last = name.strip().replace("\\", "/").rpartition("/")[2].casefold()
    return last.removesuffix(".exe")


def names_of(pids: Iterable[int], ours: int) -> tuple[str, ...]:
    """The programs behind these process numbers that an owner could name, ours and the desktop's own left out."""
    found = (_shown_name(pid) for pid in pids if _counts(pid, ours))
    return tuple(dict.fromkeys(name for name in found if name and plain(name) not in _DESKTOP))


def runs(name: str) -> bool:
    """Whether a process of this name runs. Linux only; some milliseconds."""
    for pid in psutil.pids():
        with suppress(OSError):
            if _start_of(f"/proc/{pid}/comm", 64).strip() == name:
                return True
    return False


_DESKTOP = frozenset(
    {
        "xorg", "xwayland", "gnome-shell", "plasmashell", "kwin_x11", "kwin_wayland", "xfwm4", "xfdesktop", "mutter", "sway", "hyprland",
        "openbox", "cinnamon", "marco", "nautilus-desktop", "explorer", "dwm", "csrss", "shellexperiencehost", "searchhost",
    }
)  # fmt: skip
"""Programs that draw the desktop itself and are always there."""


def _names(pid: int, before: frozenset[str] | None) -> frozenset[str]:
    """What a process may be called. Its command line is read only when its name is new."""
    if sys.platform != "linux":
        with suppress(psutil.Error, OSError):
            return frozenset({plain(psutil.Process(pid).name())})
        return frozenset()
    try:
        name = plain(_start_of(f"/proc/{pid}/comm", 64))
    except OSError:
        return frozenset()
    if before is not None and name in before:
        return before
    with suppress(OSError):
        executable = plain(Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)"))
        # a name cut short, or given by somebody else than the file: Wine's programs, and scripts that name themselves
        new = len(name) >= _COMM - len(".exe") or executable != name
        more = plain(_start_of(f"/proc/{pid}/cmdline", 4096).split("\0", 1)[0]) if new else name
        return frozenset({name, executable, more})
    return frozenset({name})


def _start_of(path: str, most: int) -> str:
    """Many times a second, so without the layers that opening a file for people has."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, most).decode(errors="replace")
    finally:
        os.close(file)


def _shown_name(pid: int) -> str:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).name()
    return ""


def _counts(pid: int, ours: int) -> bool:
    """Not one that has ended already, and none of our own."""
    try:
        process = psutil.Process(pid)
        family = {one.pid for one in (process, *process.parents())}
        return process.status() != psutil.STATUS_ZOMBIE and ours not in family
    except psutil.Error:
        return False
