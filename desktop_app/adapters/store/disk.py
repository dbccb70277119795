"""Files that survive: written whole or not at all, for the owner's eyes only, and kept aside when damaged.

Every trouble a disk can make becomes an `AppError` here. Called by the settings file and the database.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desktop_app.core.errors import AppError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT}) if hasattr(errno, "EDQUOT") else frozenset({errno.ENOSPC})
_NEARLY_FULL_BYTES = 1 << 18


def private_folder(folder: Path) -> None:
    """Make the folder, readable by its owner only, if it is not there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_whole(target: Path, data: bytes) -> None:
    """Replace `target` by `data` so that a crash or a full disk leaves either the old file or the new one. Raises OSError."""
    private_folder(target.parent)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # made 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    _settle(target.parent)


def keep_aside(path: Path) -> Path:
    """Move a damaged file out of the way, needing no space, and return its new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


@contextmanager
def trouble_named(folder: Path) -> Iterator[None]:
    """Turn what the disk or the database says into words the owner can act on."""
    try:
        yield
    except OSError as error:
        raise _words(folder, full=error.errno in _FULL, detail=error.strerror or "no reason was given") from error
    except sqlite3.Error as error:
        raise _words(folder, full=_is_full(error), detail=str(error)) from error


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the database file itself is broken, rather than the disk full or the file locked. A row too big to be is torn."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG)


def _is_full(error: sqlite3.Error) -> bool:
    return _code(error) == sqlite3.SQLITE_FULL


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; its extended codes keep it in their lowest byte."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


def _words(folder: Path, *, full: bool, detail: str) -> AppError:
    if full or _nearly_full(folder):
        return AppError(
            "The disk is full.",
            f"Free some space where {folder} lies; what was saved before is untouched, and saving is tried again by itself.",
        )
    return AppError(
        f"Sublet cannot use its files: {detail}.",
        f"See that {folder} belongs to you, can be written, and is used by one Sublet only.",
    )


def _nearly_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _NEARLY_FULL_BYTES
    except OSError:
        return False


def _settle(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
