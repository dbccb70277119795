"""Hears the renters' verdicts: a voucher goes to the keeper, a rejection frees the task's units in its job.

A verdict is let go of only when it is written down; a silent chain means again, later. Called by the pool's office.
"""

import logging
from dataclasses import dataclass

from desktop_app.adapters.market import PULL_WAIT_S, Puller, Session, durable, kept
from desktop_app.core.errors import AppError
from desktop_app.pool.admission import Admission
from desktop_app.pool.keeper import Keeper
from desktop_app.wire import market as wire
from desktop_app.wire.market import Refusal, Rejection

_log = logging.getLogger(__name__)
_CONSUMER = "settlement"
_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Settlement:
    """The pool's ear for verdicts."""

    keeper: Keeper
    admission: Admission

    async def run(self, session: Session) -> None:
        """Hear verdicts as long as the session lives."""
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
            await self.keeper.keep(session, verdict)
