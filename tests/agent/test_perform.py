"""What breaks while an effect is done: words for the owner, a trace in the log, and the agent goes on; but for a give-back."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from desktop_app.adapters.awake import Awake
from desktop_app.adapters.keys import OPERATOR, Keys
from desktop_app.adapters.market import Market
from desktop_app.adapters.store import Store
from desktop_app.adapters.supervisor import Supervisor
from desktop_app.agent.desk import Desk
from desktop_app.agent.money import Money
from desktop_app.agent.perform import Hands
from desktop_app.agent.power import PowerCap
from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.bench import SignedBenchmark, record_bytes
from desktop_app.core.errors import AppError
from desktop_app.core.receipts import canonical
from desktop_app.core.state import NoticeKind, Trigger
from tests import builders

SORRY = m.TroubleArose(NoticeKind.TROUBLE, "Something went wrong inside Sublet; the log has the details.")


class Broken:
    """A part with a bug in everything it does."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"a bug in {name}")


class SlowAwake(Awake):
    """A hold on the machine's sleep that takes its time to be got, and is let go of at once."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def hold(self) -> bool:
        time.sleep(0.1)
        self.said.append("hold")
        return True

    def release(self) -> bool:
        self.said.append("release")
        return True


class World:
    """Hands with real keys and a real store; the supervisor, and the market, are broken."""

    def __init__(self, root: Path) -> None:
        self.posted: list[m.Message] = []
        self.ended = 0
        self.awake = SlowAwake()
        self.keys = Keys(root / "keys", lambda: None, n=2**12)
        self.store = Store(root / "settings.json", root / "sublet.sqlite")
        supervisor, power, desk = cast(Supervisor, Broken()), cast(PowerCap, Broken()), Desk(self.posted.append, self._look, self.awake)
        self.hands = Hands(self.posted.append, supervisor, self.keys, self.store, self._end, power, desk)

    def _end(self) -> None:
        self.ended += 1

    def _look(self) -> tuple[str, ...]:
        return ("hades", "blender")

    async def heard(self, count: int = 1) -> list[m.Message]:
        async with asyncio.timeout(20):
            while len(self.posted) < count:
                await asyncio.sleep(0.01)
        return self.posted


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    one = World(tmp_path)
    one.store.open()
    yield one
    await one.hands.close()
    one.store.close()
    one.keys.close()


async def test_a_bug_at_the_start_of_an_effect_is_told_and_the_next_one_is_done(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hands.perform(e.StartTask(builders.a_lease(), None))
    assert world.posted == [SORRY]
    assert "a bug in start" in caplog.text
    world.hands.perform(e.Quit())
    assert world.ended == 1


async def test_a_bug_in_the_middle_of_an_effect_is_told_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.hands.market.set_result(cast(Market, Broken()))
    world.hands.money.set_result(cast(Money, Broken()))
    world.hands.perform(e.WithdrawOffer())
    world.hands.perform(e.QuoteCashOut(builders.a_cash_out(), ()))
    assert await world.heard(2) == [SORRY, SORRY]
    assert "a bug in withdraw" in caplog.text
    assert "a bug in quote" in caplog.text


async def test_a_broken_world_is_told_in_its_own_words(world: World) -> None:
    class Poor:
        async def withdraw(self) -> None:
            raise AppError("The market is on fire.", "Wait for rain.")

    world.hands.market.set_result(cast(Market, Poor()))
    world.hands.perform(e.WithdrawOffer())
    assert await world.heard() == [m.TroubleArose(NoticeKind.TROUBLE, "The market is on fire. Wait for rain.")]


async def test_a_give_back_that_fails_is_let_through(world: World) -> None:
    """The agent then ends, and the worker with it: better than a GPU that is kept."""
    with pytest.raises(RuntimeError, match="a bug in give_back"):
        world.hands.perform(e.GiveBack("task-1", Trigger.CLICK, 200))


async def test_a_receipt_is_signed_kept_and_told(world: World) -> None:
    await asyncio.to_thread(world.keys.create_or_open, bytearray(b"the right passphrase"))
    receipt = builders.a_receipt()
    world.hands.perform(e.SignReceipt(receipt))
    (signed,) = await world.heard()
    assert isinstance(signed, m.ReceiptSigned)
    assert signed.signed.receipt == receipt
    assert signed.signed.signature == world.keys.sign_message(OPERATOR, canonical(receipt))
    assert world.store.receipts() == (signed.signed,)


async def test_a_benchmark_is_signed_as_a_receipt_is(world: World) -> None:
    await asyncio.to_thread(world.keys.create_or_open, bytearray(b"the right passphrase"))
    record = builders.a_benchmark().record
    world.hands.perform(e.SignBenchmark(record))
    signature = world.keys.sign_message(OPERATOR, record_bytes(record))
    assert await world.heard() == [m.BenchmarkSigned(SignedBenchmark(record, signature))]


async def test_a_receipt_that_cannot_be_signed_is_said(world: World) -> None:
    world.hands.perform(e.SignReceipt(builders.a_receipt()))
    (told,) = await world.heard()
    assert isinstance(told, m.TroubleArose)
    assert "locked" in told.detail
    assert world.store.receipts() == ()


async def test_what_waits_for_the_network_is_dropped_at_the_end(world: World) -> None:
    world.hands.perform(e.WithdrawOffer())
    await asyncio.sleep(0.05)
    await world.hands.close()
    assert world.posted == []


async def test_the_machine_is_kept_awake_and_let_go_in_the_order_that_was_said(world: World) -> None:
    for on in (True, False, True):
        world.hands.perform(e.KeepAwake(on))
    async with asyncio.timeout(20):
        while len(world.awake.said) < 3:
            await asyncio.sleep(0.01)
    assert world.awake.said == ["hold", "release", "hold"]


async def test_the_programs_that_run_are_told(world: World) -> None:
    world.hands.perform(e.ListPrograms())
    assert await world.heard() == [m.ProgramsListed(("hades", "blender"))]
