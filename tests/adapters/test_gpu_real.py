"""A stranger's task on a real NVIDIA GPU, with nothing faked: the walls around its driver, its work, and the card given back.

Skipped without a GPU, or with a torch that knows no CUDA; how quick all this is, `tests.benchmarks.gpu_plan` measures.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.nvml import Nvml
from desktop_app.adapters.supervisor import Tuning
from desktop_app.adapters.supervisor.sandbox import nodes_of
from desktop_app.core import messages as m
from desktop_app.core.gpu import Device
from desktop_app.core.state import Halt, Trigger
from desktop_app.core.task import Lease
from tests.adapters.supervisor_house import House, house
from tests.benchmarks import work
from tests.benchmarks.gpu_plan import asked, free_again
from tests.leaks import family

_FOUND = Nvml().find()
_LONG, _SHORT = 1_000_000, 3_000

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not _FOUND, reason="no NVIDIA GPU answers on this machine"),
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far"),
]


@dataclass(frozen=True)
class Card:
    """The real card, its real driver, and a supervisor that reads its memory back."""

    device: Device
    nvml: Nvml
    home: House

    def training(self, task_id: str, steps: int) -> Lease:
        task = work.Work("train.classifier/1", work.PARAMS | {"steps": steps})
        return work.lease(self.home.root / "blobs", task_id, task, work.CUDA_RAM_MB)

    def used_mb(self) -> int:
        used = self.nvml.vram_used(self.device)
        assert used is not None
        return used

    def works(self) -> m.WorkerStarted:
        """A long task runs, and holds the card."""
        self.home.supervisor.start(self.training("long", _LONG), None)
        started = self.home.until(m.WorkerStarted, 120)
        self.home.until(m.WorkerProgressed, 60)
        time.sleep(1)  # the session has seen it in the driver's list
        return started


@pytest.fixture
def card(nvml: Nvml, tmp_path: Path) -> Iterator[Card]:
    torch = pytest.importorskip("torch")
    if torch.version.cuda is None:  # asked without making a context of our own
        pytest.skip("this torch is built without CUDA")
    device = _FOUND[0]

    def free() -> int | None:
        used = nvml.vram_used(device)
        return None if used is None else (device.memory_mb - used) << 20

    def users() -> frozenset[int] | None:
        listed = nvml.processes(device)
        return None if listed is None else frozenset(one.pid for one in listed)

    with house(tmp_path, Tuning(), vram_free=free, vram_users=users, device=device) as home:
        yield Card(device, nvml, home)


def opened(pids: list[int]) -> set[str]:
    """The card's nodes that these processes have open or mapped."""
    found = set()
    for pid in pids:
        files = [os.readlink(place) for place in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115 - as the kernel calls them
        mapped = [line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
        found |= {name for name in (*files, *mapped) if name.startswith("/dev/nvidia")}
    return found


def test_a_kernel_runs_in_the_sandbox_with_the_cards_own_nodes_only() -> None:
    with asked(_FOUND[0]) as (answer, _):
        assert answer.refused == ""
        assert answer.made == [2 * number for number in range(32)]
        assert answer.nodes == sorted(nodes_of(_FOUND[0])) == ["nvidia-uvm", f"nvidia{_FOUND[0].index}", "nvidiactl"]


def test_a_task_is_trained_to_its_end_without_an_error_of_the_card(card: Card) -> None:
    assert card.nvml.faults(card.device) == []
    card.home.supervisor.start(card.training("whole", _SHORT), None)
    started = card.home.until(m.WorkerStarted, 120)
    assert "/dev/nvidiactl" in opened([started.pid]), "it was computed on the card"
    done = card.home.until(m.WorkerFinished, 120)
    assert dict(done.metrics)["train_accuracy"] > 0.9
    assert card.nvml.faults(card.device) == []


def test_the_card_is_given_back_and_its_memory_read_back_within_a_second(card: Card) -> None:
    card.nvml.faults(card.device)
    before = card.used_mb()
    started = card.works()
    assert card.used_mb() > before + 100
    card.home.supervisor.give_back("long", Trigger.CLICK, 200)
    begun = time.monotonic()
    record = card.home.until(m.GpuGivenBack).record
    assert time.monotonic() - begun < 2
    assert (record.halt, record.held) == (Halt.YIELDED, False)
    assert record.vram_free_ms is not None and record.vram_free_ms < 1_000
    assert free_again(lambda: card.nvml.vram_used(card.device), before, 0)
    assert started.pid not in {one.pid for one in card.nvml.processes(card.device) or ()}
    assert card.nvml.faults(card.device) == []


def test_the_worker_that_waits_opens_no_device_before_its_task(card: Card) -> None:
    before = card.used_mb()
    card.home.supervisor.warm()
    end = time.monotonic() + 60
    while not (warm := [one.pid for one in family(psutil.Process()) if "libtorch" in Path(f"/proc/{one.pid}/maps").read_text()]):
        assert time.monotonic() < end, "it has not imported torch"
        time.sleep(0.1)
    time.sleep(3)  # the rest of what it imports
    assert opened(warm) == set()
    assert free_again(lambda: card.nvml.vram_used(card.device), before, 0)
    assert card.works().pid in warm, "the task got the worker that waited"
    assert "/dev/nvidiactl" in opened(warm)
