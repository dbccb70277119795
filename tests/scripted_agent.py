"""The agent's engine and socket in a thread, its world a script: for tests of the command line, which runs beside it in process."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from desktop_app.adapters.link import Link
from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.cashout import Quote
from desktop_app.core.money import MicroUsd
from desktop_app.core.state import Sharing, State
from desktop_app.core.update import update
from desktop_app.engine import Engine
from desktop_app.wire.profile import default
from tests import builders

Capsys = pytest.CaptureFixture[str]
FRESH = "0x" + "5e" * 20
# made when the tests are collected, and used when all others have run
QUOTE = Quote(MicroUsd(2_000_000), MicroUsd(10_000), "0x" + "01" * 32, int(time.time()) + 86_400)
RIGHT = "the right passphrase"


class Paper:
    """What the engine writes down is forgotten."""

    def save(self, state: State, story: tuple[bytes, ...]) -> None:
        pass


class Agent:
    """The agent's engine and socket in a thread. `world` answers its effects; `secrets` are the passphrases it was handed."""

    def __init__(self, state: State, world: "Callable[[Agent, e.Effect], None]") -> None:
        self.state, _effects = update(state, m.ClockTicked(state.now, state.zone))  # so that it says why
        self.secrets: list[tuple[str, str]] = []
        self.effects: list[e.Effect] = []
        self._world = world
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))

    def __enter__(self) -> "Agent":
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the agent's thread goes on"

    def post(self, message: m.Message) -> None:
        self._engine.post(message)

    def end(self) -> None:
        """As a quit ends it. An agent that a quit has ended already is let be."""
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._over.set)

    async def _live(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        socket = Link(default().socket, self.post, self._take, lambda: self._engine.state)
        self._engine = Engine(self.state, Paper(), self._perform, socket.publish)
        await socket.open()
        thinking = asyncio.create_task(self._engine.run())
        self._up.set()
        await self._over.wait()
        thinking.cancel()
        await asyncio.gather(thinking, return_exceptions=True)
        self.state = self._engine.state
        await socket.close()

    async def _take(self, purpose: str, secret: bytearray) -> str:
        self.secrets.append((purpose, secret.decode()))
        return "That passphrase does not open the keys." if purpose == "unlock" and secret.decode() != RIGHT else ""

    def _perform(self, effect: e.Effect) -> None:
        self.effects.append(effect)
        self._world(self, effect)


def still(_agent: Agent, _effect: e.Effect) -> None:
    """A world in which nothing happens."""


def paying(agent: Agent, effect: e.Effect) -> None:
    """A world in which a cash-out goes well, if the last passphrase was the right one."""
    match effect:
        case e.QuoteCashOut(one):
            agent.post(m.CashOutQuoted(one.id, replace(QUOTE, amount=one.amount or QUOTE.amount)))
        case e.SignCashOut(one) if agent.secrets and agent.secrets[-1] != ("spend", RIGHT):
            agent.post(m.CashOutRefused(one.id, "That passphrase does not open the keys. Try again."))
        case e.SignCashOut(one):
            agent.post(m.CashOutSigned(one.id, "0x" + "02" * 65))
        case e.SendCashOut(one):
            agent.post(m.CashOutSent(one.id, "0x" + "03" * 32))
        case e.WatchCashOut(one):
            agent.post(m.CashOutConfirmed(one.id, one.transaction, 1))
        case e.Quit():
            agent.end()
        case _:
            pass


def away(**parts: object) -> State:
    """A machine with sharing off and a wallet that holds something."""
    state = builders.a_state(sharing=Sharing())
    wallet = replace(state.wallet, balance=MicroUsd(2_000_000), paid=MicroUsd(2_500_000), chain_ok=True)
    return replace(state, now=datetime.now(UTC), wallet=wallet, **parts)  # type: ignore[arg-type]
