"""Who else uses the card, why it is slowed, its errors and its power limit: the real pynvml on a compiled fake driver.

And that the fake offers every function of the driver that the adapter reaches.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.nvml import CARD, Answer, FakeGpu, compile_library, fake_gpu, symbols_missing, symbols_needed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fake takes the driver's place by its name, as Linux's loader allows")

ADAPTER = Path(__file__).parents[2] / "desktop_app" / "adapters" / "nvml"
NOT_SUPPORTED, NO_PERMISSION, LOST, UNKNOWN = 3, 4, 15, 999
OURS, OUR_CHILD, GAME, BROWSER = 4711, 4712, 2**22 + 10, 2**22 + 11  # the latter two are above every real pid


@pytest.fixture
def gpu(tmp_path: Path) -> Iterator[FakeGpu]:
    with fake_gpu(tmp_path) as fake:
        fake.ask("find")
        yield fake


def read(gpu: FakeGpu, *own: int) -> dict[str, Answer]:
    answer = gpu.ask("read", list(own))
    assert isinstance(answer, dict)
    return answer


def others(gpu: FakeGpu, *own: int) -> tuple[Answer, Answer, Answer]:
    answer = read(gpu, *own)
    return answer["foreign_load"], answer["foreign_mb"], answer["foreign_name"]


# --- others -----------------------------------------------------------------------------------------------------------------


def test_our_own_work_is_nobody_elses(gpu: FakeGpu) -> None:
    gpu.world += f"0.compute {OURS} 900\n0.compute {OUR_CHILD} 100\n0.use {OURS} 97 100\n"
    assert others(gpu, OURS, OUR_CHILD) == (0, 0, "")
    assert others(gpu, OURS) == (0, 100, "")


def test_a_game_is_told_by_its_load_its_memory_and_its_name(gpu: FakeGpu) -> None:
    gpu.world += f"0.graphics {os.getpid()} 2100\n0.graphics {BROWSER} 300\n0.use {BROWSER} 7 100\n0.use {os.getpid()} 64 100\n"
    assert others(gpu, OURS) == (64, 2400, psutil.Process().name())


def test_who_only_computes_is_counted_by_memory(gpu: FakeGpu) -> None:
    gpu.world += f"0.compute {GAME} 5000\n0.use {GAME} 90 100\n"
    assert others(gpu, OURS) == (0, 5000, "")


def test_a_program_that_draws_and_computes_is_counted_once(gpu: FakeGpu) -> None:
    gpu.world += f"0.compute {GAME} 500\n0.graphics {GAME} 500\n0.use {GAME} 30 100\n"
    assert others(gpu, OURS) == (30, 500, "")


def test_the_newest_sample_of_a_program_counts_and_old_ones_do_not(gpu: FakeGpu) -> None:
    gpu.world += f"0.graphics {GAME} 500\n0.use {GAME} 80 700\n0.use {GAME} 12 100\n0.use {GAME} 55 400\n"
    assert others(gpu)[0] == 12
    gpu.world = CARD + f"0.graphics {GAME} 500\n0.use {GAME} 80 5000\n"
    assert others(gpu)[0] == 0


def test_windows_does_not_tell_memory_of_programs(gpu: FakeGpu) -> None:
    gpu.world += f"0.compute {OURS} -1\n"
    assert others(gpu, OURS) == (0, 0, "")
    gpu.world += f"0.graphics {GAME} -1\n"
    assert others(gpu, OURS) == (0, None, "")


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION, UNKNOWN])
@pytest.mark.parametrize("function", ["nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v3"])
def test_a_driver_that_names_no_programs_costs_no_other_figure(gpu: FakeGpu, function: str, code: int) -> None:
    gpu.fail(function, code)
    answer = read(gpu)
    assert (answer["foreign_load"], answer["foreign_mb"], answer["foreign_name"]) == (None, None, "")
    assert answer["temperature"] == 41


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetProcessUtilization", "nvmlDeviceGetFanSpeed"]
)
def test_a_card_lost_in_the_middle_is_missing(gpu: FakeGpu, function: str) -> None:
    gpu.fail(function, LOST)
    assert read(gpu)["is"] == "GpuWentMissing"


# --- why it is slowed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x0, []),
        (0x1 | 0x2 | 0x10 | 0x100, []),  # idle, the owner's own clocks, sync boost, display
        (0x4, ["SwPowerCap"]),
        (0x8 | 0x40, ["HwSlowdown", "HwThermal"]),
        (0x20 | 0x80, ["SwThermal", "PowerBrake"]),
    ],
)
def test_why_the_card_is_slowed(gpu: FakeGpu, bits: int, reasons: list[Answer]) -> None:
    gpu.change(reasons=bits)
    assert read(gpu)["slowed"] == reasons


def test_a_card_that_does_not_say_why(gpu: FakeGpu) -> None:
    gpu.change(reasons=None)
    assert read(gpu)["slowed"] is None


# --- its errors -------------------------------------------------------------------------------------------------------------


def test_errors_are_heard_once_and_in_order_while_the_library_is_open(gpu: FakeGpu) -> None:
    gpu.world += "0.xid 13\n"
    assert gpu.ask("faults") == [], "nobody listens while it is closed"
    assert (gpu.held, gpu.listened_to) == (0, 0)
    gpu.ask("open")
    assert gpu.ask("faults") == [], "what was before is not heard"
    assert gpu.listened_to == 1
    gpu.world += "0.xid 31\n0.xid 79\n"
    assert gpu.ask("faults") == [31, 79]
    assert gpu.ask("faults") == []
    gpu.world += "0.xid 48\n"
    assert gpu.ask("faults") == [48]
    gpu.ask("close")
    assert (gpu.held, gpu.listened_to) == (0, 0)
    gpu.ask("open")
    assert gpu.ask("faults") == []
    gpu.ask("close")
    assert gpu.listened_to == 0


def test_a_card_that_reports_without_end_does_not_hold_anybody(gpu: FakeGpu) -> None:
    gpu.ask("open")
    gpu.ask("faults")
    gpu.world += "0.xid 31\n" * 100
    first = gpu.ask("faults")
    assert isinstance(first, list)
    assert 0 < len(first) < 100
    assert gpu.ask("faults") == [31] * (100 - len(first))


@pytest.mark.parametrize("function", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents"])
def test_a_driver_that_reports_no_errors_is_asked_once(gpu: FakeGpu, function: str) -> None:
    gpu.fail(function, NOT_SUPPORTED)
    gpu.ask("open")
    assert gpu.ask("faults") == []
    gpu.world = CARD + "0.xid 79\n"
    assert gpu.ask("faults") == []
    assert gpu.listened_to == 0
    gpu.ask("close")


def test_a_lost_card_reports_no_errors(gpu: FakeGpu) -> None:
    gpu.ask("open")
    gpu.ask("faults")
    gpu.change(lost=1)
    assert gpu.ask("faults") == []
    gpu.ask("close")
    assert (gpu.held, gpu.listened_to) == (0, 0)


# --- power and heat limits --------------------------------------------------------------------------------------------------


def limit_of(gpu: FakeGpu) -> object:
    limits = gpu.ask("power_limits")
    assert isinstance(limits, dict)
    return limits["now"]


def test_a_limit_is_set_only_with_the_right_to(gpu: FakeGpu) -> None:
    assert limit_of(gpu) == 450
    assert gpu.ask("set_power_limit_w", 300) is False
    assert limit_of(gpu) == 450
    gpu.change(may_set=1)
    assert gpu.ask("set_power_limit_w", 300) is True
    assert gpu.ask("power_limits") == {"is": "PowerLimits", "now": 300, "usual": 450, "least": 150, "most": 600}
    assert gpu.held == 0


@pytest.mark.parametrize("watts", [0, 149, 601])
def test_a_limit_outside_the_cards_span_is_refused(gpu: FakeGpu, watts: int) -> None:
    gpu.change(may_set=1)
    assert gpu.ask("set_power_limit_w", watts) is False
    assert limit_of(gpu) == 450


def test_a_card_without_a_limit_says_none(gpu: FakeGpu) -> None:
    gpu.change(default_limit=None, least_limit=None)
    assert gpu.ask("power_limits") is None
    gpu.change(default_limit=450_000, lost=1)
    assert gpu.ask("power_limits") is None
    assert gpu.ask("set_power_limit_w", 300) is False
    assert gpu.ask("heat_limits") is None


def test_where_the_card_slows_itself_down_and_turns_itself_off(gpu: FakeGpu) -> None:
    assert gpu.ask("heat_limits") == {"is": "HeatLimits", "slowdown": 93, "shutdown": 98}
    gpu.change(slowdown_at=None)
    assert gpu.ask("heat_limits") == {"is": "HeatLimits", "slowdown": None, "shutdown": 98}


# --- the fake and the price ---------------------------------------------------------------------------------------------------


def test_the_fake_offers_every_function_the_adapter_reaches(tmp_path: Path) -> None:
    needed = symbols_needed(ADAPTER)
    assert len(needed) >= 30
    assert symbols_missing(compile_library(tmp_path), needed) == set()
    (tmp_path / "bare").mkdir()
    assert "nvmlEventSetWait_v2" in symbols_missing(compile_library(tmp_path / "bare", "-DBARE"), needed), "a missing one would show"


def test_a_reading_is_quick(gpu: FakeGpu) -> None:
    """Though the fake reads its world anew for every figure."""
    gpu.world += "".join(f"0.graphics {GAME + number} 10\n" for number in range(20))
    gpu.ask("open")
    times = []
    for _ in range(30):
        started = time.perf_counter()
        gpu.ask("read", [OURS])
        times.append(time.perf_counter() - started)
    gpu.ask("close")
    assert sorted(times)[15] < 0.05


def test_a_question_under_way_does_not_hold_up_the_closing(tmp_path: Path) -> None:
    """A driver that hangs keeps the thread that asked; whoever closes goes on, and closes at the next time."""
    script = """
import ctypes, sys, threading, time
ctypes.CDLL(sys.argv[1])
from desktop_app.adapters.nvml import Nvml
from desktop_app.adapters.nvml.library import Listener
nvml = Nvml()
device = nvml.find()[0]
assert nvml.open()
hang, hung = threading.Event(), threading.Event()
Listener.heard = lambda self: (hung.set(), hang.wait(30), [])[2]
asker = threading.Thread(target=nvml.faults, args=(device,))
asker.start()
hung.wait(10)
started = time.monotonic()
nvml.close()
assert time.monotonic() - started < 5
hang.set()
asker.join()
nvml.close()
"""
    library = compile_library(tmp_path)
    (tmp_path / "world.txt").write_text(CARD)
    environment = os.environ | {"FAKE_NVML_WORLD": str(tmp_path / "world.txt")}
    subprocess.run([sys.executable, "-c", script, str(library)], env=environment, check=True, timeout=60)
    log = (tmp_path / "world.txt.held").read_text().splitlines()
    assert log.count("open") == log.count("close")
