"""What a worker printed: the newest megabyte in memory, ten on disk, without anything a terminal or a window would obey.

A worker that prints without end would wear out the owner's disk although the files stay small, so that only so much a minute
is written. Used by the session, which reads the worker's stdout and stderr, and quotes the tail when a worker crashed.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RING_BYTES = 1 << 20
FILE_BYTES = 5 << 20  # two of them: the current one and the one before
BURST_BYTES = 12 << 20
BYTES_PER_S = 32 << 10
_GLIMPSE = 4096  # what is looked at of each piece beyond that

_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\xc2[\x80-\x9f]|[^\x09\x0a\x20-\x7e\x80-\xff]")


class WorkerLog:
    """The output of one worker, appended to `path`, turned over at five megabytes. `clock` counts seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._ring = bytearray()
        self._half = b""  # the first byte of a letter that the next piece may make a control character
        self._room, self._filled = float(BURST_BYTES), clock()
        self._left_out = 0
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def feed(self, data: bytes) -> None:
        """Take what was printed. A disk that is full costs the log and nothing else."""
        if not self._affordable(len(data)):
            self._left_out += len(data)
            self._remember(self._clean(data[-_GLIMPSE:]))
            return
        clean = self._clean(data)
        self._remember(clean)
        if self._left_out:
            clean = f"\n[{self._left_out} bytes left out: it printed too much]\n".encode() + clean
            self._left_out = 0
        with suppress(OSError):
            self._append(clean)

    def tail(self, characters: int = 500) -> str:
        """The end of it, as text of letters that can be shown."""
        text = bytes(self._ring[-4 * characters :]).decode("utf-8", "replace")
        return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text).strip()[-characters:]

    def _affordable(self, size: int) -> bool:
        now = self._clock()
        self._room = min(float(BURST_BYTES), self._room + BYTES_PER_S * (now - self._filled))
        self._filled = now
        if size > self._room:
            return False
        self._room -= size
        return True

    def _clean(self, data: bytes) -> bytes:
        data = self._half + data
        self._half = b"\xc2" if data.endswith(b"\xc2") else b""
        return _CONTROL.sub(b"", data[: len(data) - len(self._half)])

    def _remember(self, clean: bytes) -> None:
        self._ring += clean
        if len(self._ring) > RING_BYTES:
            del self._ring[: len(self._ring) - RING_BYTES]

    def _append(self, clean: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(clean) > FILE_BYTES:
            self._path.replace(self._path.with_suffix(".1.log"))
        with self._path.open("ab") as file:
            file.write(clean[-FILE_BYTES:])
