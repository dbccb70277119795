"""The agent's side of the market: offers the GPU, wins leases, moves blobs and receipts, and hears verdicts.

Every method may be called again after a crash and changes nothing more; what needs the market waits for it through
outages. What happened is posted as messages. Who signed what is judged by functions that the root hands in, since keys and
chain are other adapters' business. Called by the agent's root on its loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from desktop_app.adapters.market import blobs as store
from desktop_app.adapters.market import leases
from desktop_app.adapters.market.bus import Bus, Endpoint
from desktop_app.adapters.market.ending import end, heed_cancellation, together
from desktop_app.adapters.market.following import Verdicts
from desktop_app.adapters.market.offering import Judge, Offering
from desktop_app.adapters.market.session import BROKEN, Session
from desktop_app.core import messages as m
from desktop_app.core.bench import SignedBenchmark
from desktop_app.core.cashout import CashOut, Quote
from desktop_app.core.gpu import Device, Tier, hardware_digest
from desktop_app.core.money import MicroUsd, Rate
from desktop_app.core.receipts import SignedReceipt, digest
from desktop_app.core.state import JobAccount, NoticeKind
from desktop_app.core.task import Blob, Checkpoint, Lease
from desktop_app.wire import market as wire

_log = logging.getLogger(__name__)
_ANSWER_S = 20.0

Post = Callable[[m.Message], None]
CheckBlob = Callable[[Path, Blob], str | None]
CheckVoucher = Callable[[wire.VoucherVerdict], Awaitable[str | None]]


class Market:
    """One agent's market. `run` keeps it connected; the other methods may be called at any time, also before."""

    def __init__(
        self,
        post: Post,
        blobs: Path,
        endpoint: Callable[[], Endpoint],
        judge: Judge,
        check_blob: CheckBlob,
        check_voucher: CheckVoucher,
        tier: Tier,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`judge` parses a posted task and says who signed it; `check_blob` and `check_voucher` give the reason for a no.

        `tier` is the class of this machine's GPU, whose price is followed.
        """
        self._post = post
        self._blobs = blobs
        self._check_blob = check_blob
        self._tier = tier
        self._bus = Bus(endpoint, self._serve, self._lose)
        self._offering = Offering(post, judge, self._keep)
        self._verdicts = Verdicts(post, check_voucher, settled)
        self._holding: dict[str, asyncio.Task[None]] = {}
        self._registering: asyncio.Task[None] | None = None
        self._up: bool | None = None  # None: nothing was said yet

    async def run(self) -> None:
        """Stay connected until cancelled; then let go of everything without losing a lease."""
        try:
            await self._bus.run()
        finally:
            await end(*self._holding.values(), *((self._registering,) if self._registering else ()))

    async def offer(self, gpu_id: int, tier: Tier, floor: Rate) -> None:
        """Ask for one task at `floor` or above; the offer ends with the lease, the connection, or `withdraw`."""
        self.follow(gpu_id)
        await self._offering.begin(await self._bus.session(), wire.Offer(tier, floor, busy=False), gpu_id)

    async def withdraw(self) -> None:
        """Ask no more; a task that was just pulled goes back to the queue at once."""
        await self._offering.end()

    def follow(self, gpu_id: int) -> None:
        """Hear the renters' verdicts on the work of this GPU's account from now on."""
        self._verdicts.follow(gpu_id)

    async def resume(self, lease: Lease) -> None:
        """Go on holding a lease taken before a restart, or say that it is lost."""
        self._keep(lease)

    async def fetch(self, lease: Lease) -> None:
        """Bring every blob of the lease here and check it; a task that is not what it claims is refused for good."""
        task_id = lease.manifest.task_id
        point = lease.checkpoint
        wanted = [(blob.sha256, blob.bytes) for blob in lease.manifest.inputs]
        wanted += [(point.sha256, point.bytes)] if point else []
        try:
            for sha256, size in wanted:
                await self._bus.call(lambda session, sha256=sha256, size=size: store.download(session, sha256, size, self._blobs / sha256))  # type: ignore[misc]
            for blob in lease.manifest.inputs:
                reason = await asyncio.to_thread(self._check_blob, self._blobs / blob.sha256, blob)
                if reason is not None:
                    raise store.WrongBlob(reason)
        except store.WrongBlob as error:
            await self._refuse(lease, str(error))
        except store.DiskFull:
            self._post(m.TroubleArose(NoticeKind.DISK_FULL, f"no room for the files of task {task_id}"))
            await self.return_lease(lease, "the disk is full")
            self._post(m.LeaseLost(task_id, "returned, because the disk is full"))
        else:
            self._post(m.BundleFetched(task_id))

    async def return_lease(self, lease: Lease, reason: str, *, fault: bool = False) -> None:
        """Give the task back unrun; `fault` says that the task itself is to blame, which it may be only a few times."""
        self._let_go(lease)
        await self._bus.call(lambda session: leases.change(session, lease, leases.returned(reason, fault)))
        await self._bus.call(lambda session: leases.publish_again(session, lease))

    async def upload_checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        """Put a checkpoint where the next holder of the task finds it."""
        await self._bus.call(lambda session: store.upload(session, checkpoint.sha256, self._blobs / checkpoint.sha256))
        await self._bus.call(lambda session: leases.change(session, lease, leases.checkpointed(checkpoint)))

    async def hand_back(self, lease: Lease, checkpoint: Checkpoint, receipt: SignedReceipt) -> None:
        """Publish the task again with its checkpoint, and the receipt for what was done of it."""
        await self._bus.call(lambda session: store.upload(session, checkpoint.sha256, self._blobs / checkpoint.sha256))
        await self._bus.call(lambda session: self._send_receipt(session, receipt, ()))
        self._let_go(lease)
        change = leases.handed_back(checkpoint, digest(receipt.receipt))
        await self._bus.call(lambda session: leases.change(session, lease, change))
        await self._bus.call(lambda session: leases.publish_again(session, lease))
        self._post(m.ReceiptDelivered(lease.manifest.task_id, receipt.receipt.last_step))

    async def deliver(self, lease: Lease, result: tuple[Blob, ...], receipt: SignedReceipt) -> None:
        """Upload the result and the receipt, and end the lease."""
        for blob in result:
            await self._bus.call(lambda session, sha256=blob.sha256: store.upload(session, sha256, self._blobs / sha256))  # type: ignore[misc]
        await self._bus.call(lambda session: self._send_receipt(session, receipt, result))
        self._let_go(lease)
        await self._bus.call(lambda session: leases.change(session, lease, leases.done))
        await self._bus.call(lambda session: leases.publish_again(session, lease))
        self._post(m.ReceiptDelivered(lease.manifest.task_id, receipt.receipt.last_step))

    async def register(self, device: Device, tier: Tier, owner: str, operator: str, benchmark: SignedBenchmark | None = None) -> None:
        """Have the GPU registered on chain; asked again while it is under way, it is the same asking."""
        if self._registering is None or self._registering.done():
            request = wire.RegisterGpu(owner, operator, hardware_digest(device.uuid), tier, benchmark)
            self._registering = asyncio.get_running_loop().create_task(self._register(device.uuid, request))

    async def quote(self, cash_out: CashOut, sender: str) -> Quote | wire.Refusal | None:
        """What the relayer asks for a cash-out; None when nobody answered."""
        answer = await self._ask("pool.quote", wire.AskQuote(sender, cash_out.to, cash_out.amount))
        if isinstance(answer, wire.Quoted):
            return Quote(MicroUsd(answer.amount), MicroUsd(answer.fee), answer.salt, answer.valid_before)
        return answer if isinstance(answer, wire.Refusal) else None

    async def send_cash_out(self, cash_out: CashOut, sender: str) -> wire.Sent | wire.Refusal | None:
        """Hand a signed cash-out to the relayer; None when nobody answered, which settles nothing."""
        quote = cash_out.quote
        if quote is None:
            return wire.Refusal("there is no quote")
        request = wire.SendCashOut(
            sender, cash_out.to, quote.amount, quote.fee, quote.salt, quote.valid_before, cash_out.authorisation
        )
        answer = await self._ask("pool.cash_out", request)
        return answer if isinstance(answer, wire.Sent | wire.Refusal) else None

    async def redeem(self, account: JobAccount, gpu_id: int) -> wire.Sent | wire.Refusal | None:
        """Ask the pool to redeem what is earned now; None when nobody answered."""
        request = wire.Redeem(account.job_id, gpu_id, account.vouched, account.root, account.signature)
        answer = await self._ask("pool.redeem", request)
        return answer if isinstance(answer, wire.Sent | wire.Refusal) else None

    async def _serve(self, session: Session) -> None:
        """One session: hear prices and verdicts, keep the offer alive. The market counts as connected once it has a price."""

        async def priced(_subject: str, _raw: bytes) -> None:
            """What was said may have lost a compare-and-swap, so the bucket is asked."""
            entry = await session.read(wire.PRICES, self._tier.value)
            price = wire.unpack(entry.value, wire.Price) if entry else None
            if isinstance(price, wire.Price):
                self._price(price)

        await session.listen(f"$KV.{wire.PRICES}.{self._tier.value}", priced)
        await priced("", b"")
        await together(self._verdicts.run(session), self._offering.run(session))

    def _price(self, price: wire.Price) -> None:
        if not self._up:
            self._up = True
            self._post(m.MarketConnected(price.fee_bps))
        self._post(m.MarketPriced(Rate(price.rate), price.epoch))

    def _lose(self, detail: str) -> None:
        if self._up is not False:
            self._up = False
            self._post(m.MarketLost(detail))

    def _keep(self, lease: Lease) -> None:
        """Hold the lease: heartbeats until it is let go or lost."""
        task_id = lease.manifest.task_id
        if task_id not in self._holding:
            self._offering.busy(True)
            self._holding[task_id] = asyncio.get_running_loop().create_task(self._hold(lease))

    def _let_go(self, lease: Lease) -> None:
        task = self._holding.pop(lease.manifest.task_id, None)
        if task is not None:
            self._offering.busy(False)
            if task is not asyncio.current_task():
                task.cancel()

    async def _hold(self, lease: Lease) -> None:
        reason: str | None = None
        while reason is None:
            heed_cancellation()
            reason = await self._bus.call(lambda session: leases.holds(session, lease))
            if reason is None:
                await self._bus.call(lambda session: session.keep(lease.token))
                await asyncio.sleep(wire.HEARTBEAT_S)
        if self._holding.get(lease.manifest.task_id) is asyncio.current_task():  # else it was let go meanwhile, and is no loss
            self._let_go(lease)
            self._post(m.LeaseLost(lease.manifest.task_id, reason))

    async def _refuse(self, lease: Lease, reason: str) -> None:
        self._let_go(lease)
        await self._bus.call(lambda session: leases.change(session, lease, leases.given_up(reason)))
        await self._bus.call(lambda session: leases.publish_again(session, lease))
        self._post(m.MarketRefusedTask(lease.manifest.task_id, reason))

    async def _send_receipt(self, session: Session, receipt: SignedReceipt, result: tuple[Blob, ...]) -> None:
        body = receipt.receipt
        message = wire.pack(wire.DeliveredReceipt(receipt, result))
        await session.publish(wire.receipt_subject(body.job_id, body.task_id), message, digest(body))

    async def _register(self, uuid: str, request: wire.RegisterGpu) -> None:
        answer = await self._ask("pool.register", request)
        if isinstance(answer, wire.Registered):
            self.follow(answer.gpu_id)
            self._post(m.MarketRegisteredGpu(uuid, answer.gpu_id))
        elif isinstance(answer, wire.Refusal):
            self._post(m.TroubleArose(NoticeKind.TROUBLE, f"the market did not register this GPU: {answer.reason}"))

    async def _ask(self, subject: str, request: object) -> wire.Answer | None:
        """The pool's answer, or None when nobody answers in time."""
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(_ANSWER_S):
                session = await self._bus.session()
                raw = await session.request(subject, wire.pack(request), _ANSWER_S)
            return wire.unpack(raw, wire.Answer)  # type: ignore[arg-type]
        _log.info("no answer on %s", subject)
        return None
