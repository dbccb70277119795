"""Follows the chain: payouts and balance, to whom the GPU is registered, and until when vouchers count.

Looks often while money is on its way, seldom otherwise. Called by `agent.money`; everything it learns is posted.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from desktop_app.adapters.chain import Chain
from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Named, number_of
from desktop_app.core.keeping import GRACE_S
from desktop_app.core.ledger import due
from desktop_app.core.state import JobAccount, Paid, State

FOLLOW_BUSY_S = 1.0
FOLLOW_IDLE_S = 30.0
REGISTRY_S = 30.0  # a GPU seldom changes hands
JOB_S = 600.0  # a renter may bring a job's deadline forward


class Following:
    """`state` gives the newest state; `post` takes what was learnt."""

    def __init__(self, chain: Chain, post: Callable[[m.Message], None], state: Callable[[], State]) -> None:
        self._chain = chain
        self._post = post
        self._state = state
        self._wake = asyncio.Event()
        self._registry_seen = -REGISTRY_S  # the clock counts from the machine's start, which may be just now
        self._jobs_seen: dict[str, float] = {}

    def wake(self) -> None:
        """Look now rather than at the next turn."""
        self._wake.set()

    async def run(self) -> None:
        """Look again and again, for as long as the agent lives."""
        while True:
            try:
                await self.look()
                await self._look_at_registry()
                await self._look_at_jobs()
            except AppError as error:
                self._post(m.ChainLost(error.title))
            self._wake.clear()
            waited = 0.0
            while waited < (FOLLOW_BUSY_S if _expects_money(self._state()) else FOLLOW_IDLE_S) and not self._wake.is_set():
                # `wait_for` would swallow the word to end in the moment of the waking, before Python 3.12
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FOLLOW_BUSY_S):
                        await self._wake.wait()
                waited += FOLLOW_BUSY_S

    async def look(self) -> None:
        """Tell payouts and balance as of now. Raises AppError while the chain is silent."""
        wallet = self._state().wallet
        if not wallet.address:
            return
        payee = self._state().settings.payout_address or wallet.address
        balance, block = await asyncio.to_thread(self._chain.balance, wallet.address)
        if block != wallet.block:
            for payout, units in await asyncio.to_thread(self._chain.payouts, payee, wallet.block, block, _only(self._state())):
                self._post(m.ChainPaid(payout, units))
        self._post(m.ChainSaid(balance, block))

    async def _look_at_registry(self) -> None:
        gpu, now = self._state().gpu, time.monotonic()
        if gpu.chain_id is None or (gpu.named is not None and now < self._registry_seen + REGISTRY_S):
            return
        self._registry_seen = now
        named = await asyncio.to_thread(self._named, number_of(gpu.chain_id))
        if named is not None and named != gpu.named:
            self._post(m.ChainNamedGpu(named.account, named.co_bps))

    def _named(self, number: int) -> Named | None:
        """What the registry says of a GPU now; None when it knows none of that number."""
        gpu = self._chain.gpu(number)
        return None if gpu is None else Named(gpu.account, sum(bps for _who, bps in self._chain.payees(gpu.account)[1:]))

    async def _look_at_jobs(self) -> None:
        """Until when what is earned can be redeemed, and whether it still can."""
        accounts, now = due(self._state()), time.monotonic()
        self._jobs_seen = {one.job_id: self._jobs_seen[one.job_id] for one in accounts if one.job_id in self._jobs_seen}
        for account in accounts:
            if now >= self._jobs_seen.get(account.job_id, -JOB_S) + JOB_S:
                self._jobs_seen[account.job_id] = now
                await self._look_at_job(account)

    async def _look_at_job(self, account: JobAccount) -> None:
        job = await asyncio.to_thread(self._chain.job, account.job_id)
        if job is None:
            return
        if job.is_open:
            if job.deadline + GRACE_S != account.keeping.until:
                self._post(m.ChainSaidJob(account.job_id, job.deadline + GRACE_S))
            return
        gpu = account.keeping.gpu or self._state().gpu.chain_id or 0
        if await asyncio.to_thread(self._chain.units_paid, account.job_id, gpu) < account.vouched:
            self._post(m.ChainClosedJob(account.job_id))


def _only(state: State) -> int | None:
    """The one account whose units count here; None while vouchers for an earlier one are kept too."""
    account = state.gpu.chain_id
    return account if all(one.keeping.gpu in (0, account) for one in state.accounts) else None


def _expects_money(state: State) -> bool:
    if state.cash_out is not None and state.cash_out.stage in OPEN_STAGES:
        return True
    delivered = any(line.paid is Paid.PENDING for line in state.history)
    return not state.wallet.chain_ok or bool(due(state)) or delivered
