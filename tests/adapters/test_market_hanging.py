"""A market's server that lives and says nothing: its silence is noticed, and once it speaks again the GPU is on offer as before."""

import asyncio
import signal
from pathlib import Path

import pytest

from desktop_app.adapters.market import Endpoint
from desktop_app.core import messages as m
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate
from tests.adapters.market_rig import agent, bus, house
from tests.market_server import market_server


async def test_a_connection_that_came_to_nothing_is_let_go() -> None:
    """By us, for whatever is left to the garbage collector warns here: a server that hangs is asked again and again."""
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
            left.set()
        finally:
            writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server, bus(Endpoint((f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}",), "agent", "secret")):
        async with asyncio.timeout(30):
            await left.wait()


@pytest.mark.slow
async def test_an_offer_made_to_a_silent_server_stands_in_no_later_ones_way(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with market_server(tmp_path / "server") as server:
        assert server.process is not None
        async with house(server, tmp_path / "house") as here, agent(here) as one:
            server.process.send_signal(signal.SIGSTOP)
            try:
                await one.market.offer(1, Tier.PRACTICE, Rate(0))
                await one.wait(m.MarketLost, timeout_s=90)
            finally:
                server.process.send_signal(signal.SIGCONT)
            await one.wait(m.MarketConnected, 2, 60)
            await one.market.offer(1, Tier.PRACTICE, Rate(0))
            async with house(server, tmp_path / "later") as later:  # the first one's connection may be gone by now
                later.manifests = here.manifests
                await later.post("aaaa0001")
                assert (await one.wait(m.MarketLeased)).lease.manifest.task_id == "aaaa0001"
