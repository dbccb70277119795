"""Turns effects into calls: one match, nothing decided. Called by the engine through `agent.main`.

Every call returns at once: what talks to the market or the chain becomes a task on the loop, what computes for long a
thread. A broken world becomes words for the owner; a bug is logged with its trace and told as trouble, and the agent goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

from desktop_app.adapters.keys import OPERATOR, Keys
from desktop_app.adapters.market import Market
from desktop_app.adapters.store import Store
from desktop_app.adapters.supervisor import Supervisor
from desktop_app.agent.desk import Desk
from desktop_app.agent.money import Money
from desktop_app.agent.power import PowerCap
from desktop_app.core import effects as e
from desktop_app.core.bench import BenchmarkRecord, SignedBenchmark, record_bytes
from desktop_app.core.errors import AppError
from desktop_app.core.messages import BenchmarkSigned, Message, ReceiptSigned, TroubleArose
from desktop_app.core.money import Rate
from desktop_app.core.receipts import Receipt, SignedReceipt, canonical
from desktop_app.core.state import NoticeKind
from desktop_app.core.task import Lease

log = logging.getLogger(__name__)

_WorkEffect = e.GiveBack | e.TestSandbox | e.StartTask | e.RunBenchmark | e.ForgetTask | e.WarmWorker | e.CoolWorker
_MarketEffect = (
    e.OfferGpu | e.WithdrawOffer | e.RegisterGpu | e.FetchBundle | e.ResumeLease | e.ReturnLease
    | e.UploadCheckpoint | e.HandBack | e.DeliverResult
)
_MoneyEffect = e.RedeemVouchers | e.QuoteCashOut | e.SignCashOut | e.SendCashOut | e.WatchCashOut


class Hands:
    """Performs effects. `market` and `money` are futures until the network is known; what needs them waits."""

    def __init__(
        self,
        post: Callable[[Message], None],
        supervisor: Supervisor,
        keys: Keys,
        store: Store,
        quit_now: Callable[[], None],
        power: PowerCap,
        desk: Desk,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.market: asyncio.Future[Market] = loop.create_future()
        self.money: asyncio.Future[Money] = loop.create_future()
        self._post = post
        self._supervisor = supervisor
        self._keys = keys
        self._store = store
        self._quit = quit_now
        self._power = power
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, effect: e.Effect) -> None:
        """Do it, or set it going. A give-back that fails is let through: it ends the agent, and with it the worker."""
        try:
            self._begin(effect)
        except Exception:
            if isinstance(effect, e.GiveBack):
                raise
            self._told("an effect could not begin")

    def _begin(self, effect: e.Effect) -> None:
        match effect:
            case (
                e.GiveBack() | e.TestSandbox() | e.StartTask() | e.RunBenchmark() | e.ForgetTask() | e.WarmWorker() | e.CoolWorker()
            ):
                self._do_work(effect)
            case e.CapPower(watts):
                self.later(self._power.cap(watts))
            case e.SignBenchmark(record):
                self.later(self._sign_benchmark(record))
            case e.SignReceipt(receipt):
                self.later(self._sign(receipt))
            case e.ListPrograms():
                self.later(self._desk.list_programs())
            case e.KeepAwake(on):
                self.later(self._desk.keep_awake(on))
            case e.Quit():
                self._quit()
            case e.RedeemVouchers() | e.QuoteCashOut() | e.SignCashOut() | e.SendCashOut() | e.WatchCashOut():
                self.later(self._do_money(effect))
            case (
                e.OfferGpu() | e.WithdrawOffer() | e.RegisterGpu() | e.FetchBundle() | e.ResumeLease() | e.ReturnLease()
                | e.UploadCheckpoint() | e.HandBack() | e.DeliverResult()
            ):
                self.later(self._do_market(effect))
            case _:
                assert_never(effect)

    def _do_work(self, effect: _WorkEffect) -> None:
        match effect:
            case e.GiveBack(task_id, trigger, deadline_ms, late_ms):
                self._supervisor.give_back(task_id, trigger, deadline_ms, late_ms)
            case e.TestSandbox():
                self._supervisor.self_test()
            case e.StartTask(lease, checkpoint):
                self._supervisor.start(lease, checkpoint)
            case e.RunBenchmark(manifest):
                self._supervisor.start(Lease(manifest, 0, "", Rate(0)), None)
            case e.ForgetTask(task_id):
                self._supervisor.forget(task_id)
            case e.WarmWorker():
                self._supervisor.warm()
            case e.CoolWorker():
                self._supervisor.cool()
            case _:
                assert_never(effect)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the loop; what breaks becomes words."""
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is under way; the saved state asks for it again at the next start."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.market.cancel()
        self.money.cancel()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except AppError as error:
            self._post(TroubleArose(NoticeKind.TROUBLE, f"{error.title} {error.advice}"))
        except Exception:
            self._told("an effect failed")

    def _told(self, what: str) -> None:
        """A bug: its trace for the log, a word for the owner."""
        log.exception(what)
        self._post(TroubleArose(NoticeKind.TROUBLE, "Something went wrong inside Sublet; the log has the details."))

    async def _sign(self, receipt: Receipt) -> None:
        signature = await asyncio.to_thread(self._keys.sign_message, OPERATOR, canonical(receipt))
        signed = SignedReceipt(receipt, signature)
        await asyncio.to_thread(self._store.add_receipt, signed)
        self._post(ReceiptSigned(signed))

    async def _sign_benchmark(self, record: BenchmarkRecord) -> None:
        signature = await asyncio.to_thread(self._keys.sign_message, OPERATOR, record_bytes(record))
        self._post(BenchmarkSigned(SignedBenchmark(record, signature)))

    async def _do_market(self, effect: _MarketEffect) -> None:
        market = await asyncio.shield(self.market)
        match effect:
            case e.OfferGpu(gpu, tier, floor):
                await market.offer(gpu, tier, floor)
            case e.WithdrawOffer():
                await market.withdraw()
            case e.RegisterGpu(device, tier, owner, operator, benchmark):
                await market.register(device, tier, owner, operator, benchmark)
            case e.FetchBundle(lease):
                await market.fetch(lease)
            case e.ResumeLease(lease):
                await market.resume(lease)
            case e.ReturnLease(lease, reason, fault):
                await market.return_lease(lease, reason, fault=fault)
            case e.UploadCheckpoint(lease, checkpoint):
                await market.upload_checkpoint(lease, checkpoint)
            case e.HandBack(lease, checkpoint, receipt):
                await market.hand_back(lease, checkpoint, receipt)
            case e.DeliverResult(lease, result, receipt):
                await market.deliver(lease, result, receipt)
            case _:
                assert_never(effect)

    async def _do_money(self, effect: _MoneyEffect) -> None:
        money = await asyncio.shield(self.money)
        match effect:
            case e.RedeemVouchers(accounts, own):
                await money.redeem(accounts, own=own)
            case e.QuoteCashOut(cash_out, accounts):
                await money.quote(cash_out, accounts)
            case e.SignCashOut(cash_out):
                await money.sign(cash_out)
            case e.SendCashOut(cash_out):
                await money.send(cash_out)
            case e.WatchCashOut(cash_out):
                await money.watch(cash_out)
            case _:
                assert_never(effect)
