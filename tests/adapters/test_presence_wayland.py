"""Idle time in a Wayland session, asked over the real wire protocol of a compositor's socket of our own, which may also hang and lie."""

import random
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desktop_app.adapters.presence import PresenceSensor, wayland
from desktop_app.adapters.presence.wayland import IDLE_MS, STALE_S, socket_of
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


def eventually(met: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


def until_unknown(sensor: PresenceSensor) -> None:
    eventually(lambda: sensor.sense().idle_s is None)


def heard(compositor: Compositor, sensor: PresenceSensor, notifications: int = 1) -> None:
    """The sensor looks, and the compositor knows for how many seats it wants to be told."""
    idle(sensor)
    eventually(lambda: len(compositor.timeouts) == notifications)


def test_the_compositor_says_when_the_owner_stops_and_starts(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        assert idle(sensor) == 0
        heard(compositor, sensor)
        assert compositor.timeouts == [IDLE_MS]
        compositor.idled()
        eventually(lambda: idle(sensor) > 0)
        before, first = time.monotonic(), idle(sensor)
        assert first >= IDLE_MS / 1000
        time.sleep(0.3)
        later = idle(sensor)
        assert first + 0.29 < later <= first + time.monotonic() - before
        compositor.resumed()
        eventually(lambda: idle(sensor) == 0)
        assert compositor.errors == []
        assert compositor.connections == 1


def test_a_touch_on_any_seat_is_a_touch(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0", seats=3) as (compositor, sensor):
        heard(compositor, sensor, 3)
        compositor.idled(0)
        compositor.idled(2)
        time.sleep(0.1)
        assert idle(sensor) == 0
        compositor.idled(1)
        eventually(lambda: idle(sensor) >= 1)
        assert compositor.errors == []


def test_a_seat_that_goes_is_asked_no_more(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0", seats=2) as (compositor, sensor):
        heard(compositor, sensor, 2)
        compositor.idled(0)
        compositor.drop(1)
        until_unknown(sensor)
        assert idle(sensor) == 0
        heard(compositor, sensor, 3)
        compositor.idled(0)
        eventually(lambda: idle(sensor) >= 1)
        assert compositor.errors == []
        assert compositor.connections == 2


@pytest.mark.parametrize("offers", [{"version": 0}, {"version": 1}, {"seats": 0}])
def test_a_compositor_without_the_input_notification_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offers: dict[str, int]
) -> None:
    """The first version's would say "there" while any video plays, or while we keep the machine awake."""
    monkeypatch.setattr(wayland, "PAUSE_S", 60)
    with session(tmp_path / "wayland-0", **offers) as (compositor, sensor):

        def asked_and_left() -> bool:
            assert sensor.sense().idle_s is None
            return compositor.connections == 1 and compositor.clients == 0

        eventually(asked_and_left)
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
        until_unknown(sensor)
        (tmp_path / "wayland-0").unlink()
        second = Compositor(tmp_path / "wayland-0")
        try:
            assert idle(sensor) == 0
        finally:
            second.close()


def test_where_we_stand_still_in_a_look_the_compositor_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer has come meanwhile, and lies there unread."""
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        heard(compositor, sensor)
        compositor.idled()
        eventually(lambda: idle(sensor) > 0)
        ask = wayland._Session._request

        def stand_still(one: wayland._Session, target: int, opcode: int, arguments: bytes) -> None:
            ask(one, target, opcode, arguments)
            time.sleep(STALE_S + 0.2)

        with monkeypatch.context() as slow:
            slow.setattr(wayland._Session, "_request", stand_still)
            sensor.sense()
        assert idle(sensor) > IDLE_MS / 1000, "nobody touched anything meanwhile"
        assert compositor.connections == 1


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
            assert pace(sensor) < MOST_S, number


def test_a_compositor_that_talks_without_end_is_dropped(tmp_path: Path) -> None:
    with session(tmp_path / "wayland-0") as (compositor, sensor):
        idle(sensor)
        times = []
        for _ in range(21):
            compositor.say(struct.pack("=II", 99, 8 << 16) * 400)
            times.append(pace(sensor, 1))
        assert statistics.median(times) < MOST_S
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
        eventually(lambda: compositor.clients == 0)
        assert idle(sensor) == 0
