"""How the practice network's parts end with it: the kernel's word where there is one, the closing of a pipe everywhere.

A part asks Linux to kill it when its parent dies, and watches its standard input, whose other end the parent holds and
never writes to. Called by every part at its start.
"""

import ctypes
import os
import signal
import sys
import threading

_SET_PARENT_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # looked up here: a fork may hold the loader's lock for ever


def end_with_parent() -> None:
    """End this process soon after its parent has ended, however that ended."""
    die_with_parent()
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def die_with_parent(parent: int | None = None) -> None:
    """Linux: SIGKILL when the thread that started this process ends. Also run between fork and exec, for programs not ours.

    A parent that died before the kernel was asked is not told of any more, so whoever knows its process names it.
    """
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _watch() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # closed is closed
    os.kill(os.getpid(), signal.SIGTERM)
