"""Hears the renters' verdicts on this machine's work, each once and in order, across restarts.

A voucher is posted only after the root's check against signature and escrow said yes; one that fails the check is told to
the owner as a rejection of the tasks it claims to pay. Used by `Market`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from desktop_app.adapters.market.ending import together
from desktop_app.adapters.market.house import durable
from desktop_app.adapters.market.pulling import PULL_WAIT_S, Puller, kept
from desktop_app.adapters.market.session import Session
from desktop_app.core import messages as m
from desktop_app.core.errors import AppError
from desktop_app.core.money import Rate, Units
from desktop_app.wire import market as wire

_log = logging.getLogger(__name__)
_CHECK_AGAIN_S = 2.0


class Verdicts:
    """Follows the verdicts on every account it was told: after a GPU changed its account, work done before is still judged."""

    def __init__(
        self,
        post: Callable[[m.Message], None],
        check: Callable[[wire.VoucherVerdict], Awaitable[str | None]],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`settled` waits until what was posted is written down; only then may the market forget a verdict."""
        self._post = post
        self._check = check
        self._settled = settled
        self._followed: frozenset[int] = frozenset()
        self._changed = asyncio.Event()

    def follow(self, gpu_id: int) -> None:
        """Whose verdicts to hear, too. `gpu_id` is a GPU's account."""
        if gpu_id not in self._followed:
            self._followed |= {gpu_id}
            self._changed.set()

    async def run(self, session: Session) -> None:
        """Hear them as long as the session lives."""
        while True:
            self._changed.clear()
            await together(self._until_changed(), *(self._hear(session, gpu_id) for gpu_id in self._followed))

    async def _until_changed(self) -> None:
        await self._changed.wait()

    async def _hear(self, session: Session, gpu_id: int) -> None:
        name = f"gpu-{gpu_id}"
        await durable(session, wire.VERDICTS, name, f"verdicts.{gpu_id}.*", PULL_WAIT_S)
        async with Puller(session, wire.VERDICTS, name) as puller:
            while (delivery := await puller.next()) is not None:
                try:
                    async with kept(session, delivery):
                        await self._weigh(gpu_id, wire.unpack(delivery.data, wire.Verdict))  # type: ignore[arg-type]
                        await self._settled()
                except AppError as error:
                    _log.info("a voucher waits to be checked: %s", error.title)
                    await session.again(delivery.token, _CHECK_AGAIN_S)
                else:
                    await session.ack(delivery.token)

    async def _weigh(self, gpu_id: int, verdict: wire.Verdict | wire.Refusal) -> None:
        if isinstance(verdict, wire.Refusal):
            _log.warning("a verdict that cannot be read: %s", verdict.reason)
        elif isinstance(verdict, wire.Rejection):
            self._post(m.RenterRejectedResult(verdict.task_id, verdict.reason))
        else:
            reason = "it is for another GPU" if verdict.gpu_id != gpu_id else await self._check(verdict)
            if reason is None:
                self._post(_arrived(verdict))
            else:
                for task_id in verdict.task_ids:
                    self._post(m.RenterRejectedResult(task_id, f"the renter's voucher does not hold: {reason}"))


def _arrived(verdict: wire.VoucherVerdict) -> m.VoucherArrived:
    return m.VoucherArrived(
        job_id=verdict.job_id,
        units=Units(verdict.units),
        rate=Rate(verdict.rate),
        fee_bps=verdict.fee_bps,
        root=verdict.root,
        signature=verdict.signature,
        task_ids=verdict.task_ids,
        gpu=verdict.gpu_id,
    )
