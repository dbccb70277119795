"""The supervisor where no sandbox is written yet: the app runs, says why nothing is shared, and starts no task.

Chosen by the package on Windows and macOS, in place of `api` and `once`; the methods and their answers are the same.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Device
from desktop_app.core.messages import GpuGivenBack, Message, RuntimeFound, SandboxTested, WorkerFailed
from desktop_app.core.state import GiveBackRecord, Halt, Level, Trigger
from desktop_app.core.task import Checkpoint, Lease

_TITLE = "Tasks cannot be shut in on this system yet."
_ADVICE = "Sharing works on Linux; here it will come with a later version."


@dataclass(frozen=True, slots=True)
class Tuning:
    """Nothing can be set here."""


class Supervisor:
    """Refuses politely."""

    def __init__(
        self,
        post: Callable[[Message], None],
        blobs: Path,
        tasks: Path,
        logs: Path,
        device: Device,
        vram_free: Callable[[], int | None] | None = None,
        tuning: Tuning | None = None,
        vram_users: Callable[[], frozenset[int] | None] | None = None,
    ) -> None:
        self._post = post

    def start(self, lease: Lease, checkpoint: Checkpoint | None) -> None:
        self._post(WorkerFailed(lease.manifest.task_id, f"{_TITLE} {_ADVICE}", blameless=True))

    def warm(self) -> None:
        """Nothing starts here, so nothing waits."""

    def cool(self) -> None:
        """Nothing waits."""

    def give_back(self, task_id: str, trigger: Trigger, deadline_ms: int, late_ms: float = 0.0) -> None:
        record = GiveBackRecord(task_id, trigger, time.time(), 0.0, None, 0, committed=False, detected_ms=late_ms, halt=Halt.OVER)
        self._post(GpuGivenBack(record, None))

    def forget(self, task_id: str) -> None:
        pass

    def self_test(self) -> None:
        self._post(SandboxTested(Level.NONE, (), f"{_TITLE} {_ADVICE}"))
        self._post(RuntimeFound(False))

    def close(self) -> None:
        pass


def run_sandboxed(
    kind: str, inputs: Mapping[str, Path], params: Mapping[str, int | float | str], seed: int, workdir: Path, timeout_s: float
) -> tuple[dict[str, Path], dict[str, float]]:
    """Raises AppError."""
    raise AppError(_TITLE, _ADVICE)
