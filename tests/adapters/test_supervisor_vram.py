"""The card's memory after a give-back, as the real NVML adapter reads it from the fake driver: free, kept, taken by others, lost."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from desktop_app.core import messages as m
from desktop_app.core.faults import HELD
from desktop_app.core.state import GiveBackRecord, Halt, Trigger
from tests.adapters.supervisor_house import DEVICE, House, house
from tests.fakes.nvml import FakeGpu, fake_gpu

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

_TASK_MB = 9_000


@dataclass
class Card:
    """A card, and a supervisor that reads its memory. `vram_free` and `vram_users` are called by the session's thread only."""

    gpu: FakeGpu
    home: House
    pid: int = 0

    def work(self) -> None:
        """A task runs, and holds memory of the card, as the driver says."""
        self.pid = self.home.begin(steps=1_000_000)
        self.gpu.change(used_mb=1_200 + _TASK_MB, compute=f"{self.pid} {_TASK_MB}")
        time.sleep(0.8)  # the session has seen it in the driver's list

    def give_back(self, trigger: Trigger = Trigger.CLICK) -> None:
        self.home.supervisor.give_back("task-1", trigger, 200)

    def record(self) -> GiveBackRecord:
        return self.home.until(m.GpuGivenBack).record


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    with fake_gpu(tmp_path) as gpu:
        (device,) = cast(list[dict[str, int]], gpu.ask("find"))

        def free() -> int | None:
            used = gpu.ask("vram_used")
            return None if used is None else (device["memory_mb"] - int(cast(int, used))) << 20

        def users() -> frozenset[int] | None:
            listed = cast("list[dict[str, int]] | None", gpu.ask("processes"))
            return None if listed is None else frozenset(one["pid"] for one in listed)

        with house(tmp_path, vram_free=free, vram_users=users) as home:
            yield Card(gpu, home)


def test_the_owner_is_told_when_the_driver_has_let_go(card: Card) -> None:
    card.work()
    card.give_back()
    time.sleep(0.4)
    assert not any(isinstance(one, m.GpuGivenBack) for one in card.home.quiet(0))
    card.gpu.change(used_mb=1_200, compute=None)
    record = card.record()
    assert (record.halt, record.held) == (Halt.YIELDED, False)
    assert 350 < (record.vram_free_ms or 0) < 1_900 and record.stopped_ms < 350


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
    card.give_back(Trigger.FOREIGN_USE)
    card.gpu.change(used_mb=1_200 + 6_000, compute=None)
    record = card.record()
    assert not record.held and (record.vram_free_ms or 9_999) < 1_000


def test_a_card_that_is_lost_is_not_called_free(card: Card) -> None:
    card.work()
    card.gpu.change(lost=1)
    card.give_back(Trigger.GPU_LOST)
    record = card.record()
    assert (record.held, record.vram_free_ms) == (False, None)
    assert not any(isinstance(one, m.GpuFaulted) for one in card.home.seen)


def test_a_task_that_ends_by_itself_is_read_back_too(card: Card) -> None:
    card.home.supervisor.start(card.home.lease(steps=60), None)
    card.home.until(m.WorkerStarted)
    card.gpu.change(used_mb=1_200 + _TASK_MB)
    assert card.home.until(m.GpuFaulted).xid == HELD
    card.home.until(m.WorkerFinished)
