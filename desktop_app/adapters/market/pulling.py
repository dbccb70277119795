"""Pulls messages one at a time from a durable consumer, and leaves none behind.

A library fetch that is cancelled loses what the server had already sent until AckWait runs out. Here the subscription is
drained before it ends, and whatever had arrived meanwhile is given back at once, so that a task pulled in the moment of a
withdrawal goes straight to the next GPU. Used by the agent for tasks and verdicts, by the pool and the renter.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import TracebackType

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from desktop_app.adapters.market.ending import end, heed_cancellation
from desktop_app.adapters.market.session import BROKEN, Delivery, Session, stream_position

_ASK_LASTS_S = 25.0
_BEAT_S = 5.0
_PATIENCE_S = 12.0  # without a beat, the request is thought lost
_PAUSE_S = 0.5
_KEEP_S = 3.0

PULL_WAIT_S = 10.0
"""The AckWait of a consumer whose messages are worked on under `kept`: so soon after a crash they are delivered again."""


class Puller:
    """`async with Puller(session, stream, consumer) as puller`, then `next` until it says None."""

    def __init__(self, session: Session, stream: str, consumer: str) -> None:
        self._session = session
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = session.client.new_inbox()
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._subscription: Subscription | None = None
        self._asked = False
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> "Puller":
        self._subscription = await self._session.client.subscribe(self._inbox, cb=self._arrived.put)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ask no more, give back what had arrived, and let `next` say None."""
        self._stopped.set()
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        with contextlib.suppress(*BROKEN):
            await asyncio.shield(subscription.drain())  # type: ignore[no-untyped-call]  # see Session.sync
            while not self._arrived.empty():
                message = self._arrived.get_nowait()
                if message is not None and _status(message) is None:
                    await self._session.again(message.reply)
        self._arrived.put_nowait(None)

    async def next(self) -> Delivery | None:
        """The next message, however long it takes; None once stopped. Raises what a broken session raises."""
        while self._subscription is not None:
            heed_cancellation()
            if not self._asked:
                ask = {"batch": 1, "expires": int(_ASK_LASTS_S * 1e9), "idle_heartbeat": int(_BEAT_S * 1e9)}
                await self._session.client.publish(self._subject, json.dumps(ask).encode(), reply=self._inbox)
                self._asked = True
            message = await self._arrival()
            if message is None:
                continue
            status = _status(message)
            if status is None:
                self._asked = False
                return Delivery(message.subject, message.data, message.reply, stream_position(message.reply)[1])
            if status != "100":
                self._asked = False
                await asyncio.sleep(0 if status in ("404", "408") else _PAUSE_S)
        return None

    async def rest(self, pause_s: float) -> None:
        """Ask for nothing for a while, so that others are asked first; ends early when stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopped.wait()

    async def _arrival(self) -> Msg | None:
        closed = asyncio.ensure_future(self._session.closed.wait())
        arrived = asyncio.ensure_future(self._arrived.get())
        try:
            done, _ = await asyncio.wait((closed, arrived), timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if arrived in done:
                return arrived.result()
            if closed in done:
                raise ConnectionResetError("the market's connection closed")
            self._asked = False
            return None
        finally:
            closed.cancel()
            arrived.cancel()


@contextlib.asynccontextmanager
async def kept(session: Session, delivery: Delivery) -> AsyncIterator[None]:
    """Say in-progress on a message for as long as the block takes."""

    async def keep() -> None:
        with contextlib.suppress(*BROKEN):
            while True:
                heed_cancellation()
                await asyncio.sleep(_KEEP_S)
                await session.keep(delivery.token)

    keeping = asyncio.get_running_loop().create_task(keep())
    try:
        yield
    finally:
        await end(keeping)


def _status(message: Msg) -> str | None:
    return None if message.reply.startswith("$JS.ACK.") else (message.headers or {}).get("Status", "?")
