"""The practice network's keeper: patience that grows with each death, an end that is the end, and no trust in old addresses."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from desktop_app.adapters.chain import Chain
from desktop_app.agent import companion as companion_module
from desktop_app.agent.companion import Companion
from desktop_app.practice.main import Ports
from desktop_app.wire.networks import practice, save
from tests.leaks import family


class Noted(Companion):
    """Keeps the moments at which it started a process."""

    def __init__(self, folder: Path, log: Path) -> None:
        super().__init__(folder, log)
        self.starts: list[float] = []

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.starts.append(asyncio.get_running_loop().time())
        return await super()._spawn()

    async def started(self, times: int) -> list[float]:
        """The pauses between its first starts."""
        async with asyncio.timeout(60):
            while len(self.starts) < times:
                await asyncio.sleep(0.01)
        return [later - sooner for sooner, later in zip(self.starts, self.starts[1:times], strict=False)]


@contextlib.asynccontextmanager
async def keeping(tmp_path: Path) -> AsyncIterator[Noted]:
    one = Noted(tmp_path / "practice", tmp_path / "logs" / "practice.log")
    one.start()
    try:
        yield one
    finally:
        await one.close()


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """A process that does something simpler than a practice network, in its place."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))


async def test_a_network_that_keeps_dying_is_started_ever_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_module, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(companion_module, "LONGEST_PAUSE_S", 1.0)
    stand_in(tmp_path, monkeypatch, "echo I die; exit 3")
    async with keeping(tmp_path) as one:
        pauses = await one.started(5)
        async with asyncio.timeout(60):
            while (tmp_path / "logs" / "practice.log").read_text() != "I die\n":
                await asyncio.sleep(0.01)
    for pause, least in zip(pauses, (0.4, 0.8, 1.0, 1.0), strict=True):
        assert pause >= least, pauses


async def test_one_that_lived_a_while_is_started_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_module, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(companion_module, "LONGEST_PAUSE_S", 60.0)
    monkeypatch.setattr(companion_module, "STEADY_S", 0.2)
    stand_in(tmp_path, monkeypatch, "exec sleep 0.4")
    async with keeping(tmp_path) as one:
        pauses = await one.started(6)
    assert max(pauses) < 20  # without the rule the last one alone would be pause enough


async def test_one_that_cannot_even_start_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    async with keeping(tmp_path) as one:
        await one.started(3)
        stand_in(tmp_path, monkeypatch, "exec sleep 60")
        await one.started(4)


async def test_what_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_module, "END_PATIENCE_S", 0.2)
    stand_in(tmp_path, monkeypatch, "trap '' TERM; while :; do sleep 0.1; done")
    async with keeping(tmp_path) as one:
        await one.started(1)


async def test_closed_before_it_began_is_closed(tmp_path: Path) -> None:
    await Companion(tmp_path, tmp_path / "log").close()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_real_network_is_found_where_it_is_and_not_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "practice"
    folder.mkdir(mode=0o700)
    with socket.socket() as squatter:  # took one of the network's ports while it was away
        squatter.bind(("127.0.0.1", 0))
        taken = int(squatter.getsockname()[1])
        (folder / "ports.json").write_bytes(msgspec.json.encode(Ports(taken, taken)))
        nobody = dict.fromkeys(("usdc", "policy", "registry", "escrow", "cash_out", "timelock", "governor", "attestor"), "0x" + "12" * 20)
        save(folder / "network.json", practice((f"http://127.0.0.1:{taken}",), (f"nats://127.0.0.1:{taken}",), **nobody))
        async with keeping(tmp_path) as one:
            async with asyncio.timeout(300):
                network = await one.network()
            assert str(taken) not in network.rpc_urls[0] + network.nats_urls[0]
            chain = Chain(network)
            assert await asyncio.to_thread(chain.client.block_number) > 0
            parts = family()
            assert len(parts) >= 5
            first = next(part for part in parts if "--attached" in part.cmdline())
            os.kill(first.pid, signal.SIGKILL)
            await one.started(2)
            async with asyncio.timeout(300):
                assert await one.network() == network  # the same ports, since they were free again
            assert await asyncio.to_thread(chain.client.block_number) > 0
            chain.close()
        assert not family()
