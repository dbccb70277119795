"""The adapter on a real NVIDIA GPU: figures that can be true, and a process of ours told from the others. Skipped without one."""

import os
import time

import pytest

from desktop_app.adapters.nvml import Nvml
from desktop_app.core.gpu import Device, Reading

_FOUND = Nvml().find()

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not _FOUND, reason="no NVIDIA GPU answers on this machine")]


@pytest.fixture
def device() -> Device:
    return _FOUND[0]


def read(nvml: Nvml, device: Device, *own: int) -> Reading:
    seen = nvml.read(device, own)
    assert isinstance(seen, Reading), seen
    return seen


def test_its_figures_can_be_true(nvml: Nvml, device: Device) -> None:
    seen = read(nvml, device)
    assert seen.memory_used_mb is not None
    assert 0 <= seen.memory_used_mb <= device.memory_mb
    assert seen.temperature is None or 5 < seen.temperature < 110
    assert seen.watts is None or 0 < seen.watts <= 2 * device.board_watts
    assert seen.utilisation is None or 0 <= seen.utilisation <= 100


def test_its_energy_grows_with_time(nvml: Nvml, device: Device) -> None:
    first = read(nvml, device).energy_mj
    if first is None:
        pytest.skip("this card does not count its energy")
    time.sleep(1)
    second = read(nvml, device).energy_mj
    assert second is not None
    assert second > first


def test_it_reports_no_error_that_did_not_happen(nvml: Nvml, device: Device) -> None:
    assert nvml.faults(device) == []
    assert nvml.faults(device) == []


def test_its_limits_are_in_order(nvml: Nvml, device: Device) -> None:
    limits = nvml.power_limits(device)
    if limits is not None and limits.least is not None and limits.most is not None:
        assert limits.least <= limits.now <= limits.most
        assert nvml.set_power_limit_w(device, limits.most + 1000) is False
        assert nvml.power_limits(device) == limits
    heat = nvml.heat_limits(device)
    assert heat is not None
    assert heat.slowdown is None or heat.shutdown is None or heat.slowdown <= heat.shutdown


def test_a_process_of_ours_is_told_from_the_others(nvml: Nvml, device: Device) -> None:
    torch = pytest.importorskip("torch")
    if torch.version.cuda is None:  # one that has CUDA and cannot use the card fails
        pytest.skip("this torch is built without CUDA")
    held = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    as_another, as_ours = read(nvml, device).foreign_mb, read(nvml, device, os.getpid()).foreign_mb
    del held
    if as_another is None or as_ours is None:
        pytest.skip("this driver does not tell the memory of processes")
    assert as_another - as_ours >= 256


def test_a_reading_takes_milliseconds(nvml: Nvml, device: Device) -> None:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        read(nvml, device)
        times.append(time.perf_counter() - started)
    assert sorted(times)[10] < 0.02
