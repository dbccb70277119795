"""The owner is noticed on a real X server, and a server that dies takes nobody along."""

import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator

import psutil
import pytest

from desktop_app.adapters.presence import PresenceSensor
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
    time.sleep(0.6)
    before = idle(sensor)
    assert before >= 0.5
    desktop.run("xdotool", "mousemove", "300", "310")
    assert idle(sensor) < before
    time.sleep(0.3)
    desktop.run("xdotool", "key", "a")
    assert idle(sensor) < 0.3


def test_asking_is_cheap_and_any_thread_may(sensor: PresenceSensor) -> None:
    sensor.sense()
    started = time.perf_counter()
    threads = [threading.Thread(target=lambda: [idle(sensor) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (time.perf_counter() - started) / 200 < 0.005


def test_a_screen_that_dies_is_unknown_and_kills_nobody() -> None:
    """In a process of its own, since Xlib's way would be to end it."""
    script = """
import os, signal, subprocess, sys, time
from desktop_app.adapters.presence import PresenceSensor

def server(number=None):
    reader, writer = os.pipe()
    place = [f":{number}"] if number else ["-displayfd", str(writer)]
    process = subprocess.Popen(["Xvfb", *place, "-nolisten", "tcp", "-noreset"], pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    if number is None:
        with open(reader, closefd=False) as said:
            number = said.readline().strip()
    os.close(reader)
    return process, number

def until(sensor, known):
    end = time.monotonic() + 20
    while (sensor.sense().idle_s is not None) is not known:
        assert time.monotonic() < end
        time.sleep(0.05)

first, number = server()
sensor = PresenceSensor({"DISPLAY": f":{number}"})
until(sensor, True)
first.kill()
first.wait()
until(sensor, False)
second, _ = server(number)
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
def test_without_a_screen_to_ask_idle_is_unknown(environment: dict[str, str]) -> None:
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
    assert PresenceSensor({}).sense().on_battery is on_battery


def test_a_container_that_hides_its_battery_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> None:
        raise FileNotFoundError("/sys/class/power_supply")

    monkeypatch.setattr(psutil, "sensors_battery", hidden)
    assert PresenceSensor({}).sense().on_battery is None
