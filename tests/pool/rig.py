"""The pool on a real server and a real chain, and a renter's hands to try it with."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from desktop_app.adapters.chain import Chain, escrow_domain, funding_typed, job_id
from desktop_app.adapters.market import Bus, Session
from desktop_app.adapters.market.blobs import upload
from desktop_app.adapters.market.leases import look
from desktop_app.adapters.market.session import BROKEN
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob, Manifest
from desktop_app.pool.office import Office
from desktop_app.renter import orders
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.bundle import manifest_bytes
from tests.adapters.market_chain import House as ChainHouse
from tests.adapters.market_chain import open_house
from tests.market_server import MarketServer, market_server


@dataclass(frozen=True)
class Town:
    """Server and chain, for a whole module."""

    server: MarketServer
    money: ChainHouse
    folder: Path


@contextlib.contextmanager
def town(folder: Path) -> Iterator[Town]:
    with market_server(folder / "practice") as server, open_house(folder) as money:
        traded = tuple(one for one in money.network.tiers if one[0] in (Tier.PRACTICE, Tier.SMALL))
        network = replace(money.network, epoch_s=1, tiers=traded)
        yield Town(server, replace(money, network=network), folder)


@dataclass
class Counter:
    """What a renter sees of a running pool."""

    town: Town
    chain: Chain
    pool: Session  # with the pool's own rights, to look behind the counter
    renter: Session
    data: Blob

    @property
    def address(self) -> str:
        return self.town.money.keys.address("renter")

    async def ask(self, subject: str, request: object) -> wire.Answer:
        """As the renter or agent, whichever may."""
        raw = await self.pool.request(subject, wire.pack(request), 30)
        return wire.unpack(raw, wire.Answer)  # type: ignore[arg-type]

    async def price(self) -> wire.Price:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(*BROKEN):  # no bucket yet
                    entry = await self.pool.read(wire.PRICES, "practice")
                    price = wire.unpack(entry.value, wire.Price) if entry else None
                    if isinstance(price, wire.Price):
                        return price
                await asyncio.sleep(0.05)

    async def open_job(self, units: int, rate: int | None = None) -> tuple[str, wire.Answer]:
        terms = self.town.money.terms(units, rate=rate or (await self.price()).rate)
        valid_before = int(time.time()) + 600
        signature = self.town.money.keys.sign_typed("renter", funding_typed(self.town.money.network, terms, valid_before))
        answer = await self.ask("pool.open", wire.OpenJob(terms, valid_before, signature))
        return job_id(self.town.money.network, terms), answer

    def task(self, job: str, task_id: str, number: int = 0) -> Manifest:
        order = orders.pick(orders.load(), number, {})
        return orders.manifest(order, self.data, Tier.PRACTICE, job, self.address, task_id, int(time.time()))

    def signed(self, manifest: Manifest, by: str = "renter") -> wire.SubmitTask:
        raw = manifest_bytes(manifest)
        message = eip712.manifest(escrow_domain(self.town.money.network), manifest.job_id, hashlib.sha256(raw).hexdigest())
        return wire.SubmitTask(raw.decode(), self.town.money.keys.sign_typed(by, message))

    async def standing(self, task_id: str) -> wire.LeaseRecord | None:
        found = await look(self.pool, task_id)
        return found[0] if found else None

    async def booked(self, job: str) -> dict[str, int]:
        entry = await self.pool.read(wire.JOBS, job)
        record = wire.unpack(entry.value, wire.JobRecord) if entry else wire.JobRecord()
        assert isinstance(record, wire.JobRecord)
        return record.tasks

    async def until_standing(self, task_id: str, standing: wire.Standing) -> wire.LeaseRecord:
        async with asyncio.timeout(15):
            while (record := await self.standing(task_id)) is None or record.standing is not standing:
                await asyncio.sleep(0.05)
        return record

    async def queued(self) -> int:
        return int((await self.pool.stream.stream_info(wire.TASKS)).state.messages)


@contextlib.asynccontextmanager
async def counter(town: Town) -> AsyncIterator[Counter]:
    chain = Chain(town.money.network)
    async with (
        session(town, "pool", Office(chain, town.money.keys)),
        session(town, "pool") as pool,
        session(town, "renter") as renter,
    ):
        opened = Counter(town, chain, pool, renter, Blob("data", "", 0, "safetensors"))
        await opened.price()
        await _served(pool)
        await pool.stream.purge_stream(wire.TASKS)
        opened.data = await _data(town, pool)
        yield opened
    await asyncio.get_running_loop().shutdown_default_executor()  # a deed that was under way ends before its connection does
    chain.close()


@contextlib.asynccontextmanager
async def session(town: Town, user: str, office: Office | None = None) -> AsyncIterator[Session]:
    async def idle(_session: Session) -> None:
        await asyncio.Event().wait()

    bus = Bus(lambda: town.server.endpoint(user), office.serve if office else idle, lambda detail: None)
    running = asyncio.get_running_loop().create_task(bus.run())
    try:
        yield await bus.session()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _served(pool: Session) -> None:
    """Until the office answers."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(*BROKEN):
                await pool.request("pool.anything", b"{}", 5)
                return
            await asyncio.sleep(0.05)


async def _data(town: Town, pool: Session) -> Blob:
    from desktop_app.wire.resources import resource

    path = resource("practice/digits-train.safetensors")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    await upload(pool, sha256, path)
    return Blob("data", sha256, path.stat().st_size, "safetensors")
