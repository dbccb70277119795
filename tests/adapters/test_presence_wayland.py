"""Idle time in a Wayland session, asked over the real wire protocol of a compositor's socket of our own, which may also hang and lie."""

import random
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desktop_app.adapters.presence import PresenceSensor
from desktop_app.adapters.presence.wayland import IDLE_MS, socket_of
from tests.adapters.looks import pace
from tests.fakes.wayland import Compositor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Wayland is how Linux desktops show windows")

MOST_S = 0.05


@contextmanager
def session(place: Path, **offers: int | bool | bytes) -> Iterator[tuple[Compositor, PresenceSensor]]:
    compositor = Compositor(place, **offers)  # type: ignore[arg-type]
    silent = {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"}
    sensor = PresenceSensor(silent | {"WAYLAND_DISPLAY": str(place), "DISPLAY": ":54321"})
    try:
        yield compositor, sensor
    finally:
        sensor.close()
        compositor.close()


def idle(sensor: PresenceSensor) -> float:
    end = time.monotonic() + 10
    while (seconds := sensor.sense().idle_s) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return seconds


def until_unknown(sensor: PresenceSensor) -> None:
    end = time.monotonic() + 10
    while sensor.sense().idle_s is not None:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_compositor_says_when_the_owner_stops_and_starts(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        assert idle(sensor) == 0
        assert compositor.timeouts == [IDLE_MS]
        compositor.idled()
        time.sleep(0.3)
        sensor.sense()
        first = idle(sensor)
        assert first >= IDLE_MS / 1000
        time.sleep(0.3)
        assert first + 0.29 < idle(sensor) < first + 5
        compositor.resumed()
        time.sleep(0.1)
        assert idle(sensor) == 0
        assert compositor.errors == []
        assert compositor.connections == 1


def test_a_touch_on_any_seat_is_a_touch(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0", seats=3) as (compositor, sensor):
        idle(sensor)
        compositor.idled(0)
        compositor.idled(2)
        time.sleep(0.1)
        assert idle(sensor) == 0
        compositor.idled(1)
        time.sleep(0.1)
        assert idle(sensor) >= 1
        assert compositor.errors == []


def test_a_seat_that_goes_is_asked_no_more(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0", seats=2) as (compositor, sensor):
        idle(sensor)
        compositor.idled(0)
        compositor.drop(1)
        time.sleep(0.1)
        until_unknown(sensor)
        assert idle(sensor) == 0
        compositor.idled(0)
        time.sleep(0.1)
        assert idle(sensor) >= 1
        assert compositor.errors == []
        assert compositor.connections == 2


@pytest.mark.parametrize("offers", [{"version": 0}, {"version": 1}, {"seats": 0}])
def test_a_compositor_without_the_input_notification_does_not_tell(tmp_path: Path, offers: dict[str, int]) -> None:
    """The first version's would say "there" while any video plays, or while we keep the machine awake."""
    with session(tmp_path / "wayland-0", **offers) as (compositor, sensor):
        for _ in range(5):
            assert sensor.sense().idle_s is None
            time.sleep(0.02)
        assert compositor.errors == []
        assert compositor.connections == 1, "it is not asked again and again"


def test_a_compositor_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        idle(sensor)
        compositor.silent = True
        assert pace(sensor) < MOST_S
        until_unknown(sensor)
        assert pace(sensor) < MOST_S
        compositor.silent = False
        assert idle(sensor) == 0


def test_a_compositor_that_dies_is_found_again(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        idle(sensor)
        compositor.close()
        assert sensor.sense().idle_s is None
        (tmp_path / "wayland-0").unlink()
        second = Compositor(tmp_path / "wayland-0")
        try:
            assert idle(sensor) == 0
        finally:
            second.close()


def _noises() -> list[bytes]:
    chance = random.Random(4)
    huge = struct.pack("=II", 2, 0xFFFF << 16) + b"x" * 70_000
    globals_ = (struct.pack("=II", 2, 28 << 16) + struct.pack("=II", 1, 8) + b"wl_seat\0" + struct.pack("=I", 1)) * 2000
    lengths = struct.pack("=II", 2, 20 << 16) + struct.pack("=III", 1, 2**32 - 1, 1)
    return [
        b"\0" * 8,
        struct.pack("=II", 1, 8 << 16),
        lengths,
        huge,
        globals_,
        *(chance.randbytes(chance.choice([8, 100, 9000])) for _ in range(20)),
    ]


def test_a_compositor_that_talks_nonsense_is_left_alone(tmp_path: Path) -> None:
    for number, noise in enumerate(_noises()):
        with session(tmp_path / f"wayland-{number}", noise=noise) as (_, sensor):
            assert sensor.sense().idle_s is None, number
            assert pace(sensor, 3) < MOST_S, number


def test_a_compositor_that_talks_without_end_is_dropped(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        idle(sensor)
        for _ in range(20):
            compositor.say(struct.pack("=II", 99, 8 << 16) * 400)
            assert pace(sensor, 1) < 10 * MOST_S
        assert idle(sensor) == 0


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": "here"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/wayland-0"),
        ({"WAYLAND_DISPLAY": "/tmp/w", "XDG_RUNTIME_DIR": "/run/user/1"}, "/tmp/w"),
        ({"WAYLAND_DISPLAY": "/tmp/w"}, "/tmp/w"),
    ],
)
def test_where_the_compositor_listens(environment: dict[str, str], place: str | None) -> None:
    assert socket_of(environment) == place


def test_closing_lets_go_of_the_compositor(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        idle(sensor)
        assert compositor.clients == 1
        sensor.close()
        sensor.close()
        end = time.monotonic() + 10
        while compositor.clients:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert idle(sensor) == 0
