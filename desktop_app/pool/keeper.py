"""The keeper: holds the newest voucher of every job and GPU account until it is worth its gas, then has it paid out.

What it holds is in the bucket `vouchers`, mirrored here, so that any number of keepers may run and none is missed; whoever
redeems one claims it first. It never pays more gas than the market's fee on a payment brings, unless the network's profile says
that every task is paid at once; an owner who wants it sooner asks the desk, or does it alone. Vouchers of the attestor are paid in
one batch, which costs a fraction. Called by the pool's office.
"""

import asyncio
import contextlib
import logging
import time
from typing import Final

import msgspec

from desktop_app.adapters.chain import Chain, Refused, Relayer, batch_typed, escrow_domain, recover_typed, same_address
from desktop_app.adapters.keys import Keys
from desktop_app.adapters.market import Session
from desktop_app.core.errors import AppError
from desktop_app.core.keeping import GRACE_S, fee_of, ripe
from desktop_app.core.money import MicroUsd, Units, net
from desktop_app.pool.fuel import Fuel
from desktop_app.pool.relaying import ATTESTOR
from desktop_app.wire import eip712, pooling
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import Voucher
from desktop_app.wire.pooling import KeptVoucher, voucher_key

LOOK_S: Final = 60.0  # vouchers of the attestor that came within this time share a batch
LOOK_AGAIN_S: Final = 5.0  # where every task is paid at once
TAKEN_S: Final = 70  # longer than a redemption waits for its block
REST_S: Final = 15  # after trouble with the chain
LONG_REST_S: Final = 1_800  # while the attestor's allowance is used up
REDEEM_GAS: Final = 95_000
ROW_GAS: Final = 35_000
MOST_ROWS: Final = 200
AT_ONCE: Final = 8

_log = logging.getLogger(__name__)


class Keeper:
    """One of a market's keepers. `paid` gathers the accounts that were paid, for whoever looks after money that got stuck."""

    def __init__(self, chain: Chain, relayer: Relayer, keys: Keys, fuel: Fuel) -> None:
        self._chain = chain
        self._relayer = relayer
        self._keys = keys
        self._fuel = fuel
        self._every_task = chain.network.keeper_every_task
        self._held: dict[str, KeptVoucher] = {}
        self._changed = asyncio.Event()
        self.paid: set[int] = set()

    async def keep(self, session: Session, verdict: wire.VoucherVerdict) -> None:
        """Write a voucher down, if it holds and is newer than what is held. Raises AppError while the chain cannot say."""
        voucher = Voucher(verdict.job_id, verdict.gpu_id, Units(verdict.units), verdict.root)
        kept = await asyncio.to_thread(self._weighed, voucher, verdict.signature)
        if kept is None:
            return
        key = voucher_key(kept.job_id, kept.gpu_id)
        while True:
            entry = await session.read(pooling.VOUCHERS, key)
            held = _parsed(entry.value) if entry else None
            if held is not None and held.units >= kept.units:
                return
            if held is not None and held.units > kept.paid:
                kept = msgspec.structs.replace(kept, since=held.since)
            taken = held.taken_until if held is not None else 0
            new = msgspec.structs.replace(kept, taken_until=taken)
            if await session.write(pooling.VOUCHERS, key, wire.pack(new), entry.revision if entry else 0) is not None:
                self._hold(key, new)
                return

    async def run(self, session: Session) -> None:
        """Redeem what is ripe, as long as the session lives."""

        async def heard(subject: str, raw: bytes) -> None:
            record = _parsed(raw)
            if record is not None:
                self._hold(subject.removeprefix(f"$KV.{pooling.VOUCHERS}."), record)

        self._held.clear()
        await session.listen(f"$KV.{pooling.VOUCHERS}.>", heard)
        for key in await session.keys(pooling.VOUCHERS):
            entry = await session.read(pooling.VOUCHERS, key)
            await heard(key, entry.value if entry else b"")
        while True:
            self._changed.clear()
            await self._turn(session)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S if self._every_task else LOOK_S):
                    await self._changed.wait()

    def jobs(self) -> frozenset[str]:
        """The jobs of which vouchers are held."""
        return frozenset(one.job_id for one in self._held.values())

    def hear_deadline(self, job_id: str, deadline: int) -> None:
        """A renter may bring a job's deadline forward; then its vouchers wait no longer."""
        for key, one in self._held.items():
            if one.job_id == job_id and one.deadline != deadline:
                self._held[key] = msgspec.structs.replace(one, deadline=deadline)
                self._changed.set()

    def _hold(self, key: str, record: KeptVoucher) -> None:
        if record.units > record.paid:
            self._held[key] = record
            if not record.attested or self._every_task:
                self._changed.set()
        else:
            self._held.pop(key, None)

    def _weighed(self, voucher: Voucher, signature: str) -> KeptVoucher | None:
        """The voucher as it is kept, or None when the chain would not pay it or has."""
        checked = self._chain.check_voucher(voucher, signature)
        job = self._chain.job(voucher.job)
        if not checked.good or job is None:
            _log.warning("the chain refuses a voucher for GPU %s: %s", voucher.gpu, checked.reason)
            return None
        paid = self._chain.units_paid(voucher.job, voucher.gpu)
        if voucher.units <= paid:
            return None
        signer = recover_typed(eip712.voucher(escrow_domain(self._chain.network), voucher), signature)
        attested = signer is not None and same_address(signer, self._keys.address(ATTESTOR))
        return KeptVoucher(
            voucher.job, voucher.gpu, int(voucher.units), voucher.receipts_root, signature, job.rate, job.fee_bps,
            since=int(time.time()), deadline=job.deadline, attested=attested, paid=paid,
        )  # fmt: skip

    async def _turn(self, session: Session) -> None:
        """Redeem everything that is ripe now; trouble with the chain leaves it for the next turn."""
        try:
            single, row = await self._fuel.cost(REDEEM_GAS), await self._fuel.cost(ROW_GAS)
            if await self._fuel.refusal() is not None:
                return
            wanted = [key for key, one in self._held.items() if self._wanted(one, row if one.attested else single)]
            batch = [key for key in wanted if self._held[key].attested][:MOST_ROWS]
            if len(batch) > 1:
                await self._settle(session, batch)
            alone = [key for key in wanted if key not in batch or len(batch) == 1]
            for start in range(0, len(alone), AT_ONCE):
                await asyncio.gather(*(self._redeem(session, key) for key in alone[start : start + AT_ONCE]))
        except AppError as error:
            _log.warning("vouchers wait: %s", error.title)

    def _wanted(self, one: KeptVoucher, cost: MicroUsd) -> bool:
        now = int(time.time())
        if one.taken_until > now:
            return False
        unpaid = MicroUsd(net(one.units, one.rate, one.fee_bps) - net(one.paid, one.rate, one.fee_bps))
        if not ripe(unpaid, one.since, one.deadline + GRACE_S, now, every_task=self._every_task):
            return False
        return self._every_task or fee_of(one.units, one.paid, one.rate, one.fee_bps) >= cost

    async def _redeem(self, session: Session, key: str) -> None:
        claimed = await self._claim(session, key)
        if claimed is None:
            return
        try:
            outcome = await asyncio.to_thread(self._relayer.redeem, _voucher(claimed), claimed.signature)
        except AppError as error:
            _log.warning("a voucher waits: %s %s", error.title, error.advice)
            await self._release(session, key, 0, REST_S)
            return
        if not isinstance(outcome, Refused):
            _log.info("paid GPU %s up to %s units: %s", claimed.gpu_id, claimed.units, outcome.transaction)
        await self._end(session, key, claimed, outcome if isinstance(outcome, Refused) else None)

    async def _settle(self, session: Session, keys: list[str]) -> None:
        """Pay vouchers of the attestor in one transaction, those of one job beside one another."""
        claims = {key: claimed for key in sorted(keys) if (claimed := await self._claim(session, key)) is not None}
        if not claims:
            return
        rows = tuple(_voucher(one) for one in claims.values())
        signature = await asyncio.to_thread(self._keys.sign_typed, ATTESTOR, batch_typed(self._chain.network, rows))
        try:
            outcome = await asyncio.to_thread(self._relayer.settle_batch, rows, self._keys.address(ATTESTOR), signature)
        except AppError as error:
            _log.warning("a batch of %s vouchers waits: %s %s", len(rows), error.title, error.advice)
            for key in claims:
                await self._release(session, key, 0, REST_S)
            return
        if isinstance(outcome, Refused):
            skipped = dict.fromkeys(rows, outcome)
        else:
            skipped = dict(outcome.skipped)
            _log.info("paid %s of %s vouchers: %s", len(rows) - len(skipped), len(rows), outcome.mined.transaction)
        for key, claimed in claims.items():
            await self._end(session, key, claimed, skipped.get(_voucher(claimed)))

    async def _end(self, session: Session, key: str, claimed: KeptVoucher, refused: Refused | None) -> None:
        """What the chain refuses is nobody's claim any more; but for the allowance, which is there again tomorrow."""
        if refused is not None and refused.error == "RateLimitExceeded":
            await self._release(session, key, 0, LONG_REST_S)
            return
        if refused is not None:
            _log.warning("the chain refuses a voucher for GPU %s: %s", claimed.gpu_id, refused.reason)
        else:
            self.paid.add(claimed.gpu_id)
        await self._release(session, key, claimed.units, 0)

    async def _claim(self, session: Session, key: str) -> KeptVoucher | None:
        """The newest of a key, claimed for this keeper; None when another has it, or it is paid."""
        entry = await session.read(pooling.VOUCHERS, key)
        record = _parsed(entry.value) if entry else None
        now = int(time.time())
        if entry is None or record is None or record.taken_until > now or record.units <= record.paid:
            if record is not None:
                self._hold(key, record)
            return None
        taken = msgspec.structs.replace(record, taken_until=now + TAKEN_S)
        if await session.write(pooling.VOUCHERS, key, wire.pack(taken), entry.revision) is None:
            return None
        self._held[key] = taken
        return taken

    async def _release(self, session: Session, key: str, paid: int, rest_s: int) -> None:
        """Let go of a claim: what is paid is written down, beside a newer voucher that may have come meanwhile."""
        while (entry := await session.read(pooling.VOUCHERS, key)) is not None:
            record = _parsed(entry.value)
            if record is None:
                return
            now = int(time.time())
            rest, since = now + rest_s if rest_s else 0, now if paid else record.since
            freed = msgspec.structs.replace(record, paid=max(record.paid, paid), taken_until=rest, since=since)
            if await session.write(pooling.VOUCHERS, key, wire.pack(freed), entry.revision) is not None:
                self._hold(key, freed)
                return


def _parsed(raw: bytes) -> KeptVoucher | None:
    record = wire.unpack(raw, KeptVoucher, wire.MOST_RECORD) if raw else None
    return record if isinstance(record, KeptVoucher) else None


def _voucher(one: KeptVoucher) -> Voucher:
    return Voucher(one.job_id, one.gpu_id, Units(one.units), one.root)
