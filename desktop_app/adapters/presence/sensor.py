"""The sensor itself: this system's eyes, the owner's list of programs, and the battery. Called by the agent's senses."""

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

import psutil

from desktop_app.adapters.presence.programs import Programs, names_of
from desktop_app.core.presence import Presence

MOST_CANDIDATES = 20


class Eyes(Protocol):
    """What one system can tell of a desktop."""

    def look(self) -> Presence:
        """One look, without programs and battery; None for what the system does not say. Never raises."""
        ...

    def windows(self) -> tuple[int, ...]:
        """Pids of programs with windows, the one in front first."""
        ...

    def close(self) -> None:
        """Let go of all. Twice is once."""
        ...


class PresenceSensor:
    """Holds its connections between looks; closed at the end. From any thread."""

    def __init__(self, environment: Mapping[str, str] = os.environ, ours: int | None = None) -> None:
        self._eyes = _eyes(environment)
        self._ours = os.getpid() if ours is None else ours
        self._programs = Programs(self._ours)
        self._lock = threading.Lock()

    def sense(self, apps: tuple[str, ...] = ()) -> Presence:
        """What can be told now, and which of `apps` run. About a millisecond; never 50, whoever hangs."""
        with self._lock:
            return replace(self._eyes.look(), apps=self._programs.running(apps), on_battery=_on_battery())

    def candidates(self, on_gpu: Iterable[int] = ()) -> tuple[str, ...]:
        """Names of programs the owner could add to the list now: those with windows, the one in front first, then those `on_gpu` (pids)."""
        with self._lock:
            return names_of((*self._eyes.windows(), *on_gpu), self._ours)[:MOST_CANDIDATES]

    def close(self) -> None:
        """Let go of the screen and the services. Twice is once."""
        with self._lock:
            self._eyes.close()


class _Blind:
    """A system whose desktop is not asked."""

    def look(self) -> Presence:
        return Presence()

    def windows(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        return


def _eyes(environment: Mapping[str, str]) -> Eyes:
    eyes: Eyes = _Blind()
    if sys.platform == "linux":
        from desktop_app.adapters.presence.linux import LinuxEyes

        eyes = LinuxEyes(environment)
    if sys.platform == "win32":
        from desktop_app.adapters.presence.windows import WindowsEyes, calls

        eyes = WindowsEyes(calls())
    return eyes


def _on_battery() -> bool | None:
    """False for a machine without a battery."""
    try:
        battery = psutil.sensors_battery()
    except OSError:  # a container may hide where the kernel says so
        return None
    if battery is None:
        return False
    return None if battery.power_plugged is None else not battery.power_plugged
