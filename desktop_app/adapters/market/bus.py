"""Keeps a connection to the market: whenever it is lost, a new session, after a growing pause.

The client library's own reconnection is off: it would replay buffered publishes at a moment of its choosing and keep the
old address for ever, while the practice network may come back on another port. Used by the agent's `Market`, the pool and
the renter.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from nats.aio.client import Client

from desktop_app.adapters.market.ending import end, heed_cancellation
from desktop_app.adapters.market.session import BROKEN, Session
from desktop_app.core.errors import AppError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the market is, and as whom to speak to it."""

    urls: tuple[str, ...]
    user: str
    password: str = field(repr=False)


Serve = Callable[[Session], Awaitable[None]]


class Bus:
    """A session when there is one. `serve` runs for the life of each session, `lost` hears why one ended or none came up."""

    def __init__(self, endpoint: Callable[[], Endpoint], serve: Serve, lost: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._serve = serve
        self._lost = lost
        self._session: Session | None = None
        self._changed = asyncio.Condition()

    async def run_until_told(self) -> None:
        """`run`, as a process of its own does it: until SIGTERM or SIGINT."""
        working = asyncio.ensure_future(self.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # Windows has no signals in the loop
                asyncio.get_running_loop().add_signal_handler(number, working.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await working

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            heed_cancellation()
            try:
                await self._live()
                pause = _FIRST_PAUSE_S
            except AppError as error:
                self._lost(error.title)
            except BROKEN as error:
                _log.info("no market: %r", error)
                self._lost("the market does not answer")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def session(self) -> Session:
        """The live session, waited for."""
        async with self._changed:
            while self._session is None:
                await self._changed.wait()
            return self._session

    async def call(self, work: Callable[[Session], Awaitable[_T]]) -> _T:
        """Do something that is safe to repeat, again and again through broken sessions until it is done."""
        pause = _FIRST_PAUSE_S
        while True:
            heed_cancellation()
            session = await self.session()
            try:
                return await work(session)
            except BROKEN as error:
                _log.info("again, after %r", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _live(self) -> None:
        session = await self._connect()
        serving = asyncio.ensure_future(_served(self._serve, session))
        closing = asyncio.ensure_future(_closed(session))
        try:
            heed_cancellation()
            await self._show(session)
            await asyncio.wait((serving, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._show(None)
            served = serving.done()
            await end(serving, closing)
            session.closed.set()
            with contextlib.suppress(*BROKEN):
                await session.client.close()
        if served:
            serving.result()
        self._lost("the market closed the connection")

    async def _show(self, session: Session | None) -> None:
        async with self._changed:
            self._session = session
            self._changed.notify_all()

    async def _connect(self) -> Session:
        endpoint = self._endpoint()
        client = Client()
        session = Session(client)

        async def closed() -> None:
            session.closed.set()

        async def troubled(error: Exception) -> None:
            _log.info("market connection: %r", error)

        try:
            await client.connect(
                servers=list(endpoint.urls),
                user=endpoint.user,
                password=endpoint.password,
                name=endpoint.user,
                inbox_prefix=f"_INBOX_{endpoint.user}",
                allow_reconnect=False,
                connect_timeout=3,
                ping_interval=20,
                max_outstanding_pings=2,
                closed_cb=closed,
                error_cb=troubled,
            )
        except BaseException:
            with contextlib.suppress(*BROKEN):
                await client.close()  # the library leaves a socket it could not use to the garbage collector
            raise
        return session


async def _served(serve: Serve, session: Session) -> None:
    await serve(session)


async def _closed(session: Session) -> None:
    await session.closed.wait()
