"""The bridge against a real socket: it greets, hears, posts, survives nonsense and comes back by itself."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Slot
from pytestqt.qtbot import QtBot

from desktop_app.core.messages import OwnerTurnedSharing
from desktop_app.core.state import State
from desktop_app.ui.bridge import Bridge
from desktop_app.ui.present import Reply, Silence
from desktop_app.wire import link
from tests.ui import states
from tests.ui.engine import Engine


class Ear(QObject):
    """Keeps what the bridge says."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[object] = []

    @Slot(object)
    def hear(self, word: object) -> None:
        self.words.append(word)

    def silences(self) -> list[Silence]:
        """The silences so far."""
        return [word for word in self.words if isinstance(word, Silence)]

    def states(self) -> list[State]:
        """The states so far."""
        return [word for word in self.words if isinstance(word, State)]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture
def bridge(path: Path, ear: Ear, qtbot: QtBot) -> Iterator[Bridge]:
    made = Bridge(path)
    made.heard.connect(ear.hear)
    yield made
    made.heard.disconnect(ear.hear)
    made._retry.stop()
    made._socket.disconnected.disconnect(made._lost)
    made._socket.errorOccurred.disconnect(made._lost)
    made._socket.abort()
    made.deleteLater()
    qtbot.wait(1)


def test_it_greets_hears_and_posts(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    with Engine(path, states.working()) as engine:
        bridge.connect_now()
        qtbot.waitUntil(lambda: bool(ear.states()))
        assert ear.states()[0] == states.working()
        bridge.post(OwnerTurnedSharing(True))
        bridge.confide("spend", "correct horse")
        qtbot.waitUntil(lambda: len(engine.heard) == 3)
        assert isinstance(engine.heard[0], link.Hello)
        assert engine.posted() == [OwnerTurnedSharing(True)]
        assert engine.secrets() == [("spend", "correct horse")]
        engine.send(link.encode_answer(False, "wrong passphrase"))
        qtbot.waitUntil(lambda: Reply(False, "wrong passphrase") in ear.words)


def test_without_an_engine_it_says_so_and_tries_again(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    bridge.connect_now()
    qtbot.waitUntil(lambda: len(ear.silences()) >= 3)
    assert set(ear.silences()) == {Silence.STARTING}
    bridge.post(OwnerTurnedSharing(True))  # must not come true later
    with Engine(path, states.fresh()) as engine:
        qtbot.waitUntil(lambda: bool(ear.states()))
        assert engine.posted() == []


def test_it_comes_back_after_the_engine_died(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    with Engine(path, states.working()):
        bridge.connect_now()
        qtbot.waitUntil(lambda: bool(ear.states()))
    qtbot.waitUntil(lambda: Silence.LOST in ear.words)
    with Engine(path, states.fresh()):
        qtbot.waitUntil(lambda: states.fresh() in ear.words)


def test_an_engine_that_hangs_is_noticed_and_one_that_only_has_no_news_is_not(
    bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot
) -> None:
    hush = bridge._hush
    assert hush.interval() == 3_000 * link.BEAT_S
    with Engine(path, states.working()) as engine:
        bridge.connect_now()
        qtbot.waitUntil(lambda: bool(ear.states()))
        for _ in range(3):  # a beat is all it takes to wait three more
            hush.stop()
            engine.send(link.encode_hello(1))
            qtbot.waitUntil(hush.isActive)
        assert ear.silences() == []
        hush.setInterval(100)  # nobody waits half a minute for a test
        qtbot.waitUntil(lambda: Silence.LOST in ear.words)
        hush.setInterval(30_000)
        qtbot.waitUntil(lambda: len(ear.states()) >= 2, timeout=20_000)  # it asked again, and this one answered


def test_another_version_is_named_and_its_state_not_read(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    hello = link.encode_hello(1).replace(b'"version":1', b'"version":9')
    with Engine(path, states.fresh(), hello=hello):
        bridge.connect_now()
        qtbot.waitUntil(lambda: Silence.OTHER_VERSION in ear.words)
        qtbot.wait(50)
        assert not ear.states()


def test_nonsense_closes_the_line_and_the_bridge_tries_again(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    with Engine(path, None, hello=b"\xff\xff\xff\xff lies") as engine:
        bridge.connect_now()
        qtbot.waitUntil(lambda: len(engine._guests) >= 2)
        assert not ear.states()


def test_a_state_that_arrives_in_pieces(bridge: Bridge, ear: Ear, path: Path, qtbot: QtBot) -> None:
    with Engine(path, None) as engine:
        bridge.connect_now()
        qtbot.waitUntil(lambda: bool(engine._guests))
        frame = link.encode_snapshot(states.seasoned())
        for start in range(0, len(frame), 997):
            engine.send(frame[start : start + 997])
            qtbot.wait(1)
        qtbot.waitUntil(lambda: bool(ear.states()))
        assert ear.states() == [states.seasoned()]


def test_two_thousand_emits_from_another_thread_survive(bridge: Bridge, ear: Ear, qtbot: QtBot) -> None:
    shown = states.working()

    def shout() -> None:
        for _ in range(2_000):
            bridge.heard.emit(shown)

    thread = threading.Thread(target=shout)
    thread.start()
    qtbot.waitUntil(lambda: len(ear.words) == 2_000, timeout=10_000)
    thread.join()
    assert all(word is shown for word in ear.words)
