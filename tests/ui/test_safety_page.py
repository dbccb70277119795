"""The safety page: the level and what it is worth, the command that helps, each wall, and that it can be read without a mouse."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea
from pytestqt.qtbot import QtBot

from desktop_app.core.state import Level, Readiness
from desktop_app.ui.pages.safety import SafetyPage
from desktop_app.ui.present import Silence
from desktop_app.ui.present_safety import view
from desktop_app.wire import isolation
from tests.ui import states
from tests.ui.hands import click, key

COMMAND = states.FIX.partition("with: ")[2]


@pytest.fixture
def page(qtbot: QtBot) -> SafetyPage:
    one = SafetyPage()
    qtbot.addWidget(one)
    one.resize(700, 640)
    with qtbot.waitActive(one):
        one.show()
    return one


def shown(page: SafetyPage) -> list[tuple[str, str, str]]:
    """The walls as they can be read."""
    lines = [line for line in page.walls._lines if not line[1].isHidden()]
    return [(name.text(), verdict.text(), "" if seen.isHidden() else seen.text()) for _, name, verdict, seen in lines]


# --- the level


@pytest.mark.parametrize("level", Level)
def test_a_level_is_shown_with_what_it_promises_and_what_it_does_not(page: SafetyPage, level: Level) -> None:
    page.show_heard(states.shut_in(level=level))
    assert page.standing.level.text().casefold() == isolation.level(level)
    assert page.standing.promise.text() == isolation.promise(level)
    assert page.standing.limit.text() == isolation.limit(level)
    spoken = page.standing.accessibleDescription()
    assert all(words in spoken for words in (isolation.promise(level), isolation.limit(level), "5 min ago"))


def test_before_the_first_test_nothing_is_promised(page: SafetyPage) -> None:
    page.show_heard(states.untested())
    assert page.standing.level.text() == "Not tested yet"
    assert page.standing.tested.text().startswith("It is tested when sharing starts")
    assert page.standing.promise.isHidden() and page.standing.limit.isHidden() and page.fix.isHidden()
    assert page.walls.isHidden()


def test_it_says_when_it_was_tested_last() -> None:
    ready = states.shut_in().readiness
    told = {
        "Last tested 5 min ago.": ready,
        "It is being tested right now, which takes a moment.": replace(ready, testing=True),
        "It is tested again when sharing starts.": replace(ready, tested=None),
    }
    for words, one in told.items():
        assert view(replace(states.shut_in(), readiness=one)).tested == words
    assert view(states.untested(testing=True)).standing == "Being tested"


@pytest.mark.parametrize("silence", Silence)
def test_nothing_is_claimed_while_the_engine_is_silent(page: SafetyPage, silence: Silence) -> None:
    page.show_heard(states.shut_in())
    page.show_heard(silence)
    assert page.standing.level.text() == "Not known"
    assert page.standing.promise.isHidden() and page.fix.isHidden() and page.walls.isHidden()


def test_a_level_without_a_test_that_was_kept_from_before_is_not_claimed() -> None:
    """Tasks crashed one after the other: the level is taken away, and what was found before counts no more."""
    struck = replace(states.shut_in().readiness, level=None, tested=None)
    seen = view(replace(states.shut_in(), readiness=struck))
    assert (seen.level, seen.promise, seen.walls) == (None, "", ())


# --- what would help


def test_the_command_stands_alone_and_is_copied_whole(page: SafetyPage, qtbot: QtBot) -> None:
    page.show_heard(states.not_shut_in())
    assert page.fix.words.text().endswith("Allow them to bubblewrap with:")
    assert page.fix.command.toPlainText() == COMMAND
    click(page.fix.copy)
    assert QGuiApplication.clipboard().text() == COMMAND
    assert page.fix.copy.text() == "Copied"
    qtbot.waitUntil(lambda: page.fix.copy.text() == "Copy", timeout=20_000)


def test_a_long_command_wraps_and_all_of_it_is_seen(page: SafetyPage, qtbot: QtBot) -> None:
    page.show_heard(states.not_shut_in())
    box = page.fix.command
    heights = []
    for width in (1_100, 420):
        page.resize(width, 640)

        def whole(width: int = width) -> None:
            """As soon as the window manager agrees, which for a moment may still say the size before."""
            assert page.width() == width
            assert not box.verticalScrollBar().maximum() and not box.horizontalScrollBar().maximum(), f"cut at {width}"
            assert box.mapTo(page, box.rect().topRight()).x() < width

        qtbot.waitUntil(whole, timeout=20_000)
        heights.append(box.height())
    assert heights[1] > heights[0]


def test_a_small_window_wraps_every_wall(page: SafetyPage, qtbot: QtBot) -> None:
    page.show_heard(states.shut_in("no_privileges", fix=states.FIX))
    page.resize(384, 640)  # what the smallest window leaves beside the sidebar
    (scroll,) = (area for area in page.findChildren(QScrollArea) if area.widget())

    def wrapped() -> None:
        assert page.width() == 384 and scroll.verticalScrollBar().maximum() > 0
        assert scroll.horizontalScrollBar().maximum() == 0
        name, tall = page.walls._lines[0][1], page.walls._lines[1][1].height()
        assert name.height() >= 2 * tall - 2

    qtbot.waitUntil(wrapped, timeout=20_000)


def test_the_command_is_selected_by_keys_and_cannot_be_changed(page: SafetyPage) -> None:
    page.show_heard(states.not_shut_in())
    box = page.fix.command
    box.setFocus()
    key(box, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    page.show_heard(replace(states.not_shut_in(), now=states.NOW))
    key(box, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == COMMAND
    key(box, Qt.Key.Key_X)
    assert box.toPlainText() == COMMAND
    assert box.accessibleName() == "Command to type into a terminal"


def test_advice_without_a_command_is_shown_whole(page: SafetyPage) -> None:
    page.show_heard(states.shut_in("no_tcp", fix="Start the kernel that your system came with."))
    assert page.fix.words.text() == "Start the kernel that your system came with."
    assert page.fix.command.isHidden() and page.fix.copy.isHidden()
    page.show_heard(states.shut_in())
    assert page.fix.isHidden(), "mended"


# --- the walls


def test_each_wall_says_whether_it_held_and_those_that_fell_come_first(page: SafetyPage) -> None:
    page.show_heard(states.shut_in("no_home", fix="x"))
    lines = shown(page)
    assert lines[0] == ("Your home folder is not there", "did not hold", "The test met: it answered")
    assert lines[1] == ("No network card, no route", "held", "")
    assert len(lines) == 25 and {verdict for _, verdict, _ in lines[1:]} == {"held"}
    assert page.walls.summary.text() == "1 of 25 did not hold"
    assert page.walls._lines[0][0].accessibleName() == "did not hold"
    assert "Your home folder is not there: did not hold" in page.walls.accessibleDescription()


def test_lines_are_filled_anew_when_others_are_told(page: SafetyPage) -> None:
    page.show_heard(states.shut_in("no_home", fix="x"))
    page.show_heard(states.shut_in())
    assert page.walls.summary.text() == "All 25 held" and all(verdict == "held" for _, verdict, _ in shown(page))
    assert not page.walls._lines[0][1].font().bold() and "lo" in page.walls._lines[0][1].toolTip()
    page.show_heard(states.not_shut_in())
    assert shown(page) == [("The sandbox starts", "did not hold", "The test met: bwrap: setting up uid map: Permission denied")]
    assert all(not widget.isVisible() for line in page.walls._lines[1:] for widget in line)


def test_the_signs_differ_in_shape(page: SafetyPage) -> None:
    page.show_heard(states.shut_in("no_home", fix="x"))
    fallen, held = (page.walls._lines[number][0] for number in (0, 1))
    pictures = []
    for sign in (fallen, held):
        image = sign.grab().toImage()
        ground = image.pixelColor(0, 0)
        pictures.append([image.pixelColor(x, y) != ground for x in range(image.width()) for y in range(image.height())])
    assert sum(one != other for one, other in zip(*pictures, strict=True)) > 20


# --- without a mouse


def test_keys_reach_everything_and_scroll_down_to_the_last_wall(page: SafetyPage, qtbot: QtBot) -> None:
    page.show_heard(states.not_shut_in())
    stops = [page.standing, page.fix.words, page.fix.command, page.fix.copy, page.walls]
    page.standing.setFocus()
    for stop in stops:
        focus = QApplication.focusWidget()
        assert focus is stop
        QTest.keyClick(focus, Qt.Key.Key_Tab)
    page.show_heard(states.shut_in())
    page.walls.setFocus()
    (scroll,) = (area for area in page.findChildren(QScrollArea) if area.widget())
    qtbot.waitUntil(lambda: scroll.verticalScrollBar().maximum() > 0)
    for _ in range(10):
        QTest.keyClick(page.walls, Qt.Key.Key_PageDown)
    assert 0 < scroll.verticalScrollBar().value() == scroll.verticalScrollBar().maximum()


def test_a_state_that_changes_nothing_here_draws_nothing_anew(page: SafetyPage) -> None:
    page.show_heard(states.shut_in())
    page.standing.level.setText("untouched")
    page.show_heard(replace(states.shut_in(), programs=("other",)))
    assert page.standing.level.text() == "untouched"
    page.show_heard(replace(states.shut_in(), readiness=Readiness(Level.NONE)))
    assert page.standing.level.text() == "Not shut in"
