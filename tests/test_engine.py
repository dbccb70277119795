"""The loop keeps its order: give back at once, write down, then act; also when the disk is slow, full, or the end is near."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.errors import AppError
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import CELLS_PER_WEEK, Schedule, Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import NoticeKind, Reason, State, Trigger
from desktop_app.core.task import Phase, Progress
from desktop_app.engine import STORY_LINES, Engine
from desktop_app.wire.codec import decode_message, durable
from tests.builders import NOON, a_checkpoint, a_lease, a_reading, a_state, a_task

OFF, ON = m.OwnerTurnedSharing(on=False), m.OwnerTurnedSharing(on=True)
MEASURED = (
    m.ClockTicked(NOON, Zone("UTC", 3_600)),
    m.GpuMeasured("GPU-1", a_reading(temperature=51)),
    m.PresenceSensed(Presence(idle_s=1.0)),
    m.WorkerProgressed("task-1", Progress(5, 100)),
)
FULL = AppError("The disk is full.", "Make room.")


class Memory:
    """A ledger in memory whose disk can be made slow or full."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.story: list[m.Message] = []
        self.saving = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.full = False
        self.stumbles_at = ""
        self.writers = 0
        self.log: list[str] = []

    def save(self, state: State, story: tuple[bytes, ...]) -> None:
        self.writers += 1
        assert self.writers == 1, "two saves at a time"
        try:
            self.saving.set()
            assert self.free.wait(60)
            if self.full:
                raise FULL
            if self.stumbles_at == "save":
                raise ZeroDivisionError("save")
            self.states.append(durable(state))
            self.story += [decode_message(line) for line in story]
            self.log.append("saved")
        finally:
            self.writers -= 1


class House:
    """An engine at work, with what it did."""

    def __init__(self, state: State) -> None:
        self.ledger = Memory()
        self.done: list[e.Effect] = []
        self.shown: list[State] = []
        self.engine = Engine(state, self.ledger, self.perform, self.publish)
        self.stumbles_at = ""

    def perform(self, effect: e.Effect) -> None:
        self.done.append(effect)
        self.ledger.log.append(type(effect).__name__)
        self.stumble("effect")

    def publish(self, state: State) -> None:
        self.shown.append(state)
        self.stumble("thought")

    def stumble(self, where: str) -> None:
        if where == self.stumbles_at:
            raise ZeroDivisionError(where)

    async def until(self, met: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while not met():
            assert time.monotonic() < end, "it did not happen"
            await asyncio.sleep(0.002)

    async def heard(self, *messages: m.Message) -> None:
        """Post, and wait until the engine has thought about all of them."""
        for message in messages:
            self.engine.post(message)
        marker = m.TroubleArose(NoticeKind.TROUBLE, f"marker {time.monotonic_ns()}")
        self.engine.post(marker)
        await self.until(lambda: any(one.detail == marker.detail for one in self.engine.state.notices))


@contextlib.asynccontextmanager
async def at_work(state: State) -> AsyncIterator[House]:
    house = House(state)
    running = asyncio.create_task(house.engine.run())
    try:
        yield house
    finally:
        house.ledger.free.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is tried again soon."""
    monkeypatch.setattr("desktop_app.engine.SAVE_AGAIN_S", 0.02)


async def test_effects_come_only_after_their_save() -> None:
    async with at_work(a_state()) as house:
        house.engine.post(m.MarketLeased(a_lease()))
        await house.until(lambda: house.done)
        assert house.ledger.log == ["saved", "FetchBundle"]
        (task,) = [state.task for state in house.ledger.states]
        assert task is not None and task.phase is Phase.FETCHING


async def test_effects_keep_their_order() -> None:
    async with at_work(a_state()) as house:
        await house.heard(m.MarketLeased(a_lease()), m.BundleFetched("task-1"))
        await house.until(lambda: any(isinstance(effect, e.StartTask) for effect in house.done))
        assert [type(effect) for effect in house.done] == [e.FetchBundle, e.StartTask] or house.done == [e.StartTask(a_lease(), None)]


async def test_the_gpu_is_given_back_while_a_save_hangs() -> None:
    async with at_work(a_state(task=a_task())) as house:
        house.ledger.free.clear()
        house.engine.post(m.CheckpointStored("task-1", a_checkpoint()))
        await house.until(house.ledger.saving.is_set)
        house.engine.post(OFF)
        for _ in range(3):  # of the loop's turns: into the inbox, out of it, done
            await asyncio.sleep(0)
        assert house.done == [e.GiveBack("task-1", Trigger.CLICK, 200)] and house.ledger.states == []


async def test_a_give_back_says_how_long_ago_its_signal_arose() -> None:
    away = Settings(schedule=Schedule("a" * CELLS_PER_WEEK))
    async with at_work(a_state(task=a_task(), settings=away)) as house:
        asked = time.monotonic()
        house.engine.post(m.PresenceSensed(Presence(idle_s=0.04), since_s=0.1))
        time.sleep(0.03)  # the loop is busy meanwhile: that the message waited is the owner's waiting too
        await house.until(lambda: house.done)
        waited = time.monotonic() - asked
        (back,) = [effect for effect in house.done if isinstance(effect, e.GiveBack)]
        assert back.trigger is Trigger.PRESENCE
        assert 70 <= back.late_ms <= 40 + 1000 * waited


async def test_the_gpu_is_given_back_while_the_disk_is_full(quick: None) -> None:
    async with at_work(a_state(task=a_task())) as house:
        house.ledger.full = True
        await house.heard(m.CheckpointStored("task-1", a_checkpoint()))
        house.engine.post(OFF)
        await house.until(lambda: house.done)
        assert house.done == [e.GiveBack("task-1", Trigger.CLICK, 200)]


async def test_a_start_that_waited_for_the_disk_is_dropped_when_the_owner_was_quicker() -> None:
    """Else a worker would begin after its GPU was given back."""
    async with at_work(a_state(task=a_task(Phase.FETCHING))) as house:
        house.ledger.free.clear()
        house.engine.post(m.BundleFetched("task-1"))
        await house.until(house.ledger.saving.is_set)
        await house.heard(OFF)
        assert house.done == [e.GiveBack("task-1", Trigger.CLICK, 200)]
        house.ledger.free.set()
        await house.until(lambda: len(house.ledger.states) >= 2)
        await house.heard(ON)
        assert not [effect for effect in house.done if isinstance(effect, e.StartTask)]


async def test_a_full_disk_is_told_once_and_nothing_is_lost_or_done_until_there_is_room(quick: None) -> None:
    async with at_work(a_state()) as house:
        house.ledger.full = True
        house.engine.post(m.MarketLeased(a_lease()))
        await house.until(lambda: house.engine.state.readiness.disk_full)
        house.engine.post(m.RenterRejectedResult("task-9", "no"))
        await asyncio.sleep(0.1)
        assert house.done == [] and house.ledger.states == []
        house.ledger.full = False
        await house.until(lambda: not house.engine.state.readiness.disk_full)
        await house.until(lambda: m.DiskFilled(full=False) in house.ledger.story)
        assert house.done == [e.FetchBundle(a_lease())]
        assert house.ledger.story == [
            m.MarketLeased(a_lease()),
            m.DiskFilled(full=True),
            m.RenterRejectedResult("task-9", "no"),
            m.DiskFilled(full=False),
        ]


async def test_what_was_posted_is_settled_only_when_it_is_on_disk(quick: None) -> None:
    async with at_work(a_state()) as house:
        house.ledger.full = True
        house.engine.post(m.OwnerTurnedSharing(False))
        settled = asyncio.create_task(house.engine.settled())
        await house.until(lambda: not house.engine.state.sharing.on)
        await asyncio.sleep(0.1)
        assert not settled.done() and house.ledger.states == []
        house.ledger.full = False
        await asyncio.wait_for(settled, 5)
        assert not house.ledger.states[-1].sharing.on


async def test_the_story_leaves_out_measurements_and_what_programs_somebody_runs() -> None:
    async with at_work(a_state(task=a_task())) as house:
        for message in (*MEASURED, m.MemoryMeasured(4_000), m.ProgramsListed(("a game",)), ON):
            house.engine.post(message)
        await house.until(lambda: house.ledger.story)
        assert house.ledger.story == [ON]


async def test_measurements_alone_are_not_written_down_but_shown() -> None:
    state = replace(a_state(task=a_task()), why=replace(a_state().why, reason=Reason.WORKING))
    async with at_work(state) as house:
        for message in MEASURED:
            house.engine.post(message)
        await house.until(lambda: len(house.shown) == len(MEASURED))
        await asyncio.sleep(0.05)
        assert house.ledger.log == []


async def test_what_a_measurement_changes_for_good_is_written_down() -> None:
    async with at_work(a_state(task=a_task())) as house:
        house.engine.post(m.GpuMeasured("GPU-1", a_reading(temperature=95)))
        await house.until(lambda: house.ledger.states)
        task = house.ledger.states[-1].task
        assert task is not None and task.phase is Phase.RETURNING and house.ledger.story == []


async def test_a_tick_that_changes_nothing_is_not_shown() -> None:
    async with at_work(a_state()) as house:
        await house.heard(ON)
        shown = len(house.shown)
        house.engine.post(m.ClockTicked(NOON.replace(second=5), Zone()))
        await house.until(lambda: house.engine.state.now.second == 5)
        assert len(house.shown) == shown


async def test_messages_come_from_any_thread_and_keep_their_order() -> None:
    async with at_work(a_state()) as house:

        def speak() -> None:
            for number in range(500):
                house.engine.post(m.ChainSaid(house.engine.state.wallet.paid, number))

        thread = threading.Thread(target=speak, name="a speaker")
        thread.start()
        await house.until(lambda: house.engine.state.wallet.block == 499)
        thread.join()
        await house.until(lambda: len(house.ledger.story) == 500)
        assert [one.block for one in house.ledger.story if isinstance(one, m.ChainSaid)] == list(range(500))


async def test_the_end_writes_down_what_is_left() -> None:
    async with at_work(a_state()) as house:
        house.ledger.free.clear()
        house.engine.post(OFF)
        await house.until(house.ledger.saving.is_set)
        await house.heard(m.OwnerChangedSettings((("floor", 5),)))
    assert house.ledger.states[-1].settings.floor == 5
    assert [type(one) for one in house.ledger.story] == [m.OwnerTurnedSharing, m.OwnerChangedSettings, m.TroubleArose]


async def test_the_end_waits_for_the_save_under_way_so_that_the_newest_is_written_last() -> None:
    house = House(a_state())
    running = asyncio.create_task(house.engine.run())
    house.ledger.free.clear()
    house.engine.post(OFF)
    await house.until(house.ledger.saving.is_set)
    await house.heard(ON)
    running.cancel()
    await asyncio.sleep(0.05)
    assert not running.done()
    house.ledger.free.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [state.sharing.on for state in house.ledger.states] == [False, True]


async def test_the_end_begins_nothing_new() -> None:
    house = House(a_state())
    running = asyncio.create_task(house.engine.run())
    house.ledger.free.clear()
    house.engine.post(m.MarketLeased(a_lease()))
    await house.until(house.ledger.saving.is_set)
    running.cancel()
    await asyncio.sleep(0.01)
    house.ledger.free.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert house.done == [] and house.ledger.states[-1].task is not None


async def test_the_end_comes_also_when_the_disk_stays_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.engine.SAVE_AGAIN_S", 150.0)
    async with at_work(a_state()) as house:
        house.ledger.full = True
        house.engine.post(OFF)
        await house.until(lambda: house.engine.state.readiness.disk_full)
        ending = time.monotonic()
    assert time.monotonic() - ending < 75.0 and house.ledger.states == []


async def test_the_end_writes_a_story_that_the_full_disk_held_up() -> None:
    async with at_work(a_state()) as house:
        house.ledger.full = True
        house.engine.post(OFF)
        await house.until(lambda: house.engine.state.readiness.disk_full)
        house.ledger.full = False
    assert house.ledger.story[:2] == [OFF, m.DiskFilled(full=True)] and not house.ledger.states[-1].sharing.on


async def test_the_story_that_waits_is_bounded(quick: None) -> None:
    async with at_work(a_state()) as house:
        house.ledger.full = True
        for number in range(STORY_LINES + 100):
            house.engine.post(m.OwnerChangedSettings((("floor", number),)))
        await house.until(lambda: house.engine.state.settings.floor == STORY_LINES + 99)
        house.ledger.full = False
        await house.until(lambda: house.ledger.story)
        await house.until(lambda: not house.engine.state.readiness.disk_full)
        assert len(house.ledger.story) <= STORY_LINES + 2


@pytest.mark.parametrize("where", ["effect", "save", "thought"])
async def test_what_nobody_foresaw_ends_the_engine_loudly(where: str) -> None:
    """A dead half must not look alive: the root hears of it, and the agent starts anew."""
    house = House(a_state())
    house.stumbles_at = house.ledger.stumbles_at = where
    house.engine.post(m.MarketLeased(a_lease()))
    with pytest.raises(ZeroDivisionError, match=where):
        await asyncio.wait_for(house.engine.run(), 5)


def test_a_word_after_the_end_is_dropped() -> None:
    async def live() -> House:
        return House(a_state())

    house = asyncio.run(live())
    house.engine.post(OFF)
    assert house.engine.state == a_state()
