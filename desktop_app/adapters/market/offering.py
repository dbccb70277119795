"""Offering the GPU: says so to the market, pulls one task, and turns it into a lease.

A task is taken only after its manifest parsed and its signature was recovered; one that fails there is ended for everyone
and reported. An offer yields one lease and is then over. Used by `Market`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from desktop_app.adapters.market import leases
from desktop_app.adapters.market.ending import end, heed_cancellation
from desktop_app.adapters.market.pulling import Puller
from desktop_app.adapters.market.session import BROKEN, Delivery, Session
from desktop_app.core import messages as m
from desktop_app.core.money import Rate
from desktop_app.core.task import Lease, Manifest
from desktop_app.wire import market as wire
from desktop_app.wire.market import LeaseRecord, Offer, PostedTask, Refusal

_log = logging.getLogger(__name__)
_TOO_CHEAP_AGAIN_S = 0.5
_TOO_CHEAP_REST_S = 15.0  # times the deliveries a message may have, it is how long a task nobody takes stays on the queue

Judge = Callable[[PostedTask], Manifest | str]
"""The manifest of a posted task that its renter signed, or why it is none. Runs in a thread."""


class Offering:
    """One GPU's offer. `won` is told each lease before it is posted, to begin its heartbeats."""

    def __init__(self, post: Callable[[m.Message], None], judge: Judge, won: Callable[[Lease], None]) -> None:
        self._post = post
        self._judge = judge
        self._won = won
        self._gpu_id = 0
        self._offer: Offer | None = None  # what is pulled for
        self._shown: Offer | None = None  # what the market was told last
        self._busy = False
        self._puller: Puller | None = None
        self._pulling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def begin(self, session: Session, offer: Offer, gpu_id: int) -> None:
        """Offer anew; an offer under other terms is ended first."""
        await self.end()
        self._offer, self._shown, self._gpu_id = offer, offer, gpu_id
        self._changed.set()
        self._pulling = asyncio.get_running_loop().create_task(self._pull(session, offer, gpu_id))

    async def end(self) -> None:
        """Stop pulling. A lease being won in this very moment is still posted, so that nobody waits for a silent holder."""
        self._offer = None
        self._changed.set()
        if self._puller is not None:
            await self._puller.stop()
        pulling, self._pulling = self._pulling, None
        if pulling is not None:
            await asyncio.wait((pulling,))  # it may have been cancelled with its session, which must not cancel whoever asks
            if not pulling.cancelled():
                pulling.result()

    def busy(self, busy: bool) -> None:
        """The GPU is at work on a lease, or no longer."""
        self._busy = busy
        self._changed.set()

    async def run(self, session: Session) -> None:
        """Tell the market about the offer as long as the session lives; the offer dies with it."""
        told = False
        try:
            while True:
                self._changed.clear()
                if self._shown is not None and (self._offer is not None or self._busy):
                    shown = msgspec.structs.replace(self._shown, busy=self._busy)
                    await session.write(wire.OFFERS, str(self._gpu_id), wire.pack(shown))
                    told = True
                elif told:
                    await session.forget(wire.OFFERS, str(self._gpu_id))
                    told = False
                heed_cancellation()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wire.OFFER_EVERY_S if told else None):
                        await self._changed.wait()
        finally:
            self._offer = None
            if self._pulling is not None:
                await end(self._pulling)

    async def _pull(self, session: Session, offer: Offer, gpu_id: int) -> None:
        try:
            async with Puller(session, wire.TASKS, wire.task_consumer(offer.tier)) as puller:
                self._puller = puller
                # an offer that was withdrawn before there was anything to stop would wait here for ever
                while self._offer is offer and (delivery := await puller.next()) is not None:
                    if self._offer is not offer:
                        await session.again(delivery.token)
                        return
                    lease = await self._take(session, offer, gpu_id, delivery, puller)
                    if lease is not None:
                        self._offer = None
                        self._won(lease)
                        self._post(m.MarketLeased(lease))
                        return
        except BROKEN as error:
            _log.info("the offer ended: %r", error)
            session.closed.set()  # on a connection that lives on, the GPU would stay on offer with nobody who asks
        finally:
            self._puller = None
            self._changed.set()

    async def _take(self, session: Session, offer: Offer, gpu_id: int, delivery: Delivery, puller: Puller) -> Lease | None:
        posted = wire.unpack(delivery.data, PostedTask)
        if isinstance(posted, Refusal):
            await self._refuse(session, delivery, "unknown", posted.reason)
            return None
        if posted.rate < offer.floor:
            await session.again(delivery.token, _TOO_CHEAP_AGAIN_S)
            await puller.rest(_TOO_CHEAP_REST_S)
            return None
        manifest = await asyncio.to_thread(self._judge, posted)
        if isinstance(manifest, Manifest) and (manifest.task_id, manifest.tier) != (posted.task_id, offer.tier):
            manifest = "the task is not what its envelope says"
        if isinstance(manifest, str):
            await self._refuse(session, delivery, posted.task_id, manifest)
            return None
        if self._offer is not offer:
            await session.again(delivery.token)
            return None
        outcome = await leases.take(session, manifest.task_id, gpu_id, delivery)
        if isinstance(outcome, leases.Passed):
            await session.ack(delivery.token)
            return None
        return _lease(manifest, posted, delivery, outcome.record)

    async def _refuse(self, session: Session, delivery: Delivery, task_id: str, reason: str) -> None:
        await session.end(delivery.token)
        with contextlib.suppress(*BROKEN):
            await session.request("pool.report", wire.pack(wire.ReportTask(task_id, reason[:500])), 5)
        self._post(m.MarketRefusedTask(task_id, reason))


def _lease(manifest: Manifest, posted: PostedTask, delivery: Delivery, record: LeaseRecord) -> Lease:
    return Lease(
        manifest=manifest,
        epoch=record.epoch,
        token=delivery.token,
        rate=Rate(posted.rate),
        checkpoint=record.checkpoint,
        prev_receipt=record.prev_receipt,
    )
