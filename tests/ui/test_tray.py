"""The tray's menu: the sentence, what may be clicked, and that every click posts the right message."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QSystemTrayIcon
from pytestqt.qtbot import QtBot

from desktop_app.core.messages import OwnerAskedFinish, OwnerMessage, OwnerSnoozed, OwnerTurnedSharing
from desktop_app.core.state import Reason, Why
from desktop_app.ui.present import Silence
from desktop_app.ui.tray import Tray
from tests.ui import states


class Desk:
    """A tray, and what it gave away."""

    def __init__(self) -> None:
        self.posted: list[OwnerMessage] = []
        self.calls: list[str] = []
        self.owner = QObject()
        self.tray = Tray(self.posted.append, lambda: self.calls.append("open"), lambda: self.calls.append("leave"), self.owner)


@pytest.fixture
def desk(qtbot: QtBot) -> Iterator[Desk]:
    made = Desk()
    yield made
    made.tray.icon.hide()
    made.tray.menu.deleteLater()
    made.owner.deleteLater()
    qtbot.wait(1)


def test_it_shows_the_sentence_and_may_not_be_clicked_there(desk: Desk) -> None:
    desk.tray.show_heard(states.scheduled_off())
    assert desk.tray.why.text() == "Not sharing until 18:00: your schedule says so."
    assert not desk.tray.why.isEnabled()
    assert desk.tray.icon.toolTip() == "Sublet: Paused\nNot sharing until 18:00: your schedule says so."


def test_without_an_engine_only_open_and_quit_work(desk: Desk) -> None:
    desk.tray.show_heard(Silence.LOST)
    tray = desk.tray
    assert not any(action.isEnabled() for action in (tray.share, tray.finish))
    assert not tray.pause.isEnabled()
    assert tray.open.isEnabled()
    assert tray.quit.isEnabled()
    tray.open.trigger()
    tray.quit.trigger()
    assert desk.calls == ["open", "leave"]


def test_share_posts_what_was_clicked_and_follows_the_engine(desk: Desk) -> None:
    desk.tray.show_heard(states.fresh())
    assert not desk.tray.share.isChecked()
    desk.tray.share.trigger()
    assert desk.posted == [OwnerTurnedSharing(True)]
    desk.tray.show_heard(states.fresh())  # the engine did not agree
    assert not desk.tray.share.isChecked()
    desk.tray.show_heard(states.working())
    assert desk.tray.share.isChecked()


def test_pauses_post_an_instant(desk: Desk) -> None:
    desk.tray.show_heard(states.working())
    actions = desk.tray.pause.actions()
    assert [action.text() for action in actions] == [
        "15 minutes", "1 hour", "3 hours", "6 hours", "12 hours", "Until tomorrow, 06:00",
    ]
    before = datetime.now(UTC)
    for action in actions:
        action.trigger()
    after = datetime.now(UTC)
    instants = [message.until for message in desk.posted if isinstance(message, OwnerSnoozed)]
    for until, minutes in zip(instants, (15, 60, 180, 360, 720), strict=False):
        assert until is not None
        assert before <= until - timedelta(minutes=minutes) <= after
    last = instants[-1]
    assert last is not None
    assert (last.hour, last.minute, last.second) == (5, 0, 0)  # six in the owner's Berlin


def test_a_pause_can_be_ended(desk: Desk) -> None:
    desk.tray.show_heard(states.working())
    assert desk.tray.pause.menuAction().isVisible()
    assert not desk.tray.resume.isVisible()
    desk.tray.show_heard(states.snoozed())
    assert not desk.tray.pause.menuAction().isVisible()
    desk.tray.resume.trigger()
    assert desk.posted == [OwnerSnoozed(None)]


def test_finish_is_for_a_running_task(desk: Desk) -> None:
    desk.tray.show_heard(states.seasoned())
    assert not desk.tray.finish.isEnabled()
    desk.tray.show_heard(states.working())
    desk.tray.finish.trigger()
    assert desk.posted == [OwnerAskedFinish()]


def test_a_left_click_opens(desk: Desk) -> None:
    desk.tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    desk.tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Context)
    assert desk.calls == ["open"]


def test_what_the_market_says_is_no_markup(desk: Desk) -> None:
    desk.tray.show_heard(replace(states.seasoned(), why=Why(Reason.MARKET_OFFLINE, detail="<b>&Hello</b> " + "long " * 40)))
    assert "<" not in desk.tray.icon.toolTip()
    assert "&&Hello" in desk.tray.why.text()
    assert len(desk.tray.why.text()) < 80
