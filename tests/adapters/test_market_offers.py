"""A GPU on offer at a real NATS server: what is taken, what is left for others, and how an offer ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from desktop_app.adapters.market import Delivery, Session, leases
from desktop_app.core import messages as m
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate
from desktop_app.wire import market as wire
from tests.adapters.market_rig import House, agent, house, receipt, short_leases
from tests.market_server import market_server


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[House]:
    with market_server(tmp_path / "practice") as server:
        async with house(server, tmp_path / "house") as built:
            yield built


async def test_a_withdrawn_offer_takes_nothing_and_keeps_nothing(here: House) -> None:
    async with agent(here, "one") as one, agent(here, "two") as two:
        for turn in range(1, 6):
            await one.market.offer(1, Tier.PRACTICE, Rate(0))
            await asyncio.sleep(0.05)
            _, posted = await asyncio.gather(one.market.withdraw(), here.post(f"aaaa100{turn}"))
            for said in one.posted:
                if isinstance(said, m.MarketLeased):  # it won the race in the last moment, and so says so
                    await one.market.return_lease(said.lease, "the owner needs the GPU")
            one.posted.clear()
            lease = await two.lease(2, count=turn)
            assert lease.manifest == posted
            await two.market.deliver(lease, (), receipt(lease, 100))
        assert await here.queued() == 0


async def test_an_offer_withdrawn_at_once_is_over(here: House) -> None:
    """Before there is anything to stop."""
    async with agent(here) as one:
        await one.market.offer(1, Tier.PRACTICE, Rate(0))
        async with asyncio.timeout(10):
            await one.market.withdraw()
        assert not [said for said in one.posted if isinstance(said, m.MarketLeased)]


async def test_an_offer_that_fails_is_lost_with_its_connection_and_made_anew(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the GPU would be on offer with nobody who asks for tasks."""
    take = leases.take
    failed: list[str] = []

    async def take_late(session: Session, task_id: str, gpu_id: int, delivery: Delivery) -> leases.Won | leases.Passed:
        if not failed:
            failed.append(task_id)
            raise TimeoutError
        return await take(session, task_id, gpu_id, delivery)

    monkeypatch.setattr(leases, "take", take_late)
    await short_leases(here)
    await here.post("aaaa0017")
    async with agent(here) as one:
        await one.market.offer(1, Tier.PRACTICE, Rate(0))
        await one.wait(m.MarketLost)
        await one.wait(m.MarketConnected, 2)
        assert (await one.lease()).manifest.task_id == "aaaa0017"


async def test_a_task_below_the_floor_is_left_for_others(here: House) -> None:
    await here.post("aaaa0004", rate=500_000)
    async with agent(here, "one") as one, agent(here, "two") as two:
        await one.market.offer(1, Tier.PRACTICE, Rate(600_000))
        await asyncio.sleep(0.5)
        assert not [one for one in one.posted if isinstance(one, m.MarketLeased)]
        await two.market.offer(2, Tier.PRACTICE, Rate(400_000))
        assert (await two.wait(m.MarketLeased)).lease.rate == 500_000
        await one.market.withdraw()


async def test_offers_are_seen_and_end(here: House) -> None:
    async with agent(here) as one:
        await one.market.offer(5, Tier.PRACTICE, Rate(7))
        await offer_is(here, 5, wire.Offer(Tier.PRACTICE, 7, busy=False))
        await here.post("aaaa0014")
        lease = (await one.wait(m.MarketLeased)).lease
        await offer_is(here, 5, wire.Offer(Tier.PRACTICE, 7, busy=True))
        await one.market.deliver(lease, (), receipt(lease, 100))
        await offer_is(here, 5, None)


async def offer_is(here: House, gpu_id: int, wanted: wire.Offer | None) -> None:
    async with asyncio.timeout(20):
        while True:
            entry = await here.session.read(wire.OFFERS, str(gpu_id))
            if (wire.unpack(entry.value, wire.Offer) if entry else None) == wanted:
                return
            await asyncio.sleep(0.02)
