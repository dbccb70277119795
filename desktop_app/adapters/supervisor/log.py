"""What a worker printed: the newest megabyte in memory, ten on disk, without anything a terminal would obey.

Used by the session, which reads the worker's stdout and stderr, and quotes the tail when a worker crashed.
"""

import re
from contextlib import suppress
from pathlib import Path

RING_BYTES = 1 << 20
FILE_BYTES = 5 << 20  # two of them: the current one and the one before

_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\xc2[\x80-\x9f]|[^\x09\x0a\x20-\x7e\x80-\xff]")


class WorkerLog:
    """The output of one worker, appended to `path`, turned over at five megabytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ring = bytearray()
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def feed(self, data: bytes) -> None:
        """Take what was printed. A disk that is full costs the log and nothing else."""
        clean = _CONTROL.sub(b"", data)
        self._ring += clean
        if len(self._ring) > RING_BYTES:
            del self._ring[: len(self._ring) - RING_BYTES]
        with suppress(OSError):
            self._append(clean)

    def tail(self, characters: int = 500) -> str:
        """The end of it, as text."""
        return bytes(self._ring[-4 * characters :]).decode("utf-8", "replace").strip()[-characters:]

    def _append(self, clean: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(clean) > FILE_BYTES:
            self._path.replace(self._path.with_suffix(".1.log"))
        with self._path.open("ab") as file:
            file.write(clean[-FILE_BYTES:])
