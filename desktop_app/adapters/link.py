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
    """One connection. `news` says that the guest has not seen the newest state; `mouth` keeps frames whole."""

    def __init__(self, socket_: socket.socket) -> None:
        self.socket = socket_
        self.news = asyncio.Event()
        self.news.set()
        self.mouth = asyncio.Lock()

    async def say(self, frame: bytes) -> None:
        """Send a frame; waits as long as the guest does not read."""
        async with self.mouth:
            await asyncio.get_running_loop().sock_sendall(self.socket, frame)


class Link:
    """Listens at `path` until closed.

    Plain sockets rather than streams: when a guest hangs up while something is sent to it, its last words are still read.
    """

    def __init__(self, path: Path, post: Callable[[Message], None], take_secret: TakeSecret, state: Callable[[], State]) -> None:
        self._path = path
        self._post = post
        self._take_secret = take_secret
        self._state = state
        self._guests: dict[_Guest, asyncio.Task[None]] = {}  # with the task that serves each
        self._drawn: tuple[State, bytes] | None = None  # the newest snapshot, encoded once for all guests
        self._door: socket.socket | None = None
        self._welcoming: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen. Raises AppError when the socket's folder is not private, or cannot be used."""
        try:
            make_private(self._path.parent)
            self._path.unlink(missing_ok=True)  # left by an agent that died; the lock file says that none is alive
            self._door = _listening(self._path)
        except OSError as error:
            raise AppError(f"Sublet cannot listen in {self._path.parent}.", f"Remove that folder, then start again ({error}).") from error
        self._welcoming = asyncio.create_task(self._welcome(self._door))

    def publish(self, _state: State) -> None:
        """Note that there is something new to show."""
        for guest in self._guests:
            guest.news.set()

    async def close(self) -> None:
        """Show the last state, then hang up, also on a guest that does not listen."""
        if self._door is None or self._welcoming is None:
            return
        await _ended(self._welcoming)
        self._door.close()
        self._path.unlink(missing_ok=True)
        last = [asyncio.create_task(guest.say(self._snapshot())) for guest in self._guests if guest.news.is_set()]
        if last:
            await asyncio.wait(last, timeout=GOODBYE_S)
        await _ended(*last, *self._guests.values())

    async def _welcome(self, door: socket.socket) -> None:
        while True:
            try:
                arrived, _ = await asyncio.get_running_loop().sock_accept(door)
            except OSError:
                await asyncio.sleep(PUBLISH_EVERY_S)  # too many open files: the guest waits at the door
                continue
            if _same_user(arrived) and len(self._guests) < GUESTS_MOST:
                guest = _Guest(arrived)
                self._guests[guest] = asyncio.create_task(self._serve(guest))
            else:
                arrived.close()

    async def _serve(self, guest: _Guest) -> None:
        showing = asyncio.create_task(self._show(guest))
        try:
            await self._listen(guest)
        except (link.BrokenFrame, OSError):
            pass  # a guest that speaks nonsense, or hangs up, loses its connection and nothing else
        finally:
            del self._guests[guest]
            await _ended(showing)
            guest.socket.close()

    async def _show(self, guest: _Guest) -> None:
        await guest.say(link.encode_hello(os.getpid()))
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(link.BEAT_S):  # `wait_for` can swallow its cancellation before Python 3.12
                    await guest.news.wait()
            # Without news a greeting says that this loop, which is the engine's own, still turns.
            word = self._snapshot() if guest.news.is_set() else link.encode_hello(os.getpid())
            guest.news.clear()
            await guest.say(word)
            await asyncio.sleep(PUBLISH_EVERY_S)

    def _snapshot(self) -> bytes:
        state = self._state()
        if self._drawn is None or self._drawn[0] is not state:
            self._drawn = (state, link.encode_snapshot(state))
        return self._drawn[1]

    async def _listen(self, guest: _Guest) -> None:
        frames = link.Frames(link.MAX_FROM_GUEST)
        while data := await asyncio.get_running_loop().sock_recv(guest.socket, 1 << 16):
            for frame in frames.feed(data):
                match frame:
                    case link.Post(message):
                        self._post(message)
                    case link.Secret(purpose, secret):
                        reason = await self._take_secret(purpose, bytearray(secret.encode()))
                        await guest.say(link.encode_answer(not reason, reason))
                    case link.Hello(version) if version != link.VERSION:
                        await guest.say(link.encode_answer(False, "this window is of another version; restart Sublet"))
                    case _:
                        pass


def make_private(folder: Path) -> None:
    """Make the socket's folder, or check the one that is there. Raises AppError when another user could reach into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
        raise AppError(f"The folder {folder} belongs to someone else.", "Remove it, or set XDG_RUNTIME_DIR to a folder of yours.")
    folder.chmod(0o700)


def _listening(path: Path) -> socket.socket:
    """A socket of mode 0600 at `path`."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.setblocking(False)
        door.bind(str(path))
        path.chmod(0o600)
        door.listen(GUESTS_MOST)
    except OSError:
        door.close()
        raise
    return door


def _same_user(guest: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the folder's mode is the guard
    raw = guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return bool(uid == os.getuid())


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have let go of their sockets."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
