"""The machine is kept awake through the services of a real bus, one of each desktop's kind; and is let go, come what may."""

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from jeepney import HeaderFields, Message

from desktop_app.adapters import awake
from desktop_app.adapters.awake import Awake, services
from tests.fakes.dbus import Answer, FakeBus, Service, service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="on other systems it is wakepy's own way, which needs that system")

GNOME = "org.gnome.SessionManager"
POWER = "org.freedesktop.PowerManagement"
LOGIND = "org.freedesktop.login1"
DESKTOPS = [(GNOME, "Uninhibit"), (POWER, "UnInhibit")]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services that answer are waited for, however long this process or theirs stands still."""
    monkeypatch.setattr(awake, "PATIENCE_S", 60.0)
    monkeypatch.setattr(services, "ANSWER_S", 30.0)


@pytest.fixture
def keeper(bus: FakeBus, system: FakeBus) -> Iterator[Awake]:
    one = Awake(places(bus, system))
    yield one
    one.close()


def places(bus: FakeBus, system: FakeBus) -> dict[str, str]:
    return {"DBUS_SESSION_BUS_ADDRESS": bus.address, "DBUS_SYSTEM_BUS_ADDRESS": system.address}


@contextmanager
def desktop(bus: FakeBus, name: str) -> Iterator[Service]:
    with service(bus, name, Inhibit=("u", (7,)), Uninhibit=("", ()), UnInhibit=("", ())) as one:
        yield one


@contextmanager
def logind(system: FakeBus) -> Iterator[tuple[Service, int]]:
    """Its reading end says when nobody holds the other any more."""
    reader, writer = os.pipe()

    def inhibit(message: Message) -> Answer | None:
        nonlocal writer
        if message.header.fields[HeaderFields.member] != "Inhibit" or writer < 0:
            return None
        given, writer = writer, -1
        one.handed.append(given)
        return "h", (given,)

    with service(system, LOGIND) as one:
        one.on_call = inhibit
        try:
            yield one, reader
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)


def let_go(reader: int, within: float = 5.0) -> bool:
    return bool(select.select([reader], [], [], within)[0]) and os.read(reader, 1) == b""


def asked(one: Service) -> list[str]:
    return [method for method, _ in one.asked]


@pytest.mark.parametrize(("name", "end"), DESKTOPS)
def test_a_desktop_is_told_once_and_told_again_when_it_is_over(bus: FakeBus, keeper: Awake, name: str, end: str) -> None:
    with desktop(bus, name) as one:
        assert keeper.hold() is True
        assert keeper.hold() is True
        assert asked(one) == ["Inhibit"]
        assert "Sublet" in one.asked[0][1]
        assert "A task is running" in one.asked[0][1]
        assert keeper.release() is True
        assert keeper.release() is True
        assert one.asked[1:] == [(end, (7,))]
        assert keeper.hold() is True
        assert asked(one) == ["Inhibit", end, "Inhibit"]


def test_without_a_desktop_logind_is_told_and_only_about_the_sleep_that_comes_by_itself(system: FakeBus, keeper: Awake) -> None:
    with logind(system) as (one, reader):
        assert keeper.hold() is True
        assert one.asked == [("Inhibit", ("idle", "Sublet", "A task is running", "block"))]
        assert not let_go(reader, 0.1)
        assert keeper.release() is True
        assert let_go(reader)


def test_a_desktop_comes_before_logind(bus: FakeBus, system: FakeBus, keeper: Awake) -> None:
    with desktop(bus, GNOME) as one, logind(system) as (other, _):
        assert keeper.hold() is True
        assert (asked(one), asked(other)) == (["Inhibit"], [])


def test_nobody_to_tell_is_an_answer_and_the_next_time_may_be_better(bus: FakeBus, keeper: Awake) -> None:
    assert keeper.hold() is False
    assert keeper.release() is True
    assert keeper.hold() is False
    with desktop(bus, POWER):
        assert keeper.hold() is True
        assert keeper.release() is True


@pytest.mark.parametrize("address", ["disabled:", "", "unix:path=/nowhere", "nonsense"])
def test_without_a_bus_nothing_is_held(address: str) -> None:
    keeper = Awake({"DBUS_SESSION_BUS_ADDRESS": address, "DBUS_SYSTEM_BUS_ADDRESS": address or "disabled:"})
    assert keeper.hold() is False
    assert keeper.release() is True
    keeper.close()


@pytest.mark.parametrize("answer", [None, ("s", ("yes",)), ("", ())])
def test_a_desktop_that_refuses_or_talks_nonsense_is_no_harm(bus: FakeBus, keeper: Awake, answer: Answer | None) -> None:
    with service(bus, GNOME, Inhibit=answer):
        keeper.hold()
        assert keeper.release() is True


def test_any_thread_may_hold_and_any_other_let_go(bus: FakeBus, keeper: Awake) -> None:
    with desktop(bus, GNOME) as one:
        for act in (keeper.hold, keeper.release):
            threads = [threading.Thread(target=act) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert asked(one) == ["Inhibit", "Uninhibit"]


def test_a_desktop_that_hangs_holds_nobody_up_for_long(bus: FakeBus, keeper: Awake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "PATIENCE_S", 0.3)
    with desktop(bus, GNOME):
        bus.hang(True)
        started = time.monotonic()
        assert keeper.hold() is False
        assert keeper.release() is False
        assert time.monotonic() - started < 5
        bus.hang(False)


def test_a_desktop_that_dies_is_no_harm(bus: FakeBus, keeper: Awake) -> None:
    with desktop(bus, GNOME):
        assert keeper.hold() is True
    bus.stop()
    assert keeper.release() is True


def test_nothing_is_started_by_being_asked(bus: FakeBus, system: FakeBus, keeper: Awake, tmp_path: Path) -> None:
    for place, name in ((bus, GNOME), (bus, POWER), (system, LOGIND)):
        place.can_start(name, f"/usr/bin/touch {tmp_path / 'started'}")
        place.stop()
        place.start()
    assert keeper.hold() is False
    time.sleep(0.3)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["desktop", "logind"])
def test_who_dies_holds_nothing(bus: FakeBus, system: FakeBus, kind: str) -> None:
    patient = "from desktop_app.adapters.awake import services; awake.PATIENCE_S = services.ANSWER_S = 30"
    script = f"import time; from desktop_app.adapters import awake; {patient}; print(awake.Awake().hold(), flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script]
    environment = os.environ | places(bus, system)
    with desktop(bus, GNOME if kind == "desktop" else "org.example.Unused") as one, logind(system) as (_, reader):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == "True"
            before = len(one.gone)
            assert not let_go(reader, 0.1) or kind == "desktop"
            holder.kill()
        if kind == "logind":
            assert let_go(reader)
        else:
            end = time.monotonic() + 5
            while len(one.gone) == before:
                assert time.monotonic() < end, "the bus tells the service that its client is gone"
                time.sleep(0.02)
