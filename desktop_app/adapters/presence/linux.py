"""A Linux desktop's signs of its owner: the X screen, or the Wayland compositor, and the desktop's services.

Each is asked for a few milliseconds at most; what it says late serves the next look. Used by `presence.sensor`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from desktop_app.adapters.presence.aside import Aside
from desktop_app.adapters.presence.programs import runs
from desktop_app.adapters.presence.screen import Screen, Sight
from desktop_app.adapters.presence.services import Services
from desktop_app.adapters.presence.wayland import Wayland, socket_of
from desktop_app.core.presence import Presence

_T = TypeVar("_T")

PATIENCE_S = 0.008
"""For each of four parts, so that the whole look stays under 50 ms whoever hangs."""

XWAYLAND = "Xwayland"  # the X server inside a Wayland session
_XWAYLAND_EVERY_S = 5.0


class LinuxEyes:
    """Everything is opened when first looked at, and let go by `close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._display = environment.get("DISPLAY")
        self._services = Services(environment)
        compositor = socket_of(environment)
        self._wayland = Wayland(compositor) if compositor else None
        self._in_wayland = bool(environment.get("WAYLAND_DISPLAY"))
        self._screen: tuple[Screen, Aside] | None = None
        self._looked_for_x = float("-inf")

    def look(self) -> Presence:
        """One look at everything, without the programs and the battery."""
        said = self._services.look(PATIENCE_S)
        sight = self._ask_screen(lambda screen: screen.look) or Sight()
        touched = self._wayland.idle(PATIENCE_S) if self._wayland else None
        if self._in_wayland:
            # X programs there tell of themselves only: full screen is known where it is one of theirs
            return replace(said, idle_s=said.idle_s if touched is None else touched, full_screen=sight.full_screen or None)
        idle = said.idle_s if sight.idle_s is None else sight.idle_s
        return replace(said, idle_s=idle, full_screen=sight.full_screen, remote=True if sight.virtual else said.remote)

    def windows(self) -> tuple[int, ...]:
        """Pids of the programs with windows, the one in front first, as far as X tells."""
        return self._ask_screen(lambda screen: screen.windows) or ()

    def close(self) -> None:
        """Let go of all. Twice is once."""
        self._services.close()
        if self._wayland is not None:
            self._wayland.close()
        if self._screen is not None:
            self._screen[1].close()
            self._screen = None

    def _ask_screen(self, question: Callable[[Screen], Callable[[], _T]]) -> _T | None:
        if self._screen is None:
            if not self._display or not self._x_serves():
                return None
            screen = Screen(self._display)
            self._screen = screen, Aside("x screen", screen.close)
        screen, aside = self._screen
        return aside.ask(question(screen), PATIENCE_S)

    def _x_serves(self) -> bool:
        """In a Wayland session only where its X server runs already: the first who asks would start it."""
        if not self._in_wayland:
            return True
        if time.monotonic() - self._looked_for_x < _XWAYLAND_EVERY_S:
            return False
        self._looked_for_x = time.monotonic()
        return runs(XWAYLAND)
