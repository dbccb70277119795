"""Files named by their sha256, and which of them belong to which task.

A blob appears whole or not at all: it is written under another name, flushed to the disk and renamed. Each task's folder
lists the blobs it made and uses. What a task made goes with it; its inputs stay, since the next task is likely to want the
same ones, until they take too much room. Used by the session and the supervisor.
"""

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LIST = "blobs.txt"
_MADE, _USED = "made", "used"
_MOST_BYTES = 4 << 30
_RECENT_S = 3600.0
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

    def note_made(self, task_id: str, sha256: str) -> None:
        """Remember that the task made this blob."""
        self._note(task_id, _MADE, (sha256,))

    def note_used(self, task_id: str, sha256s: Iterable[str]) -> None:
        """Remember that the task uses these blobs."""
        used = list(sha256s)
        self._note(task_id, _USED, used)
        for sha256 in used:
            with suppress(OSError):
                os.utime(self.path(sha256))

    def drop(self, task_id: str, sha256: str) -> None:
        """Remove one blob that the task made, unless another task has it too."""
        if sha256 not in self._listed_by_others(task_id):
            self.path(sha256).unlink(missing_ok=True)

    def forget(self, task_id: str) -> list[Path]:
        """Take away the names of the task's folder and of what only it made; what is left to delete, which may take a while."""
        others = self._listed_by_others(task_id)
        own = self._tasks / task_id
        leaving = [self.path(sha256) for mark, sha256 in _listed(own) if mark == _MADE and sha256 not in others]
        moved = []
        for place in (*leaving, own):
            with suppress(OSError):
                moved.append(place.rename(self._folder / f".gone-{secrets.token_hex(8)}"))
        return moved

    def delete(self, places: Iterable[Path]) -> None:
        """Delete what `forget` gave."""
        for place in places:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)

    def trim(self, most_bytes: int = _MOST_BYTES) -> None:
        """Delete the blobs longest unused while all take more than `most_bytes`, and what a crash left half done."""
        listed = self._listed_by_others("")
        kept = []
        for place in self._folder.iterdir():
            with suppress(OSError):
                found = place.stat()
                if place.name.startswith((".gone-", ".incoming-")) and time.time() - found.st_mtime > _RECENT_S:
                    self.delete([place])
                elif _SHA256.fullmatch(place.name):
                    kept.append((found.st_mtime, found.st_size, place))
        total = sum(size for _, size, _ in kept)
        for used, size, place in sorted(kept):
            if total <= most_bytes or time.time() - used < _RECENT_S:
                break
            if place.name not in listed:
                place.unlink(missing_ok=True)
                total -= size

    def _note(self, task_id: str, mark: str, sha256s: Iterable[str]) -> None:
        folder = self._tasks / task_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / _LIST).open("a") as file:
            file.writelines(f"{mark} {sha256}\n" for sha256 in sha256s)

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

    def _listed_by_others(self, task_id: str) -> set[str]:
        return {sha256 for folder in self._tasks.iterdir() if folder.name != task_id for _, sha256 in _listed(folder)}


def _listed(folder: Path) -> list[tuple[str, str]]:
    """(mark, sha256) of a task's list; a line that a crash cut short is left out."""
    with suppress(OSError):
        lines = [line.split() for line in (folder / _LIST).read_text().splitlines()]
        return [(words[0], words[1]) for words in lines if len(words) == 2 and _SHA256.fullmatch(words[1])]
    return []
