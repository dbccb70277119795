"""Blobs between this machine's folder and the market's object store, named by their sha256 on both sides.

The store keeps JetStream's object layout, so that any NATS tool can read it. A download asks chunk by chunk, each with its
own time limit: a server that dies in the middle is an error at once and never a silent wait. Files appear whole or not at
all. Used by the agent's market and by the renter.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nats.js.errors
from nats.js.object_store import ObjectStore

from desktop_app.adapters.market.session import Session
from desktop_app.core.errors import AppError
from desktop_app.wire.market import BLOBS

_STREAM = f"OBJ_{BLOBS}"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(Exception):
    """There is no room for the blob."""


class WrongBlob(Exception):
    """The store has no such blob, or another one under its name; the text is the reason."""


async def stored_size(session: Session, sha256: str) -> int | None:
    """How many bytes the store says a blob has, or None when it has no such blob."""
    try:
        return (await _store(session).get_info(sha256)).size
    except nats.js.errors.NotFoundError:
        return None


async def upload(session: Session, sha256: str, path: Path) -> None:
    """Put a file into the store under its hash; one that is there already is left alone."""
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise AppError("A file that is to be handed over cannot be read.", f"Allow reading {path.name}.") from error
    with file:
        if await stored_size(session, sha256) != size:
            await _store(session).put(sha256, file)


async def download(session: Session, sha256: str, size: int, path: Path) -> None:
    """Bring a blob of exactly `size` bytes to `path`. Raises WrongBlob, DiskFull, or what a broken session raises."""
    if await asyncio.to_thread(_holds, path, sha256, size):
        return
    try:
        info = await _store(session).get_info(sha256)
    except nats.js.errors.NotFoundError as error:
        raise WrongBlob("a blob it needs is not in the market's store") from error
    if info.size != size:
        raise WrongBlob(f"a blob of {info.size} bytes where {size} were announced")
    with _disk():
        descriptor, name = await asyncio.to_thread(_temporary, path, size)
    try:
        found = await _receive(session, f"$O.{BLOBS}.C.{info.nuid}", size, descriptor)
        if found != sha256:
            raise WrongBlob("a blob's content does not match its hash")
        with _disk():
            await asyncio.to_thread(_finish, descriptor, name, path)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            Path(name).unlink()


async def _receive(session: Session, subject: str, size: int, descriptor: int) -> str:
    """Write the chunks of an object; returns the hex sha256 of what came."""
    content, received, sequence = hashlib.sha256(), 0, 1
    while received < size:
        try:
            chunk = await session.stream.get_msg(_STREAM, seq=sequence, subject=subject, direct=True, next=True)
        except nats.js.errors.NotFoundError as error:
            raise WrongBlob("a blob in the market's store is not whole") from error
        data, sequence = chunk.data or b"", (chunk.seq or 0) + 1
        received += len(data)
        if not data or received > size:
            raise WrongBlob("a blob in the market's store is not whole")
        with _disk():
            await asyncio.to_thread(_write, descriptor, data)
        content.update(data)
    return content.hexdigest()


def _store(session: Session) -> ObjectStore:
    return ObjectStore(BLOBS, _STREAM, session.stream)


def _holds(path: Path, sha256: str, size: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _temporary(path: Path, size: int) -> tuple[int, str]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(descriptor, 0, size)  # a blob that will not fit is refused before its first byte
        except OSError:
            os.close(descriptor)
            Path(name).unlink()
            raise
    return descriptor, name


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _finish(descriptor: int, name: str, path: Path) -> None:
    os.fsync(descriptor)
    Path(name).replace(path)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(str(error)) from error
        raise AppError("A downloaded file cannot be written.", "Allow writing in the profile folder.") from error
