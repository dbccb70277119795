"""What is left to do once work is paid: jobs that are over are closed, stuck money is delivered, fees go to the treasury.

Each deed is done by one pool only, and only while the relayer has ether; the fees are fetched when there are enough of them to pay
for the trip. Called by the pool's office.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from desktop_app.adapters.chain import Chain, Job, Mined, Refused, Relayer
from desktop_app.adapters.market import Session
from desktop_app.core.errors import AppError
from desktop_app.core.keeping import GRACE_S
from desktop_app.pool.deeds import once, sent
from desktop_app.pool.fuel import Fuel
from desktop_app.pool.keeper import Keeper
from desktop_app.wire import market as wire
from desktop_app.wire import pooling
from desktop_app.wire.market import Refusal
from desktop_app.wire.pooling import Waiting, deed_key

SWEEP_EVERY_S: Final = 300.0
FEES_EVERY_S: Final = 24 * 3_600
MOST_JOBS: Final = 200
"""So many jobs' fees are fetched in one transaction."""

_SWEEP_GAS: Final = 60_000
_JOB_GAS: Final = 8_000
_WORTH_IT: Final = 10
"""Fees are fetched when they are this many times what fetching them costs."""

_log = logging.getLogger(__name__)


class Sweeping:
    """One market's broom."""

    def __init__(self, chain: Chain, relayer: Relayer, fuel: Fuel, keeper: Keeper) -> None:
        self._chain = chain
        self._relayer = relayer
        self._fuel = fuel
        self._keeper = keeper
        self._closed: set[str] = set()

    async def run(self, session: Session) -> None:
        """Sweep now and then, as long as the session lives."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep(session)
            except AppError as error:
                _log.warning("sweeping waits: %s", error.title)

    async def sweep(self, session: Session) -> None:
        """Once round. Raises AppError while the chain is silent."""
        if await self._fuel.refusal() is not None:
            return
        jobs = await self._jobs(session)
        waiting = {job.renter for job_id, job in jobs.items() if await self._close(session, job_id, job)}
        for account in tuple(self._keeper.paid):
            waiting |= {who for who, _bps in await asyncio.to_thread(self._chain.payees, account)}
            self._keeper.paid.discard(account)
        for address in waiting:
            if await asyncio.to_thread(self._chain.owed, address):
                await session.write(pooling.OWED, address, wire.pack(Waiting(int(time.time()))))
        for address in await session.keys(pooling.OWED):
            await self._deliver(session, address)
        await self._fetch_fees(session, {job_id: job for job_id, job in jobs.items() if job.fees})

    async def _jobs(self, session: Session) -> dict[str, Job]:
        """The open jobs that this market knows; a closed one is asked for once."""
        found: dict[str, Job] = {}
        known = frozenset(await session.keys(wire.JOBS))
        self._closed &= known
        for job_id in (known | self._keeper.jobs()) - self._closed:
            job = await asyncio.to_thread(self._chain.job, job_id)
            if job is not None and job.is_open:
                found[job_id] = job
                self._keeper.hear_deadline(job_id, job.deadline)
            elif job is not None:
                self._closed.add(job_id)
        return found

    async def _close(self, session: Session, job_id: str, job: Job) -> bool:
        """Close a job that is over; whether it is closed now. A claim that is undecided holds it open."""
        if job.used < job.units and time.time() <= job.deadline + GRACE_S:
            return False
        return await self._done(session, "close", job_id, lambda: self._relayer.close_job(job_id))

    async def _deliver(self, session: Session, address: str) -> None:
        """Push what waits for an address; while the stablecoin refuses, it goes on waiting."""
        if not await asyncio.to_thread(self._chain.owed, address):
            if await session.read(pooling.OWED, address) is not None:
                await session.forget(pooling.OWED, address)
            return
        outcome = await asyncio.to_thread(self._relayer.withdraw_owed, address)
        if not isinstance(outcome, Refused):
            _log.info("delivered what was owed to %s: %s", address, outcome.transaction)

    async def _fetch_fees(self, session: Session, jobs: dict[str, Job]) -> None:
        """Once a day, if they are worth the trip."""
        richest = sorted(jobs, key=lambda job_id: jobs[job_id].fees, reverse=True)[:MOST_JOBS]
        accrued = await asyncio.to_thread(self._chain.client.view, self._chain.client.escrow.fees_accrued())
        fees = accrued + sum(jobs[job_id].fees for job_id in richest)
        if not fees or fees < _WORTH_IT * await self._fuel.cost(_SWEEP_GAS + _JOB_GAS * len(richest)):
            return
        await self._done(session, "fees", str(int(time.time()) // FEES_EVERY_S), lambda: self._relayer.sweep_fees(richest))

    async def _done(self, session: Session, what: str, name: str, deed: Callable[[], Mined | Refused]) -> bool:
        async def work() -> wire.Answer:
            return sent(await asyncio.to_thread(deed))

        answer = await once(session, deed_key(what, self._chain.network.escrow, name), work)
        if isinstance(answer, Refusal):
            _log.info("%s of %s waits: %s", what, name, answer.reason)
        return not isinstance(answer, Refusal)
