"""Keeps the machine from going to sleep by itself while a task runs. Called by the agent's desk; from any thread.

`wakepy` knows each system's way; on Linux it speaks to the desktop's services, and where there is no desktop to logind. A
service forgets the wish when this process dies. The owner's own word to sleep is never held off, nor is the screen kept on.
"""

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wakepy import Mode

PATIENCE_S = 3.0
"""For a service to answer; one that hangs is left behind, and let go when it comes back."""


class Awake:
    """Held or let go twice is once. Failing is an answer: a machine that cannot be held awake may still run tasks."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._turn = threading.Lock()
        self._hold: _Hold | None = None

    def hold(self) -> bool:
        """Whether the machine is kept awake now."""
        with self._turn:
            if self._hold is None or self._hold.failed:
                self._hold = _Hold(self._environment)
            return self._hold.stands()

    def release(self) -> bool:
        """Whether nothing is held any more. One whose service hangs ends by itself."""
        with self._turn:
            hold, self._hold = self._hold, None
            return hold is None or hold.end()

    def close(self) -> None:
        """Let go for good."""
        self.release()


class _Hold:
    """One wish to stay awake. `wakepy` wants it spoken and taken back by the same thread, so it has one of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.failed = False
        self._environment = environment
        self._active = False
        self._settled = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="awake", daemon=True)
        self._thread.start()

    def stands(self) -> bool:
        self._settled.wait(PATIENCE_S)
        return self._active

    def end(self) -> bool:
        self._over.set()
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._ask()
        except Exception:  # whatever a desktop's service answers: then the machine is not held awake
            self._active = False
        self.failed = not self._active
        self._settled.set()

    def _ask(self) -> None:
        from wakepy import keep  # forty milliseconds, and only who runs a task needs it

        if sys.platform == "linux":
            from desktop_app.adapters.awake.services import LOGIND, Buses

            with closing(Buses(self._environment)) as buses:
                self._stay(keep.running(on_fail="pass", methods_priority=["*", LOGIND], dbus_adapter=buses.adapter()))
        else:
            self._stay(keep.running(on_fail="pass"))

    def _stay(self, wish: "Mode") -> None:
        with wish:
            self._active = wish.active
            if self._active:
                self._settled.set()
                self._over.wait()
