"""Both ends of the agent's socket, for the tests of the link: what stands behind it, and a guest who speaks in frames."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from desktop_app.adapters.link import Link
from desktop_app.core.messages import Message
from desktop_app.core.money import Rate
from desktop_app.core.state import State
from desktop_app.wire import link
from tests.builders import a_state

SECRET = "correct horse battery staple"


class Agent:
    """What stands behind the link: an inbox, a keyhole and the state."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inbox: list[Message] = []
        self.secrets: list[tuple[str, bytes]] = []
        self.state: State = a_state()
        self.link = Link(path, self.inbox.append, self.take_secret, lambda: self.state)
        self.guests: list[Guest] = []

    async def take_secret(self, purpose: str, secret: bytearray) -> str:
        self.secrets.append((purpose, bytes(secret)))
        await asyncio.sleep(0.01)
        return "" if purpose == "unlock" else "wrong passphrase"

    def show(self, state: State) -> None:
        self.state = state
        self.link.publish(state)

    async def guest(self) -> "Guest":
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 22)
        self.guests.append(Guest(reader, writer))
        return self.guests[-1]


class Guest:
    """The other end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = link.Frames()
        self.waiting: list[link.Frame] = []

    async def next(self) -> link.Frame | None:
        """The next frame, or None when the agent hung up."""
        while not self.waiting:
            try:
                data = await asyncio.wait_for(self.reader.read(1 << 16), 5)
            except ConnectionError:
                return None
            if not data:
                return None
            self.waiting += self.frames.feed(data)
        return self.waiting.pop(0)

    async def until(self, met: Callable[[State], bool]) -> State:
        while True:
            frame = await self.next()
            assert frame is not None, "the agent hung up"
            if isinstance(frame, link.Snapshot) and met(frame.state):
                return frame.state

    async def hung_up(self) -> bool:
        while await self.next() is not None:
            pass
        return True

    def say(self, data: bytes) -> None:
        self.writer.write(data)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Agent]:
    agent = Agent(folder / "run" / "agent.sock")
    await agent.link.open()
    try:
        yield agent
    finally:
        await agent.link.close()
        for guest in agent.guests:
            guest.writer.close()
            with contextlib.suppress(ConnectionError):
                await guest.writer.wait_closed()


async def eventually(met: Callable[[], object]) -> None:
    for _ in range(1_000):
        if met():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def floor(state: State, amount: int) -> State:
    return replace(state, settings=replace(state.settings, floor=Rate(amount)))
