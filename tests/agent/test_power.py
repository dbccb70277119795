"""The cap on power, by the real adapter on a fake card whose limit outlives whoever sets it: as the real one's does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.agent.power import Limit, PowerCap
from desktop_app.core import messages as m
from desktop_app.core.state import NoticeKind
from tests.fakes.nvml import CARD, FakeGpu, compile_library, fake_gpu

UUID = "GPU-11111111-2222-3333-4444-555555555555"
PERMITTED = CARD + "0.may_set 1\n"


class World:
    """A card with its owner's limit of 450 W, and a cap with a note."""

    def __init__(self, gpu: FakeGpu, root: Path) -> None:
        self.gpu, self.note = gpu, root / "power.json"
        self.told: list[m.Message] = []
        gpu.ask("find")
        self.cap = PowerCap(self.note, self.limit(), self.told.append)

    def limit(self, uuid: str = UUID) -> Limit:
        return Limit(uuid, self._read, lambda watts: self.gpu.ask("set_power_limit_w", watts) is True)

    def _read(self) -> tuple[int, int] | None:
        limits = self.gpu.ask("power_limits")
        return (int(str(limits["now"])), int(str(limits["least"]))) if isinstance(limits, dict) else None

    def watts(self) -> object:
        found = self._read()
        return None if found is None else found[0]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with fake_gpu(tmp_path, PERMITTED) as gpu:
        one = World(gpu, tmp_path)
        yield one
        one.cap.close()


async def test_the_power_is_held_down_and_given_back(world: World) -> None:
    await world.cap.cap(200)
    assert world.watts() == 200
    assert json.loads(world.note.read_text()) == {"uuid": UUID, "watts": 450}
    await world.cap.cap(220)
    assert world.watts() == 220
    await world.cap.cap(0)
    assert world.watts() == 450
    assert not world.note.exists()
    assert world.told == []


@pytest.mark.parametrize(("asked", "held"), [(500, 450), (100, 150)])
async def test_it_is_never_raised_and_never_asked_for_less_than_the_card_can(world: World, asked: int, held: int) -> None:
    await world.cap.cap(asked)
    assert world.watts() == held
    assert world.told == []


async def test_quitting_gives_it_back(world: World) -> None:
    await world.cap.cap(200)
    world.cap.close()
    assert world.watts() == 450


async def test_where_it_is_not_permitted_the_owner_hears_it_and_nothing_is_left_to_undo(world: World) -> None:
    world.gpu.change(may_set=None)
    await world.cap.cap(200)
    assert world.watts() == 450
    assert not world.note.exists()
    assert [one.kind for one in world.told if isinstance(one, m.TroubleArose)] == [NoticeKind.TROUBLE]


async def test_a_card_that_does_not_tell_is_left_alone(world: World) -> None:
    world.gpu.fail("nvmlDeviceGetPowerManagementLimit", 3)
    await world.cap.cap(200)
    assert not world.note.exists()
    assert len(world.told) == 1


async def test_what_cannot_be_undone_now_is_undone_by_the_next_start(world: World) -> None:
    await world.cap.cap(200)
    world.gpu.change(may_set=None)
    await world.cap.cap(0)
    assert world.watts() == 200
    assert world.note.exists()
    assert "nvidia-smi -pl 450" in getattr(world.told[-1], "detail", "")
    world.gpu.change(may_set=1)
    PowerCap(world.note, world.limit(), world.told.append).undo()
    assert world.watts() == 450
    assert not world.note.exists()


async def test_another_cards_note_is_not_taken_for_this_ones(world: World) -> None:
    await world.cap.cap(200)
    PowerCap(world.note, world.limit("GPU-2"), world.told.append).undo()
    assert world.watts() == 200
    assert world.note.exists()


def test_a_damaged_note_changes_nothing(world: World) -> None:
    for text in ("", "{", "[]", '{"uuid": 1}', f'{{"uuid": "{UUID}", "watts": "many"}}'):
        world.note.write_text(text)
        world.cap.undo()
        assert world.watts() == 450


_AGENT = """
import asyncio, ctypes, sys, time
from pathlib import Path
ctypes.CDLL(sys.argv[1])
from desktop_app.adapters.nvml import Nvml
from desktop_app.agent.power import PowerCap, limit_of
cap = PowerCap(Path(sys.argv[2]), limit_of(Nvml().find()[0]), print)
cap.undo()
print(*limit_of(Nvml().find()[0]).read(), flush=True)
if sys.argv[3] == "work":
    asyncio.run(cap.cap(200))
    print(*limit_of(Nvml().find()[0]).read(), flush=True)
    time.sleep(60)
cap.close()
"""


def test_after_a_sudden_death_the_next_agent_gives_the_owners_limit_back(tmp_path: Path) -> None:
    library, world, note = compile_library(tmp_path), tmp_path / "world.txt", tmp_path / "power.json"
    world.write_text(PERMITTED)
    environment = os.environ | {"FAKE_NVML_WORLD": str(world)}
    command = (sys.executable, "-c", _AGENT, str(library), str(note))
    with subprocess.Popen((*command, "work"), env=environment, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "450 150\n"
        assert agent.stdout.readline() == "200 150\n"
        agent.kill()
    assert note.exists()
    assert Path(f"{world}.limit0").read_text().strip() == "200000"
    done = subprocess.run((*command, "look"), env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "450 150\n"
    assert not note.exists()
    assert Path(f"{world}.limit0").read_text().strip() == "450000"
