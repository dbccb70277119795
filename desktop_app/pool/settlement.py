"""Pays out: every voucher a renter publishes is redeemed on chain, every rejection frees the task's units in its job.

Practice redeems each voucher at once; a live keeper will wait for an amount or a day. A voucher that the chain refuses is
no longer anybody's claim and is let go with a line in the log; a silent chain means again, later. Called by the pool.
"""

import asyncio
import logging
from dataclasses import dataclass

from desktop_app.adapters.chain import Refused, Relayer
from desktop_app.adapters.market import PULL_WAIT_S, Puller, Session, durable, kept
from desktop_app.core.errors import AppError
from desktop_app.core.money import Units
from desktop_app.pool.admission import Admission
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import Voucher
from desktop_app.wire.market import Refusal, Rejection

_log = logging.getLogger(__name__)
_CONSUMER = "settlement"
_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Settlement:
    """The keeper."""

    relayer: Relayer
    admission: Admission

    async def run(self, session: Session) -> None:
        """Settle verdicts as long as the session lives."""
        await durable(session, wire.VERDICTS, _CONSUMER, "verdicts.*.*", PULL_WAIT_S)
        async with Puller(session, wire.VERDICTS, _CONSUMER) as puller:
            while (delivery := await puller.next()) is not None:
                try:
                    async with kept(session, delivery):
                        await self._settle(session, wire.unpack(delivery.data, wire.Verdict))  # type: ignore[arg-type]
                except AppError as error:
                    _log.warning("a verdict waits: %s", error.title)
                    await session.again(delivery.token, _AGAIN_S)
                else:
                    await session.ack(delivery.token)

    async def _settle(self, session: Session, verdict: wire.Verdict | Refusal) -> None:
        if isinstance(verdict, Refusal):
            _log.warning("a verdict that cannot be read: %s", verdict.reason)
        elif isinstance(verdict, Rejection):
            await self.admission.release(session, verdict.job_id, verdict.task_id)
        else:
            voucher = Voucher(verdict.job_id, verdict.gpu_id, Units(verdict.units), verdict.root)
            outcome = await asyncio.to_thread(self.relayer.redeem, voucher, verdict.signature)
            if isinstance(outcome, Refused):
                _log.warning("the chain refuses a voucher for GPU %s: %s", verdict.gpu_id, outcome.reason)
            else:
                _log.info("paid GPU %s up to %s units: %s", verdict.gpu_id, verdict.units, outcome.transaction)
