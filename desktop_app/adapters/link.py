"""The agent's end of the local socket: shows the state to its guests and takes their owner's words.

A Unix socket in a folder of mode 0700, with the peer's uid checked by the kernel. Each guest is shown the state at its own
pace: one that is slow gets the newest when it has caught up, never a queue of old ones, and keeps nobody waiting. A secret
goes straight to the function that opens keys, never to the inbox. Made by `agent.py`; the other end is `ui/bridge.py` or
`cli.py`.
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
GOODBYE_S = 0.5  # for guests to take the last state
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

TakeSecret = Callable[[str, bytearray], Awaitable[str]]
"""Given a purpose and a secret: "" when it was taken, else the reason why not."""


class _Guest:
    """One connection. `news` says that the guest has not seen the newest state."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.news = asyncio.Event()
        self.news.set()


class Link:
    """Listens at `path` until closed."""

    def __init__(self, path: Path, post: Callable[[Message], None], take_secret: TakeSecret, state: Callable[[], State]) -> None:
        self._path = path
        self._post = post
        self._take_secret = take_secret
        self._state = state
        self._guests: dict[_Guest, asyncio.Task[None] | None] = {}  # with the task that serves each
        self._drawn: tuple[State, bytes] | None = None  # the newest snapshot, encoded once for all guests
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen. Raises AppError when the socket's folder is not private, or cannot be used."""
        try:
            make_private(self._path.parent)
            self._path.unlink(missing_ok=True)  # left by an agent that died; the lock file says that none is alive
            self._server = await asyncio.start_unix_server(self._welcome, str(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            raise AppError(f"Sublet cannot listen in {self._path.parent}.", f"Remove that folder, then start again ({error}).") from error

    def publish(self, _state: State) -> None:
        """Note that there is something new to show."""
        for guest in self._guests:
            guest.news.set()

    async def close(self) -> None:
        """Show the last state, then hang up, also on a guest that does not listen."""
        if self._server is None:
            return
        self._server.close()
        serving = [task for task in self._guests.values() if task is not None]
        for guest in self._guests:
            if guest.news.is_set() and guest.writer.transport.get_write_buffer_size() == 0:
                guest.writer.write(self._snapshot())
            guest.writer.close()
        if serving:
            await asyncio.wait(serving, timeout=GOODBYE_S)
            for guest in self._guests:
                guest.writer.transport.abort()
            await asyncio.wait(serving)
        await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _same_user(writer) or len(self._guests) >= GUESTS_MOST:
            writer.close()
            return
        guest = _Guest(writer)
        self._guests[guest] = asyncio.current_task()
        writer.write(link.encode_hello(os.getpid()))
        showing = asyncio.create_task(self._show(guest))
        try:
            await self._listen(reader, writer)
        except (link.BrokenFrame, ConnectionError):
            pass  # a guest that speaks nonsense, or hangs up, loses its connection and nothing else
        finally:
            del self._guests[guest]
            showing.cancel()
            writer.transport.abort()

    async def _show(self, guest: _Guest) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await guest.news.wait()
                await guest.writer.drain()  # a guest with a backlog is shown nothing until it has caught up
                guest.news.clear()
                guest.writer.write(self._snapshot())
                await asyncio.sleep(PUBLISH_EVERY_S)

    def _snapshot(self) -> bytes:
        state = self._state()
        if self._drawn is None or self._drawn[0] is not state:
            self._drawn = (state, link.encode_snapshot(state))
        return self._drawn[1]

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
