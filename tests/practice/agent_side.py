"""The agent's side of the road, by hand: leases, computes in the real sandbox, signs, delivers, and takes vouchers.

Used where the whole market is tested without the app's own engine.
"""

import asyncio
import contextlib
import hashlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from desktop_app.adapters.chain import Chain, escrow_domain, recover_typed
from desktop_app.adapters.keys import OPERATOR, WALLET, Keys
from desktop_app.adapters.market import Endpoint, Market
from desktop_app.adapters.supervisor import once
from desktop_app.adapters.supervisor.hosted import HostedWorker, Order
from desktop_app.adapters.supervisor.log import WorkerLog
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device, DeviceKind, Tier, hardware_digest
from desktop_app.core.money import Rate, Units
from desktop_app.core.receipts import Receipt, SignedReceipt, canonical, result_sha256
from desktop_app.core.task import Blob, Lease, Manifest, segment_units
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.bundle import Refused, check_blob, parse_manifest
from desktop_app.wire.logins import AGENT, login
from desktop_app.wire.networks import Network, load_practice
from tests.builders import at_once

_M = TypeVar("_M")
FORMATS = {"model": "safetensors", "predictions": "safetensors"}


@dataclass
class AgentSide:
    """One owner with one practice device."""

    folder: Path
    network: Network
    chain: Chain
    keys: Keys
    market: Market
    posted: list[m.Message] = field(default_factory=list)
    gpu_id: int = 0
    hardware: str = ""

    @property
    def wallet(self) -> str:
        return self.keys.address(WALLET)

    async def wait(self, kind: type[_M], count: int = 1, timeout_s: float = 240) -> _M:
        try:
            async with asyncio.timeout(timeout_s):
                while len(found := [one for one in self.posted if isinstance(one, kind)]) < count:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} number {count}; heard {self.posted}") from None
        return found[count - 1]

    async def register(self, uuid: str) -> None:
        device = Device(DeviceKind.PRACTICE, uuid, "CPU", 8_000, 65)
        await self.market.register(device, Tier.PRACTICE, self.wallet, self.keys.address(OPERATOR))
        self.gpu_id = (await self.wait(m.MarketRegisteredGpu)).chain_id
        self.hardware = hardware_digest(uuid)

    async def lease(self, count: int = 1) -> Lease:
        await self.market.offer(self.gpu_id, Tier.PRACTICE, Rate(0))
        return (await self.wait(m.MarketLeased, count)).lease

    async def compute(self, lease: Lease) -> tuple[Blob, ...]:
        """Run the task in the sandbox, in one piece; the results lie among the blobs."""
        await self.market.fetch(lease)
        await self.wait(m.BundleFetched)
        manifest = lease.manifest
        inputs = {blob.role: self.folder / "blobs" / blob.sha256 for blob in manifest.inputs}
        work = self.folder / "work"
        files = await asyncio.to_thread(run_in_sandbox, manifest, inputs, work)
        return tuple(self.keep(role, path.read_bytes()) for role, path in sorted(files.items()))

    def keep(self, role: str, content: bytes) -> Blob:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs").mkdir(exist_ok=True, parents=True)
        (self.folder / "blobs" / sha256).write_bytes(content)
        return Blob(role, sha256, len(content), FORMATS[role])

    def sign(self, lease: Lease, result: tuple[Blob, ...] = (), last_step: int | None = None, state: str = "") -> SignedReceipt:
        manifest = lease.manifest
        first, last = lease.checkpoint.step if lease.checkpoint else 0, last_step or manifest.steps
        final = last_step is None
        receipt = Receipt(
            task_id=manifest.task_id,
            job_id=manifest.job_id,
            gpu_id=self.gpu_id,
            manifest_sha256=manifest.sha256,
            epoch=lease.epoch,
            first_step=first,
            last_step=last,
            units=segment_units(manifest, first, last),
            state_sha256=state,
            result_sha256=result_sha256(result) if final else "",
            prev=lease.prev_receipt,
            final=final,
            started=int(time.time()) - 1,
            ended=int(time.time()),
            device="CPU",
            hardware=self.hardware,
        )
        return SignedReceipt(receipt, self.keys.sign_message(OPERATOR, canonical(receipt)))

    async def paid(self, least: int, timeout_s: float = 240) -> int:
        """The wallet's balance once it is at least so much."""
        end = time.monotonic() + timeout_s
        while (balance := (await asyncio.to_thread(self.chain.balance, self.wallet))[0]) < least:
            assert time.monotonic() < end, f"the wallet holds {balance}, not {least}"
            await asyncio.sleep(0.1)
        return balance


@contextlib.asynccontextmanager
async def agent_side(practice: Path, folder: Path) -> AsyncIterator[AgentSide]:
    network = load_practice(practice / "network.json")
    chain = Chain(network)
    keys = Keys(folder / "keys", lambda: bytearray(b"a passphrase for tests"), n=2**12)
    await asyncio.to_thread(keys.create_or_open)
    posted: list[m.Message] = []
    domain = escrow_domain(network)

    def endpoint() -> Endpoint:
        mine = login(practice, AGENT)
        return Endpoint(network.nats_urls, mine.user, mine.password)

    def verify(job: str, sha256: str, signature: str) -> str | None:
        return recover_typed(eip712.manifest(domain, job, sha256), signature)

    def judge(task: wire.PostedTask) -> Manifest | str:
        parsed = parse_manifest(task.manifest.encode(), task.signature, int(time.time()), verify)
        return parsed.reason if isinstance(parsed, Refused) else parsed

    async def check(verdict: wire.VoucherVerdict) -> str | None:
        voucher = eip712.Voucher(verdict.job_id, verdict.gpu_id, Units(verdict.units), verdict.root)
        outcome = await asyncio.to_thread(chain.check_voucher, voucher, verdict.signature)
        return None if outcome.good else outcome.reason

    market = Market(posted.append, folder / "blobs", endpoint, judge, check_blob, check, Tier.PRACTICE, at_once)
    running = asyncio.get_running_loop().create_task(market.run())
    try:
        yield AgentSide(folder, network, chain, keys, market, posted)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(chain.close)
        keys.close()
        shutil.rmtree(folder / "work", ignore_errors=True)


def run_in_sandbox(manifest: Manifest, inputs: dict[str, Path], work: Path) -> dict[str, Path]:
    """The whole task at once, in a real worker in its real sandbox; result files by role."""
    work.mkdir(exist_ok=True)
    order = Order(manifest.kind, inputs, dict(manifest.params), manifest.seed, slot_bytes=64 << 20)
    worker = HostedWorker(order, WorkerLog(work / "worker.log"))
    try:
        finished = once._await_result(worker, time.monotonic() + 120)
        worker.end()
        return {file.role: once._write(worker, file, work) for file in finished.files}
    finally:
        worker.end()
        worker.close()
