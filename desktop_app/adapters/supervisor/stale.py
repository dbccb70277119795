"""Workers that a dead agent left: noted with number and start time while they run, ended when the next agent starts.

Normally there are none, since a sandbox dies with the thread that started it. Used by the session and the supervisor.
"""

import json
import os
import select
import signal
from contextlib import suppress
from pathlib import Path

_FILE, _HALF = "worker.json", "worker.json.new"
_END_MS = 3_000


class Stale:
    """The notes in the task folders of one profile."""

    def __init__(self, tasks: Path) -> None:
        self._tasks = tasks

    def note(self, task_id: str, *pids: int | None) -> None:
        """These processes belong to the task."""
        known = [(pid, _started(pid)) for pid in pids if pid]
        with suppress(OSError):  # a full disk must not stop a task; die-with-parent is the first belt
            folder = self._tasks / task_id
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / _HALF).write_text(json.dumps(known))
            (folder / _HALF).replace(folder / _FILE)  # whoever reads it, after a death just now, finds the old or the new

    def clear(self, task_id: str) -> None:
        """They are gone; so is the folder, if nothing else was in it."""
        with suppress(OSError):
            for name in (_FILE, _HALF):
                (self._tasks / task_id / name).unlink(missing_ok=True)
            (self._tasks / task_id).rmdir()

    def sweep(self) -> int:
        """End what is left of noted processes; how many there were."""
        found = 0
        for file in self._tasks.glob(f"*/{_FILE}"):
            for pid, started in _read(file):
                found += _end(pid, started)
            self.clear(file.parent.name)
        return found


def _read(file: Path) -> list[tuple[int, int]]:
    with suppress(OSError, ValueError, TypeError):
        return [(int(pid), int(started)) for pid, started in json.loads(file.read_text()) if int(pid) > 1]
    return []


def _end(pid: int, started: int) -> bool:
    """Kill the process if the number still means the one that was noted."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if _started(pid) != started:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(_END_MS)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _started(pid: int) -> int:
    """The process' start, in clock ticks since boot; 0 when there is none."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    return 0
