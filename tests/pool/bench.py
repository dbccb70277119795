"""One market with its chain and its buckets, and no pool at work: a test takes the pool's parts into its own hands."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import msgspec

from desktop_app.adapters.chain import Chain, Relayer
from desktop_app.adapters.market import Session, open_house
from desktop_app.core.gpu import Tier
from desktop_app.core.money import MicroUsd
from desktop_app.pool.fuel import Fuel
from desktop_app.pool.keeper import Keeper
from desktop_app.pool.relaying import Desk
from desktop_app.wire import market as wire
from desktop_app.wire import pooling
from desktop_app.wire.pooling import KeptVoucher, voucher_key
from tests.adapters.market_chain import House
from tests.pool.rig import Town, session


@dataclass
class Bench:
    """The pool's parts, on one session and one chain."""

    money: House
    chain: Chain
    session: Session

    def relayer(self, role: str = "relayer") -> Relayer:
        return self.money.relayer(self.chain, role)

    def fuel(self, role: str = "relayer", eth_usd: int = 0) -> Fuel:
        return Fuel(self.relayer(role), MicroUsd(eth_usd))

    def keeper(self, *, every_task: bool = False, eth_usd: int = 0) -> Keeper:
        self.chain.network = replace(self.chain.network, keeper_every_task=every_task)
        return Keeper(self.chain, self.relayer(), self.money.keys, self.fuel(eth_usd=eth_usd))

    def desk(self, role: str = "relayer") -> Desk:
        return Desk(self.chain, self.relayer(role), self.money.keys, self.fuel(role))

    async def open_job(self, units: int) -> str:
        return await asyncio.to_thread(self.money.open_job, self.relayer(), self.money.terms(units))

    def verdict(self, job: str, units: int, by: str = "renter", gpu: int | None = None) -> wire.VoucherVerdict:
        promise, signature = self.money.voucher(job, units, gpu, by=by)
        return wire.VoucherVerdict(job, promise.gpu, units, 1, 10, promise.receipts_root, signature, ())

    async def kept(self, job: str, gpu: int | None = None) -> KeptVoucher | None:
        entry = await self.session.read(pooling.VOUCHERS, voucher_key(job, gpu or self.money.gpu))
        record = wire.unpack(entry.value, KeptVoucher) if entry else None
        return record if isinstance(record, KeptVoucher) else None

    async def change(self, job: str, **parts: int) -> None:
        """Alter a held voucher's record, as time or another pool would."""
        record = await self.kept(job)
        assert record is not None
        changed = msgspec.structs.replace(record, **parts)
        await self.session.write(pooling.VOUCHERS, voucher_key(job, self.money.gpu), wire.pack(changed))

    async def paid(self, job: str, gpu: int | None = None) -> int:
        return await asyncio.to_thread(self.chain.units_paid, job, gpu or self.money.gpu)

    async def sent(self) -> int:
        """How many transactions the relayer has made."""
        count = await asyncio.to_thread(self.chain.client.ask, "eth_getTransactionCount", self.money.keys.address("relayer"), "latest")
        return int(str(count), 16)

    async def balance(self, address: str) -> int:
        return (await asyncio.to_thread(self.chain.balance, address))[0]

    async def give_ether(self, role: str, wei: int = 10**16) -> None:
        """From the deployer, who has plenty."""
        await asyncio.to_thread(self._give_ether, role, wei)

    def _give_ether(self, role: str, wei: int) -> None:
        keys, ask = self.money.keys, self.chain.client.ask
        count = int(str(ask("eth_getTransactionCount", keys.address("deployer"), "pending")), 16)
        gift = {
            "type": 2, "chainId": self.chain.network.chain_id, "nonce": count, "to": keys.address(role), "value": wei, "data": "0x",
            "gas": 21_000, "maxFeePerGas": self.relayer().gas_cost(1), "maxPriorityFeePerGas": 0,
        }  # fmt: skip
        before = self.relayer(role).ether()
        ask("eth_sendRawTransaction", "0x" + keys.sign_transaction("deployer", gift).hex())
        end = time.monotonic() + 10
        while self.relayer(role).ether() == before:
            assert time.monotonic() < end, "no ether came"
            time.sleep(0.05)


@contextlib.asynccontextmanager
async def bench(town: Town) -> AsyncIterator[Bench]:
    chain = Chain(replace(town.money.network, keeper_every_task=False))
    async with session(town, "pool") as pool:
        await open_house(pool, (Tier.PRACTICE,))
        for bucket in (pooling.VOUCHERS, pooling.DEEDS, pooling.OWED, wire.JOBS):
            await pool.stream.purge_stream(f"KV_{bucket}")
        yield Bench(town.money, chain, pool)
    await asyncio.get_running_loop().shutdown_default_executor()
    chain.close()
