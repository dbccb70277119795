"""What a full disk does to fetching a task's files, tried on a real one: run where the folder named first is a small tmpfs.

Started by test_market.py with the server's port, the agent's password, and the lease as JSON. Exit 0: all held.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from desktop_app.adapters.market import Endpoint, Market
from desktop_app.core import messages as m
from desktop_app.core.gpu import Tier
from desktop_app.core.state import NoticeKind
from desktop_app.core.task import Lease, Manifest
from desktop_app.wire import market as wire
from tests.builders import at_once

DISK, PORT, PASSWORD, LEASE = sys.argv[1:]


async def main() -> None:
    lease = msgspec.json.decode(LEASE, type=Lease)
    posted: list[m.Message] = []

    async def check(_verdict: wire.VoucherVerdict) -> str | None:
        return None

    def judge(_posted: wire.PostedTask) -> Manifest | str:
        return "not asked here"

    endpoint = Endpoint((f"nats://127.0.0.1:{PORT}",), "agent", PASSWORD)
    market = Market(posted.append, Path(DISK) / "blobs", lambda: endpoint, judge, lambda path, blob: None, check, Tier.PRACTICE, at_once)
    running = asyncio.get_running_loop().create_task(market.run())
    await market.fetch(lease)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    troubles = [one for one in posted if isinstance(one, m.TroubleArose)]
    assert [one.kind for one in troubles] == [NoticeKind.DISK_FULL], posted
    assert m.LeaseLost(lease.manifest.task_id, "returned, because the disk is full") in posted, posted
    assert not any(isinstance(one, m.BundleFetched | m.MarketRefusedTask) for one in posted), posted
    assert not list((Path(DISK) / "blobs").iterdir()), "a piece was left"


asyncio.run(main())
