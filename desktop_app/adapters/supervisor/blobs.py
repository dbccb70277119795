"""Files named by their sha256, and which of them belong to which task.

A blob appears whole or not at all: it is written under another name, flushed to the disk and renamed. Each task's folder
lists the blobs it uses, so that forgetting a task removes exactly the files no other task needs. Used by the session and
the supervisor.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LIST = "blobs.txt"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A blob being written: `write` takes its bytes, `keep` gives it its name."""

    write: Callable[[bytes], object]
    keep: Callable[[str], Path]


class Blobs:
    """The blobs of one profile, in `folder`, and the tasks that use them, in `tasks`."""

    def __init__(self, folder: Path, tasks: Path) -> None:
        self._folder, self._tasks = folder, tasks
        for place in (folder, tasks):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, sha256: str) -> Path:
        """Where the blob lies, if it is here. ValueError for what is no sha256."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a sha256")
        return self._folder / sha256

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Room for a new blob; whatever was not kept is removed. Raises OSError, ENOSPC among them."""
        descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=self._folder)
        place = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield Incoming(file.write, lambda sha256: self._keep(file, place, sha256))
        finally:
            place.unlink(missing_ok=True)

    def note(self, task_id: str, *sha256s: str) -> None:
        """Remember that the task uses these blobs."""
        folder = self._tasks / task_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / _LIST).open("a") as file:
            file.writelines(f"{sha256}\n" for sha256 in sha256s)

    def drop(self, task_id: str, sha256: str) -> None:
        """Remove one blob of the task, unless another task uses it."""
        if sha256 not in self._used_by_others(task_id):
            self.path(sha256).unlink(missing_ok=True)

    def forget(self, task_id: str) -> None:
        """Remove the task's folder and the blobs only it used."""
        others = self._used_by_others(task_id)
        for sha256 in self._listed(self._tasks / task_id) - others:
            self.path(sha256).unlink(missing_ok=True)
        shutil.rmtree(self._tasks / task_id, ignore_errors=True)

    def _keep(self, file: BinaryIO, place: Path, sha256: str) -> Path:
        file.flush()
        os.fsync(file.fileno())
        kept = self.path(sha256)
        place.replace(kept)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return kept

    def _used_by_others(self, task_id: str) -> set[str]:
        found: set[str] = set()
        for folder in self._tasks.iterdir():
            if folder.name != task_id:
                found |= self._listed(folder)
        return found

    @staticmethod
    def _listed(folder: Path) -> set[str]:
        with suppress(OSError):
            return set((folder / _LIST).read_text().split())
        return set()
