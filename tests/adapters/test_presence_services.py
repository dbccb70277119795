"""The owner as the desktop's services tell of them, on a real bus with services of our own; and buses that hang, die and lie."""

import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from jeepney import DBusAddress, HeaderFields, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from desktop_app.adapters.presence import PresenceSensor
from desktop_app.adapters.presence import bus as bus_adapter
from desktop_app.core.presence import Presence
from tests.adapters.looks import pace
from tests.fakes.dbus import PATIENCE_S, Answer, FakeBus, Service, service
from tests.fakes.lying_bus import LyingBus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="D-Bus is how Linux desktops speak")

MUTTER = "org.gnome.Mutter.IdleMonitor"
GAMEMODE = "com.feralinteractive.GameMode"
LOGIN = "org.freedesktop.login1"
USER = "/org/freedesktop/login1/user/self org.freedesktop.login1.User"
SESSION = "/org/freedesktop/login1/session/_32 org.freedesktop.login1.Session"
MOST_S = 0.05


@pytest.fixture
def sensor(bus: FakeBus, system: FakeBus) -> Iterator[PresenceSensor]:
    one = PresenceSensor({"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": system.address})
    yield one
    one.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as one:
        yield one


def logind(stack: ExitStack, system: FakeBus, **told: Answer) -> Service:
    answers = {f"{USER}.Display": ("(so)", (("2", "/org/freedesktop/login1/session/_32"),))}
    return stack.enter_context(service(system, LOGIN, **answers, **{f"{SESSION}.{name}": one for name, one in told.items()}))


def until(sensor: PresenceSensor, field: str, value: object) -> Presence:
    """The first look that says so; the last one if none does in ten seconds."""
    end = time.monotonic() + 10
    while getattr(seen := sensor.sense(), field) != value and time.monotonic() < end:
        time.sleep(0.05)
    assert getattr(seen, field) == value, seen
    return seen


def test_an_empty_bus_knows_nothing(sensor: PresenceSensor) -> None:
    assert sensor.sense() == Presence(apps=(), on_battery=sensor.sense().on_battery)


def test_gnome_tells_how_long_nobody_touched_anything(bus: FakeBus, sensor: PresenceSensor) -> None:
    with service(bus, MUTTER, GetIdletime=("t", (4200,))) as mutter:
        until(sensor, "idle_s", 4.2)
        mutter.answers["GetIdletime"] = ("t", (30,))
        assert until(sensor, "idle_s", 0.03)
    until(sensor, "idle_s", None)


@pytest.mark.parametrize(
    "name", ["org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver", "org.cinnamon.ScreenSaver", "org.mate.ScreenSaver"]
)
def test_a_locked_screen_is_seen_and_so_is_its_unlocking(bus: FakeBus, sensor: PresenceSensor, name: str) -> None:
    with service(bus, name, GetActive=("b", (True,))) as saver:
        until(sensor, "locked", True)
        saver.answers["GetActive"] = ("b", (False,))
        until(sensor, "locked", False)
        saver.answers["GetActive"] = None
        until(sensor, "locked", None)


def test_a_game_in_gamemode_is_seen_when_it_comes_and_when_it_goes(bus: FakeBus, sensor: PresenceSensor) -> None:
    assert sensor.sense().game_mode is None
    with service(bus, GAMEMODE, **{f"{GAMEMODE}.ClientCount": ("i", (0,))}) as gamemode:
        until(sensor, "game_mode", False)
        gamemode.answers[f"{GAMEMODE}.ClientCount"] = ("i", (2,))
        until(sensor, "game_mode", True)
    until(sensor, "game_mode", None)


def test_logind_tells_lock_idle_and_remote_of_the_session_on_the_screen(stack: ExitStack, system: FakeBus, sensor: PresenceSensor) -> None:
    since = int((time.monotonic() - 60) * 1e6)
    told: dict[str, Answer] = {"LockedHint": ("b", (True,)), "IdleHint": ("b", (True,)), "IdleSinceHintMonotonic": ("t", (since,))}
    logind(stack, system, **told, Remote=("b", (True,)), Type=("s", ("x11",)))
    seen = until(sensor, "locked", True)
    assert seen.remote is True
    assert seen.idle_s is not None
    assert 60 <= seen.idle_s <= time.monotonic() - since / 1e6


def test_a_session_that_says_that_it_changed_is_asked_at_once(
    stack: ExitStack, system: FakeBus, sensor: PresenceSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is asked every few seconds only, since its answer is long; here every minute, so that a slow machine is no reason."""
    monkeypatch.setattr("desktop_app.adapters.presence.services._KEEP_S", 60)
    one = logind(stack, system, LockedHint=("b", (False,)))
    until(sensor, "locked", False)
    asked = [method for method, _ in one.asked].count("GetAll")
    for _ in range(5):
        sensor.sense()
    assert [method for method, _ in one.asked].count("GetAll") == asked
    one.answers[f"{SESSION}.LockedHint"] = ("b", (True,))
    time.sleep(0.1)
    assert sensor.sense().locked is False
    one.changed(*SESSION.split())
    until(sensor, "locked", True)


def test_a_session_by_ssh_is_nobody_looking_at_the_screen(stack: ExitStack, system: FakeBus, sensor: PresenceSensor) -> None:
    logind(stack, system, LockedHint=("b", (False,)), Remote=("b", (True,)), Type=("s", ("tty",)))
    seen = until(sensor, "locked", False)
    assert (seen.remote, seen.idle_s) == (False, None)


def test_a_hint_that_the_desktop_never_gave_says_nothing(stack: ExitStack, system: FakeBus, sensor: PresenceSensor) -> None:
    one = logind(stack, system, IdleHint=("b", (False,)), IdleSinceHintMonotonic=("t", (0,)))
    assert sensor.sense().idle_s is None
    one.answers[f"{SESSION}.IdleSinceHintMonotonic"] = ("t", (1_000_000,))
    until(sensor, "idle_s", 0.0)


def test_the_hint_stands_back_where_the_desktop_knows_better(
    stack: ExitStack, bus: FakeBus, system: FakeBus, sensor: PresenceSensor
) -> None:
    logind(stack, system, IdleHint=("b", (True,)), IdleSinceHintMonotonic=("t", (1,)))
    stack.enter_context(service(bus, MUTTER, GetIdletime=("t", (700,))))
    until(sensor, "idle_s", 0.7)


@pytest.mark.parametrize("mark", ["XRDP_SESSION", "CHROME_REMOTE_DESKTOP_SESSION"])
def test_a_remote_desktop_server_marks_its_sessions(mark: str) -> None:
    sensor = PresenceSensor({mark: "1", "DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"})
    until(sensor, "remote", True)
    sensor.close()


@pytest.mark.parametrize(
    "address", ["disabled:", "", "unix:", "tcp:host=localhost,port=1", "unix:path=/nowhere", "nonsense", "unix:abstract="]
)
def test_without_a_bus_nothing_is_known(address: str) -> None:
    sensor = PresenceSensor({"DBUS_SESSION_BUS_ADDRESS": address, "DBUS_SYSTEM_BUS_ADDRESS": address or "disabled:"})
    assert sensor.sense().locked is None
    sensor.close()


def test_nothing_is_started_by_being_asked(bus: FakeBus, sensor: PresenceSensor, tmp_path: Path) -> None:
    for name in (MUTTER, GAMEMODE, "org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver"):
        bus.can_start(name, f"/usr/bin/touch {tmp_path / 'started'}")
    bus.stop()
    bus.start()
    for _ in range(5):
        sensor.sense()
        time.sleep(0.05)
    assert not (tmp_path / "started").exists()
    with service(bus, MUTTER, GetIdletime=("t", (1000,))) as mutter:
        until(sensor, "idle_s", 1.0)
        mutter.leave()
        for _ in range(5):
            sensor.sense()
            time.sleep(0.05)
    assert not (tmp_path / "started").exists()


# --- who hangs, dies and lies ---------------------------------------------------------------------------------------------


def test_a_service_that_hangs_holds_nobody_up_and_hides_no_other(bus: FakeBus, sensor: PresenceSensor) -> None:
    answers: dict[str, Answer] = {f"{GAMEMODE}.ClientCount": ("i", (1,))}
    with service(bus, MUTTER, GetIdletime=("t", (5000,))) as mutter, service(bus, GAMEMODE, **answers):
        until(sensor, "idle_s", 5.0)
        mutter.silent = True
        assert pace(sensor) < MOST_S
        until(sensor, "game_mode", True)
        until(sensor, "idle_s", None)
        until(sensor, "game_mode", True)
        assert pace(sensor) < MOST_S
        mutter.silent = False
        until(sensor, "idle_s", 5.0)


def test_a_bus_that_hangs_is_known_no_more_and_comes_back(bus: FakeBus, sensor: PresenceSensor) -> None:
    with service(bus, MUTTER, GetIdletime=("t", (5000,))):
        until(sensor, "idle_s", 5.0)
        bus.hang(True)
        assert pace(sensor) < MOST_S
        until(sensor, "idle_s", None)
        assert pace(sensor) < MOST_S
        bus.hang(False)
        until(sensor, "idle_s", 5.0)


def test_a_bus_that_hangs_from_the_first_moment_holds_nobody_up(bus: FakeBus, sensor: PresenceSensor) -> None:
    bus.hang(True)
    assert pace(sensor) < MOST_S
    assert sensor.sense().idle_s is None
    bus.hang(False)


def test_where_we_stand_still_in_a_look_nobody_else_hangs(bus: FakeBus, sensor: PresenceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has come meanwhile, and lies there unread."""
    with service(bus, MUTTER, GetIdletime=("t", (5000,))) as mutter:
        until(sensor, "idle_s", 5.0)
        mutter.answers["GetIdletime"] = ("t", (7000,))
        send = bus_adapter._Line.flush
        stood: list[bus_adapter._Line] = []

        def stand_still(line: bus_adapter._Line) -> None:
            send(line)
            if not stood:
                time.sleep(bus_adapter.STALE_S + 0.2)
            stood.append(line)

        monkeypatch.setattr(bus_adapter._Line, "flush", stand_still)
        sensor.sense()
        assert len(stood) == 2, "both buses were asked"
        assert sensor.sense().idle_s == 7.0


def test_a_bus_that_dies_is_found_again(bus: FakeBus, sensor: PresenceSensor) -> None:
    with service(bus, MUTTER, GetIdletime=("t", (5000,))):
        until(sensor, "idle_s", 5.0)
    bus.stop()
    assert sensor.sense().idle_s is None
    bus.start()
    with service(bus, MUTTER, GetIdletime=("t", (6000,))):
        until(sensor, "idle_s", 6.0)


@pytest.mark.parametrize(
    "lie",
    [
        ("s", ("soon",)),
        ("b", (True,)),
        ("x", (-5,)),
        ("t", (2**64 - 1,)),
        ("", ()),
        ("tt", (1, 2)),
        ("d", (4.5,)),
        ("v", (("t", 5),)),
        ("at", ([7],)),
    ],
)
def test_an_answer_of_another_kind_is_none(bus: FakeBus, sensor: PresenceSensor, lie: Answer) -> None:
    names = {f"{GAMEMODE}.ClientCount": lie if len(lie[1]) == 1 and lie[0] != "v" else ("s", ("2",))}
    with service(bus, MUTTER, GetIdletime=lie), service(bus, GAMEMODE, **names):
        seen = sensor.sense()
        assert seen.idle_s is None
        assert seen.game_mode is None or lie[0] in ("x", "t")


@pytest.mark.parametrize(
    ("display", "hint"),
    [
        (("s", ("2",)), ("b", (True,))),
        (("(so)", (("2", "/elsewhere"),)), ("b", (True,))),
        (("(so)", (("", "/"),)), ("b", (True,))),
        (("(so)", (("2", "/org/freedesktop/login1/session/_32"),)), ("u", (1,))),
    ],
)
def test_logind_may_lie_too(system: FakeBus, sensor: PresenceSensor, display: Answer, hint: Answer) -> None:
    with service(system, LOGIN, **{f"{USER}.Display": display, f"{SESSION}.LockedHint": hint}):
        assert sensor.sense().locked is None


def _noise(seed: int) -> bytes:
    """Starts like a message, so that the parser goes on: a reply to the greeting with nonsense in it."""
    chance = random.Random(seed)
    head = b"l\x02\x00\x01" + chance.choice([0, 8, 400, 2**27]).to_bytes(4, "little") + b"\x01\0\0\0"
    return head + chance.choice([0, 16, 60, 2**26]).to_bytes(4, "little") + chance.randbytes(chance.choice([0, 40, 5000]))


NOISES = [b"", b"\0" * 64, b"l" * 70_000, b"REJECTED\r\n", b"OK\r\n" * 5000, *(_noise(seed) for seed in range(20))]


@pytest.mark.parametrize("greets", [True, False])
def test_a_bus_that_talks_nonsense_is_left_alone(greets: bool, tmp_path: Path) -> None:
    for number, noise in enumerate(NOISES):
        bus = LyingBus(tmp_path / str(number), greets=greets, says=noise)
        sensor = PresenceSensor({"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"})
        try:
            assert sensor.sense().idle_s is None, number
            assert pace(sensor) < MOST_S, number
        finally:
            sensor.close()
            bus.close()


def test_a_bus_that_talks_without_end_is_left_alone(tmp_path: Path) -> None:
    chatter = b"".join(new_signal(DBusAddress("/x", interface="a.b"), "C").serialise(serial=1 + number) for number in range(1000))
    bus = LyingBus(tmp_path / "bus", greets=True, says=chatter, endless=True)
    sensor = PresenceSensor({"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"})
    try:
        end = time.monotonic() + 10
        while not bus.left.is_set():
            begun = time.thread_time()
            sensor.sense()
            assert time.thread_time() - begun < 0.5, "it would go on for seconds"
            assert time.monotonic() < end
    finally:
        sensor.close()
        bus.close()


def test_a_message_larger_than_any_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.adapters.presence.bus.STALE_S", 60)  # so that it is not left for hanging
    bus = LyingBus(tmp_path / "bus", greets=True, says=b"l\x02\x00\x01" + (2**27).to_bytes(4, "little") + b"\x01\0\0\0\0\0\0\0")
    sensor = PresenceSensor({"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"})
    try:
        end = time.monotonic() + 10
        while not bus.left.is_set():
            sensor.sense()
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        sensor.close()
        bus.close()


def test_a_service_that_floods_us_is_stopped(bus: FakeBus, sensor: PresenceSensor) -> None:
    """Signals sent to us alone, as fast as the bus passes them on."""
    with service(bus, MUTTER, GetIdletime=("t", (1000,))) as mutter:
        until(sensor, "idle_s", 1.0)
        stop = threading.Event()
        thread = threading.Thread(target=_flood, args=(mutter, bus, stop), name="flood")
        thread.start()
        try:
            assert pace(sensor, 31) < MOST_S
        finally:
            stop.set()
            thread.join()
        until(sensor, "idle_s", 1.0)


def _flood(mutter: Service, bus: FakeBus, stop: threading.Event) -> None:
    with open_dbus_connection(bus.address, auth_timeout=PATIENCE_S) as connection:
        names = connection.send_and_get_reply(message_bus.ListNames()).body[0]
        noise = new_signal(DBusAddress("/x", interface="org.freedesktop.DBus"), "NameOwnerChanged", "sss", (MUTTER, ":1.1", ""))
        while not stop.is_set():
            for name in names:
                if name.startswith(":"):
                    noise.header.fields[HeaderFields.destination] = name
                    connection.send(noise)


def test_a_look_is_quick(stack: ExitStack, bus: FakeBus, system: FakeBus, sensor: PresenceSensor) -> None:
    stack.enter_context(service(bus, MUTTER, GetIdletime=("t", (1000,))))
    stack.enter_context(service(bus, "org.gnome.ScreenSaver", GetActive=("b", (False,))))
    stack.enter_context(service(bus, GAMEMODE, **{f"{GAMEMODE}.ClientCount": ("i", (0,))}))
    logind(stack, system, LockedHint=("b", (False,)), Remote=("b", (False,)), Type=("s", ("wayland",)))
    sensor.sense()
    assert pace(sensor, 41) < 0.02
