"""What the market tests share: the house on a real server, agents that write down what they post, and tasks to give them."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from desktop_app.adapters.market import Bus, Endpoint, Market, Session, open_house
from desktop_app.core import messages as m
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Units
from desktop_app.core.receipts import Receipt, SignedReceipt, result_sha256
from desktop_app.core.task import Blob, Checkpoint, Lease, Limits, Manifest, segment_units
from desktop_app.wire import market as wire
from tests.builders import at_once
from tests.market_server import MarketServer

JOB = "0x" + "ab" * 32
_M = TypeVar("_M")


async def nothing(_session: Session) -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def bus(endpoint: Endpoint) -> AsyncIterator[Bus]:
    kept = Bus(lambda: endpoint, nothing, lambda detail: None)
    running = asyncio.get_running_loop().create_task(kept.run())
    try:
        yield kept
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@dataclass
class Agent:
    """A market with everything it posted."""

    market: Market
    blobs: Path
    posted: list[m.Message] = field(default_factory=list)

    async def wait(self, kind: type[_M], count: int = 1, timeout_s: float = 60) -> _M:
        """The `count`th message of that kind."""
        async with asyncio.timeout(timeout_s):
            while len(found := [one for one in self.posted if isinstance(one, kind)]) < count:
                await asyncio.sleep(0.01)
        return found[count - 1]

    async def lease(self, gpu_id: int = 1, floor: int = 0, count: int = 1) -> Lease:
        from desktop_app.core.money import Rate

        await self.market.offer(gpu_id, Tier.PRACTICE, Rate(floor))
        return (await self.wait(m.MarketLeased, count)).lease


class House:
    """The pool's and the renter's hands, as far as the agent's side needs them."""

    def __init__(self, server: MarketServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.manifests: dict[str, Manifest] = {}
        self.session: Session

    async def price(self, rate: int = 1_000_000, epoch: int = 1) -> None:
        await self.session.write(wire.PRICES, Tier.PRACTICE.value, wire.pack(wire.Price(rate, epoch, 10)))

    async def blob(self, content: bytes) -> Blob:
        from desktop_app.adapters.market.blobs import upload

        sha256 = hashlib.sha256(content).hexdigest()
        path = self.folder / sha256
        path.write_bytes(content)
        await upload(self.session, sha256, path)
        return Blob("data", sha256, len(content), "jsonl")

    async def post(self, task_id: str, inputs: tuple[Blob, ...] = (), rate: int = 1_000_000) -> Manifest:
        manifest = replace(EXAMPLE, task_id=task_id, inputs=inputs)
        self.manifests[task_id] = manifest
        await self.session.write(wire.LEASES, task_id, wire.pack(wire.LeaseRecord(wire.Standing.QUEUED)), 0)
        await self.session.publish("tasks.practice", wire.pack(wire.PostedTask(task_id, "{}", "0x00", rate)), task_id)
        return manifest

    async def record(self, task_id: str) -> wire.LeaseRecord:
        entry = await self.session.read(wire.LEASES, task_id)
        assert entry is not None
        record = wire.unpack(entry.value, wire.LeaseRecord)
        assert isinstance(record, wire.LeaseRecord)
        return record

    async def queued(self) -> int:
        return (await self.session.stream.stream_info(wire.TASKS)).state.messages

    def judge(self, posted: wire.PostedTask) -> Manifest | str:
        return self.manifests.get(posted.task_id, "the task is not signed by the renter it names")


@contextlib.asynccontextmanager
async def house(server: MarketServer, folder: Path) -> AsyncIterator[House]:
    folder.mkdir(exist_ok=True)
    async with bus(server.endpoint("pool")) as kept:
        built = House(server, folder)
        await kept.call(lambda session: open_house(session, (Tier.PRACTICE,)))
        built.session = await kept.session()
        await built.price()
        yield built


@contextlib.asynccontextmanager
async def agent(house: House, name: str = "agent", refusal: str | None = None, voucher: str | None = None) -> AsyncIterator[Agent]:
    posted: list[m.Message] = []

    async def check(_verdict: wire.VoucherVerdict) -> str | None:
        return voucher

    endpoint = house.server.endpoint("agent")
    blobs = house.folder / name
    market = Market(posted.append, blobs, lambda: endpoint, house.judge, lambda path, blob: refusal, check, Tier.PRACTICE, at_once)
    running = asyncio.get_running_loop().create_task(market.run())
    made = Agent(market, blobs, posted)
    try:
        await made.wait(m.MarketPriced)
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def receipt(lease: Lease, last_step: int, result: tuple[Blob, ...] = (), state: str = "") -> SignedReceipt:
    first = lease.checkpoint.step if lease.checkpoint else 0
    final = last_step == lease.manifest.steps
    body = Receipt(
        task_id=lease.manifest.task_id,
        job_id=lease.manifest.job_id,
        gpu_id=1,
        manifest_sha256=lease.manifest.sha256,
        epoch=lease.epoch,
        first_step=first,
        last_step=last_step,
        units=segment_units(lease.manifest, first, last_step),
        state_sha256=state,
        result_sha256=result_sha256(result) if final else "",
        prev=lease.prev_receipt,
        final=final,
        started=1,
        ended=2,
        device="test",
    )
    return SignedReceipt(body, "0x00")


def local_blob(agent: Agent, content: bytes, role: str = "model") -> Blob:
    sha256 = hashlib.sha256(content).hexdigest()
    agent.blobs.mkdir(exist_ok=True)
    (agent.blobs / sha256).write_bytes(content)
    return Blob(role, sha256, len(content), "safetensors")


def local_checkpoint(agent: Agent, step: int) -> Checkpoint:
    blob = local_blob(agent, f"state at {step}".encode())
    return Checkpoint(step, blob.sha256, blob.bytes)


EXAMPLE = Manifest(
    task_id="task",
    job_id=JOB,
    renter="0x" + "11" * 20,
    kind="train.classifier/1",
    tier=Tier.PRACTICE,
    inputs=(),
    params=(),
    seed=1,
    steps=100,
    units=Units(10_000),
    limits=Limits(0, 100, 100, 100, 50, 10),
    checkpoint_steps=10,
    expires=2**40,
    sha256="cd" * 32,
)


async def short_leases(here: House, silence_s: float = 1.0) -> None:
    """A silent holder loses its lease after so many seconds instead of thirty."""
    info = await here.session.stream.consumer_info(wire.TASKS, "tier-practice")
    assert info.config is not None
    await here.session.stream.add_consumer(wire.TASKS, info.config.evolve(ack_wait=silence_s))
