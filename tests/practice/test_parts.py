"""The practice network's pieces by themselves: parts that die and are started again, ports, logins, the lock."""

import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from desktop_app.core.errors import AppError
from desktop_app.practice import main, nats
from desktop_app.practice.folder import ATTESTOR, DEPLOYER, RENTER, Folder
from desktop_app.practice.main import Ports, choose_ports, only_one, run
from desktop_app.practice.parts import FIRST_PAUSE_S, Part, free_port, is_free
from desktop_app.wire.logins import AGENT, login, login_path
from tests import ports

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
STUBBORN = (sys.executable, "-c", _DEAF)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_part_that_dies_is_started_again_ever_later(tmp_path: Path) -> None:
    clock = Clock()
    part = Part("sleeper", SLEEP, tmp_path, clock)
    part.start()
    pauses = []
    for _ in range(4):
        before = part.pid
        assert before is not None
        psutil.Process(before).kill()
        psutil.Process(before).wait()
        part.look()
        waited = 0.0
        while part.pid is None:
            clock.now += 0.1
            waited += 0.1
            part.look()
        assert part.pid != before
        pauses.append(round(waited, 1))
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * FIRST_PAUSE_S
    clock.now += 100  # it has stayed a while
    pid = part.pid
    assert pid is not None
    psutil.Process(pid).kill()
    psutil.Process(pid).wait()
    part.look()
    clock.now += FIRST_PAUSE_S
    part.look()
    assert part.pid is not None
    part.end()
    assert part.pid is None


def test_a_part_that_will_not_end_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.practice.parts.END_PATIENCE_S", 0.3)
    part = Part("stubborn", STUBBORN, tmp_path)
    part.start()
    end = time.monotonic() + 60
    while "up" not in (tmp_path / "stubborn.log").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    part.end()
    assert part.pid is None


def test_an_end_in_the_middle_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    before = psutil.Process().children()
    stop = threading.Event()
    threading.Timer(0.7, stop.set).start()
    run(Folder(tmp_path), stop)
    assert psutil.Process().children() == before


def test_ports_are_kept_unless_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.practice.main.PORT_PATIENCE_S", 0.3)
    folder = Folder(tmp_path)
    first = choose_ports(folder)
    folder.network.write_text("{}")
    assert choose_ports(folder) == first
    assert folder.network.exists()
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.nats))
        other.listen()
        assert not is_free(first.nats)
        assert choose_ports(folder).nats != first.nats
    assert not folder.network.exists()  # whoever reads it now would look in the wrong place
    folder.ports.write_text("not json")
    assert isinstance(choose_ports(folder), Ports)


def test_the_two_servers_never_choose_one_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = {ports.free_port(), ports.free_port()}
    monkeypatch.setattr("desktop_app.practice.parts.PORTS", sorted(two))
    for turn in range(20):
        folder = Folder(tmp_path / str(turn))
        folder.root.mkdir()
        chosen = choose_ports(folder)
        assert {chosen.nats, chosen.chain} == two


def test_a_port_that_somebody_took_meanwhile_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.practice.main.PORT_PATIENCE_S", 0.1)
    folder, stop, looks, parts = Folder(tmp_path), threading.Event(), list[int](), main._parts

    def hasty(port: int) -> bool:
        """When the ports are chosen, the other is not there yet."""
        looks.append(port)
        return len(looks) <= 2 or is_free(port)

    monkeypatch.setattr("desktop_app.practice.main.is_free", hasty)
    monkeypatch.setattr(
        "desktop_app.practice.main._parts", lambda folder, ports: (parts(folder, ports)[0], Part("chain", SLEEP, folder.logs))
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        folder.ports.write_bytes(msgspec.json.encode(Ports(taken, free_port())))
        running = threading.Thread(target=run, args=(folder, stop), name="practice")
        running.start()
        try:
            end = time.monotonic() + 30
            while (market := msgspec.json.decode(folder.ports.read_bytes(), type=Ports).nats) == taken or is_free(market):
                assert time.monotonic() < end, f"{market}; {taken} was taken"
                time.sleep(0.05)
        finally:
            stop.set()
            running.join()


@pytest.mark.skipif(sys.platform != "linux", reason="what only Linux is asked for")
@pytest.mark.parametrize(("parent", "status", "said"), [("os.getppid()", 0, "alive\n"), ("os.getppid() + 1", -signal.SIGKILL, "")])
def test_whose_parent_died_before_it_could_ask_to_die_with_it_dies_too(parent: str, status: int, said: str) -> None:
    words = f"import os; from desktop_app.practice.lifeline import die_with_parent; die_with_parent({parent}); print('alive')"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (status, said)


def test_only_one_network_per_profile(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with only_one(folder), pytest.raises(AppError, match="running already"), only_one(folder):
        pass
    with only_one(folder):
        pass


def test_logins_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="not started"):
        login(tmp_path, AGENT)
    made = nats.make_logins(tmp_path)
    assert nats.make_logins(tmp_path) == made
    assert login(tmp_path, AGENT).password not in repr(login(tmp_path, AGENT))
    config = nats.write_config(tmp_path, 4222, made)
    for path in (config, *(login_path(tmp_path, one.user) for one in made)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({one.password for one in made}) == 3


def test_a_stranger_is_not_let_into_the_server(tmp_path: Path) -> None:
    config = nats.write_config(tmp_path, port := free_port(), nats.make_logins(tmp_path))
    with subprocess.Popen([str(nats.server_binary()), "-c", str(config)], stderr=subprocess.DEVNULL) as server:
        end = time.monotonic() + 60
        while is_free(port):
            assert time.monotonic() < end
            time.sleep(0.02)
        with socket.create_connection(("127.0.0.1", port), 5) as guest:
            guest.recv(4096)
            guest.sendall(b'CONNECT {"user":"agent","pass":"guess","verbose":true}\r\nPING\r\n')
            assert b"Authorization Violation" in guest.recv(4096)
        server.send_signal(signal.SIGTERM)


def test_keys_are_made_once_and_never_plain(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    office, renter = folder.office_keys(), folder.renter_keys()
    addresses = [office.address(DEPLOYER), office.address(ATTESTOR), renter.address(RENTER)]
    assert len(set(addresses)) == 3
    again, renting = folder.office_keys(), folder.renter_keys()
    assert [again.address(DEPLOYER), again.address(ATTESTOR), renting.address(RENTER)] == addresses
    for keys in (office, renter, again, renting):
        keys.close()
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "keys").rglob("*") if path.is_file())
