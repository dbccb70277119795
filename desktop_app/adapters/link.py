"""The agent's end of the local socket: shows the state to its guests and takes their owner's words.

A Unix socket in a folder of mode 0700, with the peer's uid checked by the kernel. Snapshots are coalesced: a guest that is
slow gets the newest state, never a queue of old ones. A secret goes straight to the function that opens keys, never to the
inbox. Made by `agent.py`; the other end is `ui/bridge.py` or `cli.py`.
"""

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from desktop_app.core.errors import AppError
from desktop_app.core.messages import Message
from desktop_app.core.state import State
from desktop_app.wire import link

PUBLISH_EVERY_S = 0.1
GUESTS_MOST = 16
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

TakeSecret = Callable[[str, bytearray], Awaitable[str]]
"""Given a purpose and a secret: "" when it was taken, else the reason why not."""


class Link:
    """Listens at `path` until closed."""

    def __init__(self, path: Path, post: Callable[[Message], None], take_secret: TakeSecret, state: Callable[[], State]) -> None:
        self._path = path
        self._post = post
        self._take_secret = take_secret
        self._state = state
        self._guests: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._publisher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen. Raises AppError when the socket's folder is not private."""
        make_private(self._path.parent)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()  # left by an agent that died; the lock file says that none is alive
        self._server = await asyncio.start_unix_server(self._welcome, str(self._path))
        self._path.chmod(0o600)
        self._publisher = asyncio.create_task(self._publish_on())

    def publish(self, _state: State) -> None:
        """Note that there is something new to show."""
        self._changed.set()

    async def close(self) -> None:
        """Show the last state, then hang up."""
        if self._publisher is not None:
            self._publisher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._publisher
        for guest in tuple(self._guests):
            guest.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _publish_on(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._guests:
                frame = link.encode_snapshot(self._state())
                for guest in self._guests:
                    _show(guest, frame)
            await asyncio.sleep(PUBLISH_EVERY_S)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _same_user(writer) or len(self._guests) >= GUESTS_MOST:
            writer.close()
            return
        self._guests.add(writer)
        try:
            writer.write(link.encode_hello(os.getpid()))
            writer.write(link.encode_snapshot(self._state()))
            await self._listen(reader, writer)
        except (link.BrokenFrame, ConnectionError, asyncio.IncompleteReadError):
            pass  # a guest that speaks nonsense, or hangs up, loses its connection and nothing else
        finally:
            self._guests.discard(writer)
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = link.Frames(link.MAX_FROM_GUEST)
        while data := await reader.read(1 << 16):
            for frame in frames.feed(data):
                match frame:
                    case link.Post(message):
                        self._post(message)
                    case link.Secret(purpose, secret):
                        reason = await self._take_secret(purpose, bytearray(secret.encode()))
                        writer.write(link.encode_answer(not reason, reason))
                    case link.Hello(version) if version != link.VERSION:
                        writer.write(link.encode_answer(False, "this window is of another version; restart Sublet"))
                    case _:
                        pass


def make_private(folder: Path) -> None:
    """Make the socket's folder, or check the one that is there. Raises AppError when another user could reach into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
        raise AppError(f"The folder {folder} belongs to someone else.", "Remove it, or set XDG_RUNTIME_DIR to a folder of yours.")
    folder.chmod(0o700)


def _same_user(writer: asyncio.StreamWriter) -> bool:
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the folder's mode is the guard
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return bool(uid == os.getuid())


def _show(guest: asyncio.StreamWriter, frame: bytes) -> None:
    """Send unless the guest still has a backlog; it will get the next state instead."""
    if guest.transport.get_write_buffer_size() < link.MAX_FRAME:
        guest.write(frame)
