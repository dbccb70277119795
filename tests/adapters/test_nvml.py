"""The real pynvml on a compiled fake driver: figures, figures that are missing, a lost GPU, an old driver, and who holds it.

And the practice device, which is this machine's own processor.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from desktop_app.adapters.nvml import PRACTICE_WATTS, UNTOLD_BOARD_WATTS, Nvml, practice_device, read_practice
from desktop_app.core.gpu import DeviceKind, Tier, tier_of
from tests.fakes.nvml import CARD, Answer, FakeGpu, fake_gpu

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fake takes the driver's place by its name, as Linux's loader allows")

UUID = "GPU-11111111-2222-3333-4444-555555555555"
NOT_SUPPORTED = 3
NO_PERMISSION = 4
UNKNOWN = 999
READING: dict[str, Answer] = {
    "is": "Reading", "memory_used_mb": 1200, "utilisation": 3, "temperature": 41, "watts": 28, "fan": 30, "energy_mj": 912345678,
    "slowed": [], "foreign_load": 0, "foreign_mb": 0, "foreign_name": "",
}  # fmt: skip


@pytest.fixture
def gpu(tmp_path: Path) -> Iterator[FakeGpu]:
    with fake_gpu(tmp_path) as fake:
        yield fake


def test_a_gpu_is_found_with_all_that_the_market_asks(gpu: FakeGpu) -> None:
    assert gpu.ask("find") == [
        {
            "is": "Device", "kind": "nvidia", "uuid": UUID, "name": "NVIDIA GeForce RTX 4090",
            "memory_mb": 24564, "board_watts": 450, "index": 0, "driver": "580.65.06",
        }
    ]


def test_the_card_is_read_anew_every_time(gpu: FakeGpu) -> None:
    gpu.ask("find")
    assert gpu.ask("read") == READING
    gpu.change(temperature=84, utilisation=99, milliwatts=431_600, used_mb=20_000, fan=75)
    figures = {"memory_used_mb": 20_000, "utilisation": 99, "temperature": 84, "watts": 432, "fan": 75}
    assert gpu.ask("read") == READING | figures
    assert gpu.ask("vram_used") == 20_000


@pytest.mark.parametrize(
    ("function", "figure"),
    [
        ("nvmlDeviceGetUtilizationRates", "utilisation"),
        ("nvmlDeviceGetTemperature", "temperature"),
        ("nvmlDeviceGetPowerUsage", "watts"),
        ("nvmlDeviceGetFanSpeed", "fan"),
        ("nvmlDeviceGetMemoryInfo", "memory_used_mb"),
        ("nvmlDeviceGetTotalEnergyConsumption", "energy_mj"),
        ("nvmlDeviceGetProcessUtilization", "foreign_load"),
    ],
)
@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION, UNKNOWN])
def test_a_figure_the_driver_does_not_give_is_none_and_costs_no_other(gpu: FakeGpu, function: str, figure: str, code: int) -> None:
    gpu.ask("find")
    gpu.fail(function, code)
    assert gpu.ask("read") == READING | {figure: None}


def test_a_gpu_that_falls_off_the_bus_is_said_to_be_missing(gpu: FakeGpu) -> None:
    gpu.ask("find")
    gpu.ask("open")
    gpu.change(lost=1)
    assert said_missing(gpu) == "GPU is lost"
    assert gpu.ask("vram_used") is None
    assert gpu.ask("processes") is None
    assert gpu.ask("find") == []
    gpu.change(lost=None)
    assert gpu.ask("read") == READING


def test_a_gpu_that_is_lost_between_two_figures_is_missing_too(gpu: FakeGpu) -> None:
    gpu.ask("find")
    gpu.fail("nvmlDeviceGetTemperature", 15)
    assert said_missing(gpu) == "GPU is lost"


def test_a_gpu_that_was_taken_out_is_missing(gpu: FakeGpu) -> None:
    gpu.ask("find")
    gpu.world = "count 0\ndriver 580.65.06\n"
    assert said_missing(gpu)


def test_processes_are_listed_and_windows_does_not_say_their_memory(gpu: FakeGpu) -> None:
    gpu.ask("find")
    assert gpu.ask("processes") == []
    gpu.world += "0.compute 4711 900\n0.compute 4712 -1\n0.graphics 99 55\n"
    assert gpu.ask("processes") == [
        {"is": "GpuProcess", "pid": 4711, "memory_mb": 900, "graphics": False},
        {"is": "GpuProcess", "pid": 4712, "memory_mb": None, "graphics": False},
        {"is": "GpuProcess", "pid": 99, "memory_mb": 55, "graphics": True},
    ]
    gpu.fail("nvmlDeviceGetGraphicsRunningProcesses_v3", NOT_SUPPORTED)
    assert gpu.ask("processes") is None


def test_an_old_driver_lacks_functions_and_still_serves(tmp_path: Path) -> None:
    with fake_gpu(tmp_path, CARD, "-DOLD_DRIVER") as gpu:
        gpu.ask("find")
        assert gpu.ask("read") == READING | {"memory_used_mb": 1580, "fan": None}, "the driver's own share cannot be told apart"
        gpu.change(reasons=0x4)
        assert gpu.ask("read") == READING | {"memory_used_mb": 1580, "fan": None, "slowed": ["SwPowerCap"]}, "by its older name"


def test_a_driver_with_the_oldest_functions_only_still_serves(tmp_path: Path) -> None:
    with fake_gpu(tmp_path, CARD, "-DOLD_DRIVER", "-DBARE") as gpu:
        gpu.ask("find")
        gpu.ask("open")
        assert gpu.ask("read") == READING | {"memory_used_mb": 1580, "fan": None, "energy_mj": None, "foreign_load": None}
        assert gpu.ask("faults") == []
        assert gpu.ask("power_limits") is None
        assert gpu.ask("set_power_limit_w", 200) is False
        assert gpu.ask("heat_limits") == {"is": "HeatLimits", "slowdown": None, "shutdown": None}


def test_a_board_that_does_not_say_its_power_is_taken_for_a_hungry_one(gpu: FakeGpu) -> None:
    gpu.change(default_limit=None, enforced_limit=320_000)
    assert _watts(gpu) == 320
    gpu.change(enforced_limit=None)
    assert _watts(gpu) == UNTOLD_BOARD_WATTS


def test_one_broken_card_does_not_hide_the_other(gpu: FakeGpu) -> None:
    second = "1.name NVIDIA L4\n1.uuid GPU-b\n1.total_mb 23034\n1.default_limit 72000\n"
    gpu.world = CARD.replace("count 1", "count 2") + second + "0.lost 1\n"
    found = gpu.ask("find")
    assert isinstance(found, list)
    assert [one["index"] for one in found if isinstance(one, dict)] == [1]


def test_nothing_is_held_unless_it_was_opened(gpu: FakeGpu) -> None:
    for question in ("find", "read", "vram_used", "processes"):
        gpu.ask(question)
        assert gpu.held == 0, question
    assert gpu.ask("open") is True
    assert gpu.ask("open") is True
    assert gpu.held == 1
    gpu.ask("read")
    assert gpu.held == 1
    gpu.ask("close")
    gpu.ask("close")
    assert gpu.held == 0


def test_a_driver_that_does_not_start_is_no_gpu(gpu: FakeGpu) -> None:
    gpu.fail("nvmlInitWithFlags", 9)
    assert gpu.ask("find") == []
    assert gpu.ask("open") is False


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has a driver")
def test_without_a_driver_there_is_no_gpu() -> None:
    nvml = Nvml()
    assert nvml.find() == []
    assert nvml.open() is False
    nvml.close()


def test_the_practice_device_is_this_processor() -> None:
    device = practice_device(Path("one"))
    assert device.kind is DeviceKind.PRACTICE
    assert tier_of(device) is Tier.PRACTICE
    assert device.memory_mb == psutil.virtual_memory().total >> 20
    assert device.board_watts == PRACTICE_WATTS
    assert device.name
    assert device.driver is None


def test_the_practice_device_keeps_its_uuid_per_profile_and_does_not_tell_the_machine() -> None:
    assert practice_device(Path("one")) == practice_device(Path("one"))
    assert practice_device(Path("one")).uuid != practice_device(Path("two")).uuid
    machine_id = Path("/etc/machine-id")
    if machine_id.exists():
        assert machine_id.read_text().strip() not in practice_device(Path("one")).uuid


def test_the_practice_gauges_are_real_or_none() -> None:
    read_practice()
    end = os.times().user + 0.3
    while os.times().user < end:
        pass
    reading = read_practice()
    assert reading.utilisation is not None
    assert 0 < reading.utilisation <= 100
    assert reading.memory_used_mb is not None
    assert 0 < reading.memory_used_mb < practice_device(Path("one")).memory_mb
    assert reading.watts is None
    assert reading.fan is None


def said_missing(gpu: FakeGpu) -> Answer:
    """What the driver said of the card that is gone."""
    answer = gpu.ask("read")
    assert isinstance(answer, dict)
    assert (answer["is"], answer["uuid"]) == ("GpuWentMissing", UUID)
    return answer["detail"]


def _watts(gpu: FakeGpu) -> int:
    found = gpu.ask("find")
    assert isinstance(found, list)
    assert isinstance(found[0], dict)
    watts = found[0]["board_watts"]
    assert isinstance(watts, int)
    return watts
