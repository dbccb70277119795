"""The card's memory after a give-back, as the real NVML adapter reads it from the fake driver: free, kept, taken by others, lost."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from desktop_app.core import messages as m
from desktop_app.core.faults import HELD
from desktop_app.core.state import GiveBackRecord, Halt, Trigger
from tests.adapters.supervisor_house import DEVICE, LATER, House, house
from tests.fakes.nvml import FakeGpu, fake_gpu

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

_TASK_MB = 9_000
_LOOKS = 4  # the one at which the driver has let go, where it does; between two the supervisor waits five milliseconds


@dataclass
class Driver:
    """What a supervisor asks about the card. Called by the session's thread only, in which the driver also does what is set here.

    `when_told`: after the first answer about memory. `when_gone`: before the answer at a look some looks after the end of `pid`.
    """

    gpu: FakeGpu
    memory_mb: int
    pid: int = 0
    looks: int = 0
    when_told: Callable[[], None] | None = None
    when_gone: Callable[[], None] | None = None
    listed: threading.Event = field(default_factory=threading.Event)

    def free(self) -> int | None:
        self._looked()
        used = self.gpu.ask("vram_used")
        told, self.when_told = self.when_told, None
        if told:
            told()
        return None if used is None else (self.memory_mb - int(cast(int, used))) << 20

    def users(self) -> frozenset[int] | None:
        self._looked()
        listed = cast("list[dict[str, int]] | None", self.gpu.ask("processes"))
        pids = None if listed is None else frozenset(one["pid"] for one in listed)
        if pids and self.pid in pids:
            self.listed.set()
        return pids

    def _looked(self) -> None:
        if self.pid and not Path(f"/proc/{self.pid}").exists():
            self.looks += 1
            if self.looks == _LOOKS and self.when_gone:
                self.when_gone()


@dataclass
class Card:
    """A card, and a supervisor that reads its memory."""

    driver: Driver
    home: House

    @property
    def gpu(self) -> FakeGpu:
        return self.driver.gpu

    def work(self) -> None:
        """A task runs, and holds memory of the card, as the driver says."""
        self.driver.pid = self.home.begin(steps=1_000_000)
        self.gpu.change(used_mb=1_200 + _TASK_MB, compute=f"{self.driver.pid} {_TASK_MB}")
        assert self.driver.listed.wait(20), "the session did not see it in the driver's list"

    def give_back(self, trigger: Trigger = Trigger.CLICK) -> None:
        self.home.supervisor.give_back("task-1", trigger, LATER)

    def record(self) -> GiveBackRecord:
        return self.home.until(m.GpuGivenBack).record


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    with fake_gpu(tmp_path) as gpu:
        (device,) = cast(list[dict[str, int]], gpu.ask("find"))
        driver = Driver(gpu, device["memory_mb"])
        with house(tmp_path, vram_free=driver.free, vram_users=driver.users) as home:
            yield Card(driver, home)


def test_the_owner_is_told_when_the_driver_has_let_go(card: Card) -> None:
    card.work()
    card.driver.when_gone = lambda: card.gpu.change(used_mb=1_200, compute=None)
    back, stopped_ms = card.home.taken_back(Trigger.CLICK, LATER)
    record = back.record
    assert (record.halt, record.held) == (Halt.YIELDED, False)
    assert (record.vram_free_ms or 0) > record.stopped_ms + (_LOOKS - 1) * 4, "it was told before the driver had let go"
    assert stopped_ms < 350


def test_a_driver_that_does_not_let_go_is_told_of_and_gets_no_other_task(card: Card) -> None:
    card.work()
    card.give_back()
    assert card.home.until(m.GpuFaulted) == m.GpuFaulted(DEVICE.uuid, HELD)
    record = card.record()
    assert record.held and record.vram_free_ms is None


def test_memory_that_a_game_took_meanwhile_is_the_owners(card: Card) -> None:
    card.work()
    card.gpu.change(used_mb=1_200 + _TASK_MB + 6_000)
    card.gpu.world += "0.graphics 4711 6000\n"
    card.driver.when_gone = lambda: card.gpu.change(used_mb=1_200 + 6_000, compute=None)
    card.give_back(Trigger.FOREIGN_USE)
    record = card.record()
    assert not record.held and record.vram_free_ms is not None


def test_a_card_that_is_lost_is_not_called_free(card: Card) -> None:
    card.work()
    card.gpu.change(lost=1)
    card.give_back(Trigger.GPU_LOST)
    record = card.record()
    assert (record.held, record.vram_free_ms) == (False, None)
    assert not any(isinstance(one, m.GpuFaulted) for one in card.home.seen)


def test_a_task_that_ends_by_itself_is_read_back_too(card: Card) -> None:
    card.driver.when_told = lambda: card.gpu.change(used_mb=1_200 + _TASK_MB)
    card.home.supervisor.start(card.home.lease(steps=60), None)
    assert card.home.until(m.GpuFaulted).xid == HELD
    card.home.until(m.WorkerFinished)
