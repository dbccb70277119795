"""From the arena to the disk: checkpoints and results become blobs. A disk that is full is told, never raised.

Used by the session; `keep_state` also by the thread that stores while the worker goes on.
"""

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from desktop_app.adapters.supervisor.arena import Arena, Torn
from desktop_app.adapters.supervisor.blobs import Blobs, Incoming
from desktop_app.core.messages import Message, TroubleArose
from desktop_app.core.state import NoticeKind
from desktop_app.core.task import Blob, Checkpoint
from desktop_app.wire import ipc, tensors

_KEPT = 3  # newest checkpoints on disk: an older one may still be on its way to the market
_TRIES = 5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(slots=True)
class _Stored:
    seq: int
    checkpoint: Checkpoint


class Keeper:
    """What one run of one task left on the disk. `started_from` is the checkpoint it began with."""

    def __init__(self, task_id: str, steps: int, started_from: Checkpoint | None, blobs: Blobs, post: Callable[[Message], None]) -> None:
        self._task_id, self._steps, self._from = task_id, steps, started_from
        self._blobs, self._post = blobs, post
        self._stored: list[_Stored] = []
        self._told = False

    @property
    def newest(self) -> Checkpoint | None:
        """The newest checkpoint known good."""
        return self._stored[-1].checkpoint if self._stored else self._from

    def keep_state(self, arena: Arena) -> Checkpoint | None:
        """Store the newest state in the arena; the checkpoint if there is a newer one than before, else None."""
        for _ in range(_TRIES):
            try:
                return self._keep_newest(arena)
            except Torn:
                continue
            except OSError as error:
                self._tell(error)
                return None
        return None

    def keep_results(self, arena: Arena, files: list[ipc.OutputFile]) -> tuple[Blob, ...] | None:
        """Store the results; None when the disk would not take them. ValueError when they are not what they say."""
        check_room(arena, files)
        try:
            return tuple(self._keep_result(arena, file) for file in files)
        except OSError as error:
            self._tell(error)
            return None

    def _keep_newest(self, arena: Arena) -> Checkpoint | None:
        found = arena.newest()
        if found is None or not self._is_news(found[1].seq, found[1].step):
            return None
        with self._blobs.incoming() as blob:
            copied = arena.copy_newest(blob.write)
            if copied is None or not self._is_news(copied.seq, copied.step):
                return None
            self._blobs.note_made(self._task_id, copied.sha256)
            blob.keep(copied.sha256)
        checkpoint = Checkpoint(copied.step, copied.sha256, copied.length)
        self._stored.append(_Stored(copied.seq, checkpoint))
        if len(self._stored) > _KEPT:
            with suppress(OSError):
                self._blobs.drop(self._task_id, self._stored.pop(0).checkpoint.sha256)
        self._told = False
        return checkpoint

    def _is_news(self, seq: int, step: int) -> bool:
        newest = self.newest
        known = self._stored[-1].seq if self._stored else 0
        return seq > known and (newest.step if newest else 0) < step <= self._steps

    def _keep_result(self, arena: Arena, file: ipc.OutputFile) -> Blob:
        with self._blobs.incoming() as blob:
            sha256 = copy_result(arena, file, blob)
            self._blobs.note_made(self._task_id, sha256)
            blob.keep(sha256)
        return Blob(file.role, sha256, file.length, file.format)

    def _tell(self, error: OSError) -> None:
        """Once, until something could be stored again."""
        if not self._told:
            kind = NoticeKind.DISK_FULL if error.errno in _NO_ROOM else NoticeKind.TROUBLE
            self._post(TroubleArose(kind, f"a task's state could not be saved: {error.strerror or 'unknown'}"))
        self._told = True


def check_room(arena: Arena, files: list[ipc.OutputFile]) -> None:
    """ValueError when results have one name, are nothing, or lie one over the other: so that they take no more disk than they may."""
    if len({file.role for file in files}) != len(files):
        raise ValueError("two results have the same name")
    end = 0
    for file in sorted(files, key=lambda file: file.offset):
        if file.length == 0:
            raise ValueError("a result is empty")
        if file.offset < end:
            raise ValueError("two results lie in the same place")
        end = file.offset + file.length
    if end > arena.layout.output_bytes:
        raise ValueError("a result lies outside the room for results")


def copy_result(arena: Arena, file: ipc.OutputFile, blob: Incoming) -> str:
    """Copy one result out; its sha256. ValueError when it lies outside its room or is not the format it says."""
    head = bytearray()

    def write(piece: bytes) -> None:
        if len(head) <= tensors.MOST_HEADER + 8:
            head.extend(piece)
        blob.write(piece)

    sha256 = arena.read_output(file.offset, file.length, write)
    if file.format == "safetensors":
        tensors.read_header(BytesIO(head), file.length)
    return sha256
