"""The plain end of the local socket: patience, answers, an agent that goes, and one that never speaks."""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.core import messages as m
from desktop_app.core.state import Sharing, State
from desktop_app.wire import guest as guest_module
from desktop_app.wire import link
from desktop_app.wire.guest import Guest, NoAgent
from tests import builders
from tests.ui.engine import Engine

OFF = builders.a_state(sharing=Sharing())
ON = builders.a_state()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not what is tried here."""
    monkeypatch.setattr(guest_module, "CONNECT_S", 60.0)


def greeted(engine: Engine) -> None:
    """The engine knows its guest now, so that what it sends reaches it."""
    heard(engine, lambda engine: bool(engine.heard))


def heard(engine: Engine, enough: Callable[[Engine], bool]) -> None:
    end = time.monotonic() + 10
    while not enough(engine):
        assert time.monotonic() < end, engine.heard
        time.sleep(0.01)


def test_it_says_hello_and_knows_the_state_at_once(place: Path) -> None:
    with Engine(place, OFF) as engine, Guest(place) as guest:
        assert guest.state == OFF
        heard(engine, lambda engine: engine.heard == [link.Hello(link.VERSION, os.getpid())])


def test_words_arrive_in_order(place: Path) -> None:
    with Engine(place, OFF) as engine, Guest(place) as guest:
        guest.post(m.OwnerTurnedSharing(True))
        guest.post(m.OwnerAskedFinish())
        heard(engine, lambda engine: engine.posted() == [m.OwnerTurnedSharing(True), m.OwnerAskedFinish()])


def test_it_waits_for_the_state_it_wants_and_no_longer_than_told(place: Path) -> None:
    with Engine(place, OFF) as engine, Guest(place) as guest:
        greeted(engine)
        began = time.monotonic()
        assert guest.wait_for(lambda state: state.sharing.on, 0.2) is None
        assert 0.2 <= time.monotonic() - began < 5
        engine.publish(ON)
        assert guest.wait_for(lambda state: state.sharing.on, 10) == ON
        assert guest.wait_for(lambda state: state.sharing.on, 0) == ON  # known already: nothing is waited for
        engine.publish(OFF)
        assert guest.wait_for(lambda state: not state.sharing.on, 0) == OFF  # it has come, and need only be read


def test_the_next_state_is_the_newest_one_again_when_none_comes(place: Path) -> None:
    with Engine(place, OFF) as engine, Guest(place) as guest:
        greeted(engine)
        assert guest.next_state(0.1) == OFF
        engine.publish(ON)
        assert guest.next_state(60) == ON


def test_a_state_that_comes_in_pieces_is_put_together(place: Path) -> None:
    frame = link.encode_snapshot(ON)
    with Engine(place, OFF) as engine, Guest(place) as guest:
        greeted(engine)
        sending = threading.Thread(target=_send_in_pieces, args=(engine, frame))
        sending.start()
        assert guest.wait_for(lambda state: state.sharing.on, 10) == ON
        sending.join()


def _send_in_pieces(engine: Engine, frame: bytes) -> None:
    for start in range(0, len(frame), 700):
        engine.send(frame[start : start + 700])
        time.sleep(0.005)


def test_a_secret_travels_alone_and_its_answer_is_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(place, OFF) as engine, Guest(place) as guest:
        greeted(engine)
        engine.send(link.encode_answer(True, "an answer to nothing"))  # an old one does not count, even if nobody has read it yet
        answering = threading.Thread(target=lambda: _answer(engine))
        answering.start()
        assert guest.hand_over("unlock", "a passphrase") == link.Answer(False, "That is not it.")
        answering.join()
        assert engine.posted() == []
        monkeypatch.setattr(guest_module, "ANSWER_S", 0.1)
        assert guest.hand_over("unlock", "another") == link.Answer(False, "the agent did not answer in time")


def _answer(engine: Engine) -> None:
    heard(engine, lambda engine: engine.secrets() == [("unlock", "a passphrase")])
    engine.send(link.encode_answer(False, "That is not it."))


def test_the_end_is_noticed_by_whoever_waits_for_it_and_by_whoever_does_not(place: Path) -> None:
    with Engine(place, OFF):
        guest = Guest(place)
        assert not guest.wait_for_end(0.1)
    with guest:
        assert guest.wait_for_end(10)
        with pytest.raises(NoAgent, match="has gone"):
            guest.next_state(60)
        with pytest.raises(NoAgent, match="has gone"):
            guest.post(m.OwnerQuit())


def test_nobody_there_is_said_and_leaves_no_socket_open(place: Path) -> None:
    with pytest.raises(NoAgent, match="No agent is running") as nobody:
        Guest(place)
    assert nobody.value.advice == "Start it with: sublet agent"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(place))  # left by one that was killed
    with pytest.raises(NoAgent, match="No agent is running"):
        Guest(place)


def test_one_that_hangs_up_at_once_leaves_no_socket_open(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        rude = threading.Thread(target=lambda: server.accept()[0].close())
        rude.start()
        with pytest.raises(NoAgent):
            Guest(place)
        rude.join()


def test_one_that_never_speaks_is_not_waited_for_for_ever(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_module, "CONNECT_S", 0.2)
    with Engine(place, None, b""), Guest(place) as guest, pytest.raises(NoAgent, match="did not say"):
        _ = guest.state


@pytest.mark.parametrize("hello", [b"\xff\xff\xff\xff", b"\0\0\0\2{}", link.encode_hello(1).replace(b'"version":1', b'"version":9')])
def test_another_version_is_named_so(place: Path, hello: bytes) -> None:
    with Engine(place, None, hello), pytest.raises(NoAgent, match="another version"):
        Guest(place)


def test_a_snapshot_too_large_is_not_kept_in_memory(place: Path) -> None:
    state: State = replace(OFF, notices=())
    with Engine(place, state) as engine, Guest(place) as guest:
        greeted(engine)
        engine.send((link.MAX_FRAME + 1).to_bytes(4, "big"))
        with pytest.raises(NoAgent, match="another version"):
            guest.next_state(60)
