"""One connection to the market: publish, buckets, requests and acknowledgements, in typed form.

A session lives as long as its connection; `Bus` makes the next one. Whatever fails because the connection or the server
does raises one of `BROKEN`, which callers treat as "again, later". Used by everything in this folder, the pool and the renter.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header

from desktop_app.adapters.market.ending import end

BROKEN = (nats.errors.Error, TimeoutError, OSError)
"""What a lost or restarting server looks like."""

_log = logging.getLogger(__name__)
_ACK_TIMEOUT_S = 2.0
_SYNC_TIMEOUT_S = 90  # beyond the time after which a silent connection is closed
_MOST_AT_ONCE = 64
_LAST_SEQUENCE_ERRORS = (10071, 10164)
_SHORT_REPLY = 9  # tokens of an ack subject without domain and account


@dataclass(frozen=True, slots=True)
class Entry:
    """A bucket's value, and the revision that a later compare-and-swap names."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from a consumer. `token` is the subject that takes its acknowledgement, also after a restart."""

    subject: str
    data: bytes
    token: str
    sequence: int  # in the stream


class Session:
    """Typed access to one live connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stream = client.jetstream(timeout=5)
        self.closed = asyncio.Event()

    async def sync(self) -> None:
        """Wait until the server has had all that was said so far.

        Shielded, since the client library's reading ends for good when an answer comes to a wait that was cancelled.
        """
        await asyncio.shield(self.client.flush(timeout=_SYNC_TIMEOUT_S))

    async def publish(self, subject: str, data: bytes, once: str = "") -> None:
        """Put a message into the stream of that subject; `once` names it, so that a repetition is dropped."""
        await self.stream.publish(subject, data, headers={Header.MSG_ID.value: once} if once else None)

    async def read(self, bucket: str, key: str) -> Entry | None:
        """A bucket's newest value."""
        try:
            found = await self.stream.get_msg(f"KV_{bucket}", subject=f"$KV.{bucket}.{key}", direct=True)
        except nats.js.errors.NotFoundError:
            return None
        if (found.headers or {}).get("KV-Operation") in ("DEL", "PURGE"):
            return None
        return Entry(found.data or b"", found.seq or 0)

    async def write(self, bucket: str, key: str, value: bytes, revision: int | None = None) -> int | None:
        """Write a value and return its revision; with `revision`, only over that one (0: only if new), else None."""
        expected = None if revision is None else {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(revision)}
        try:
            acknowledged = await self.stream.publish(f"$KV.{bucket}.{key}", value, headers=expected)
        except nats.js.errors.APIError as error:
            if error.err_code in _LAST_SEQUENCE_ERRORS:
                return None
            raise
        return acknowledged.seq

    async def forget(self, bucket: str, key: str) -> None:
        """Remove a key."""
        await self.stream.publish(f"$KV.{bucket}.{key}", b"", headers={"KV-Operation": "DEL"})

    async def keys(self, bucket: str) -> tuple[str, ...]:
        """The keys of a bucket, removed ones among them as long as the bucket remembers that they were."""
        found = await self.stream.stream_info(f"KV_{bucket}", subjects_filter=f"$KV.{bucket}.>")
        return tuple(subject.removeprefix(f"$KV.{bucket}.") for subject in found.state.subjects or {})

    async def listen(self, subject: str, hear: Callable[[str, bytes], Awaitable[None]]) -> None:
        """Hear plain messages on a subject until the session ends."""

        async def heard(message: Msg) -> None:
            await hear(message.subject, message.data)

        await self.client.subscribe(subject, cb=heard)
        await self.sync()

    async def answer(self, subject: str, reply: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Answer requests on a subject until the session ends, sharing them with everyone else who answers there."""
        running: set[asyncio.Task[None]] = set()

        async def work(message: Msg) -> None:
            try:
                await self.client.publish(message.reply, await reply(message.subject, message.data))
            except BROKEN as error:
                _log.info("a request on %s goes unanswered: %r", message.subject, error)

        async def asked(message: Msg) -> None:
            if message.reply and len(running) < _MOST_AT_ONCE:
                task = asyncio.get_running_loop().create_task(work(message))
                running.add(task)
                task.add_done_callback(running.discard)

        await self.client.subscribe(subject, queue="pool", cb=asked)
        try:
            await self.closed.wait()
        finally:
            await end(*running)

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask, and wait for the answer."""
        message = await self.client.request(subject, data, timeout=timeout_s)
        return bytes(message.data)

    async def message(self, stream: str, sequence: int) -> bytes | None:
        """A message that is still in a stream, or None once it was acknowledged away."""
        try:
            found = await self.stream.get_msg(stream, seq=sequence)
        except nats.js.errors.NotFoundError:
            return None
        return found.data or b""

    async def ack(self, token: str) -> None:
        """Done with the message. Waits for the server's word; doing it again is no harm."""
        try:
            await self.client.request(token, b"+ACK", timeout=_ACK_TIMEOUT_S)
        except TimeoutError:
            stream, sequence = stream_position(token)
            if await self.message(stream, sequence) is not None:
                raise

    async def keep(self, token: str) -> None:
        """Still working on the message."""
        await self.client.publish(token, b"+WPI")
        await self.sync()

    async def again(self, token: str, delay_s: float = 0.0) -> None:
        """Give the message back, to be delivered again after `delay_s`."""
        delay = f" {json.dumps({'delay': int(delay_s * 1e9)})}" if delay_s else ""
        await self.client.publish(token, b"-NAK" + delay.encode())
        await self.sync()

    async def end(self, token: str) -> None:
        """Never deliver the message again."""
        await self.client.publish(token, b"+TERM")
        await self.sync()


def stream_position(token: str) -> tuple[str, int]:
    """The stream and the stream sequence that an ack subject names."""
    tokens = token.split(".")
    if len(tokens) == _SHORT_REPLY:
        return tokens[2], int(tokens[5])
    return tokens[4], int(tokens[7])
