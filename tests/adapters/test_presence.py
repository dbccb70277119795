"""The owner is noticed on a real X server, and a server that dies takes nobody along."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from desktop_app.adapters.presence import PresenceSensor
from desktop_app.adapters.presence.aside import STALE_S
from tests.desktop import Desktop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="an X server for tests exists on Linux only")


@pytest.fixture
def sensor(desktop: Desktop) -> Iterator[PresenceSensor]:
    one = PresenceSensor()
    yield one
    one.close()


def idle(sensor: PresenceSensor) -> float:
    """The first look may only open its eyes."""
    end = time.monotonic() + 10
    while (seconds := sensor.sense().idle_s) is None:
        assert time.monotonic() < end
    return seconds


def test_time_without_key_or_mouse_is_counted_and_a_touch_ends_it(desktop: Desktop, sensor: PresenceSensor) -> None:
    desktop.run("xdotool", "mousemove", "200", "200")
    for touch in (("mousemove", "300", "310"), ("key", "a")):
        time.sleep(STALE_S + 0.2)  # so that no answer from before the touch passes for one from after it
        assert idle(sensor) > STALE_S
        before = time.monotonic()
        desktop.run("xdotool", *touch)
        end = time.monotonic() + 10
        while idle(sensor) > time.monotonic() - before:
            assert time.monotonic() < end, "it still counts from an earlier touch"


def test_asking_is_cheap_and_any_thread_may(sensor: PresenceSensor) -> None:
    times: list[float] = []

    def look() -> None:
        for _ in range(50):
            started = time.perf_counter()
            idle(sensor)
            times.append(time.perf_counter() - started)

    sensor.sense()
    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 200
    assert statistics.median(times) < len(threads) * 0.005, "they wait for one another"


def test_a_screen_that_dies_is_unknown_and_kills_nobody() -> None:
    """In a process of its own, since Xlib's way would be to end it.

    Its number is beyond those that servers give themselves, the lowest that is free: one of another test's would take it meanwhile.
    """
    script = """
import os, subprocess, time
from desktop_app.adapters.presence import PresenceSensor

place = f":{10_000 + os.getpid() % 40_000}"

def server():
    return subprocess.Popen(["Xvfb", place, "-nolisten", "tcp", "-noreset"], stderr=subprocess.DEVNULL)

def until(sensor, known):
    end = time.monotonic() + 20
    while (sensor.sense().idle_s is not None) is not known:
        assert time.monotonic() < end
        time.sleep(0.05)

first = server()
sensor = PresenceSensor({"DISPLAY": place})
until(sensor, True)
first.kill()
first.wait()
until(sensor, False)
second = server()
until(sensor, True)
second.terminate()
second.wait()
until(sensor, False)
sensor.close()
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "alive"


@pytest.mark.parametrize(
    "environment",
    [{}, {"DISPLAY": ":54321"}, {"DISPLAY": "nonsense"}, {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}],
)
def test_without_a_screen_to_ask_idle_is_unknown(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.adapters.presence.linux.XWAYLAND", f"X{os.getpid()}")  # one may run for the person, or another test
    sensor = PresenceSensor(environment)
    presence = sensor.sense()
    sensor.close()
    assert presence.idle_s is None
    assert presence.locked is None
    assert presence.full_screen is None


_Battery = namedtuple("_Battery", "percent secsleft power_plugged")


@pytest.mark.parametrize(
    ("battery", "on_battery"),
    [(None, False), (_Battery(80, 1000, False), True), (_Battery(80, -2, True), False), (_Battery(80, -1, None), None)],
)
def test_the_battery_is_as_the_system_says(battery: _Battery | None, on_battery: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test machine has a battery, so what the system would say is put in its mouth."""
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery)
    with closing(PresenceSensor({})) as sensor:
        assert sensor.sense().on_battery is on_battery


def test_a_container_that_hides_its_battery_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> None:
        raise FileNotFoundError("/sys/class/power_supply")

    monkeypatch.setattr(psutil, "sensors_battery", hidden)
    with closing(PresenceSensor({})) as sensor:
        assert sensor.sense().on_battery is None
