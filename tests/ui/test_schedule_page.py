"""The week is painted by mouse and by keys, told to the engine once per stroke, and taken back if the engine disagrees."""

from dataclasses import replace
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from desktop_app.core.messages import OwnerChangedSettings, OwnerMessage
from desktop_app.core.schedule import CELLS_PER_DAY, Cell, Schedule, paint
from desktop_app.core.state import State
from desktop_app.ui.pages.schedule import COALESCE_MS, PATIENCE_MS, PRESETS, SchedulePage
from desktop_app.ui.present import Silence
from desktop_app.ui.widgets.grid import spoken
from tests.ui import states
from tests.ui.hands import LEFT, RIGHT, click, key, move, press, release

EMPTY = Schedule("-" * 7 * CELLS_PER_DAY)


class Desk:
    """The page, and what it posted."""

    def __init__(self, qtbot: QtBot) -> None:
        self.posted: list[OwnerMessage] = []
        self.page = SchedulePage(self.posted.append)
        qtbot.addWidget(self.page)
        self.page.resize(820, 620)
        with qtbot.waitExposed(self.page):
            self.page.show()
        self.show(EMPTY)
        self._qtbot = qtbot

    def show(self, week: Schedule) -> None:
        """The engine says this is the week."""
        self.page.show_heard(self.state(week))

    def state(self, week: Schedule) -> State:
        """A state with this week."""
        fresh = states.fresh()
        return replace(fresh, settings=replace(fresh.settings, schedule=week))

    def drag(self, first: int, last: int, button: Qt.MouseButton = LEFT) -> None:
        """From the middle of one half hour to the middle of another."""
        grid = self.page.grid
        start, end = grid.cell_rect(first).center(), grid.cell_rect(last).center()
        press(grid, start, button)
        move(grid, QPoint((start.x() + end.x()) // 2, (start.y() + end.y()) // 2))
        move(grid, end)
        release(grid, end, button)

    def told(self) -> Schedule:
        """The one week that was posted."""
        self._qtbot.waitUntil(lambda: bool(self.posted), timeout=20_000)
        (message,) = self.posted
        assert isinstance(message, OwnerChangedSettings)
        ((name, cells),) = message.changes
        assert name == "schedule"
        return Schedule(str(cells))


@pytest.fixture
def desk(qtbot: QtBot) -> Desk:
    return Desk(qtbot)


def place(day: int, hour: float) -> int:
    """The half hour that begins at `hour` on `day` (Monday 0)."""
    return day * CELLS_PER_DAY + int(hour * 2)


def block(days: range, first: float, last: float) -> frozenset[int]:
    """All half hours of the days from `first` to before `last` o'clock."""
    return frozenset(day * CELLS_PER_DAY + half for day in days for half in range(int(first * 2), int(last * 2)))


def test_a_drag_paints_a_rectangle_and_is_told_once(desk: Desk) -> None:
    desk.drag(place(0, 18), place(4, 21.5))
    wanted = paint(EMPTY, block(range(5), 18, 22), Cell.ALWAYS)
    assert desk.page.grid.schedule == wanted
    assert desk.posted == []  # not before the stroke is over and the hand is still
    assert desk.told() == wanted


def test_the_legend_chooses_the_brush_and_the_right_button_clears(desk: Desk, qtbot: QtBot) -> None:
    brush = desk.page.brushes[Cell.AWAY]
    click(brush, QPoint(8, brush.height() // 2))
    desk.drag(place(2, 0), place(2, 23.5))
    desk.drag(place(2, 9), place(2, 11.5), RIGHT)
    wanted = paint(paint(EMPTY, block(range(2, 3), 0, 24), Cell.AWAY), block(range(2, 3), 9, 12), Cell.OFF)
    assert desk.told() == wanted  # two strokes close together are one message


def test_dragging_backwards_and_out_of_the_grid(desk: Desk, qtbot: QtBot) -> None:
    grid = desk.page.grid
    press(grid, grid.cell_rect(place(3, 2)).center())
    move(grid, QPoint(-50, -50))
    release(grid, QPoint(-50, -50))
    assert desk.told() == paint(EMPTY, block(range(4), 0, 2.5), Cell.ALWAYS)


def test_a_stroke_can_be_given_up(desk: Desk, qtbot: QtBot) -> None:
    grid = desk.page.grid
    press(grid, grid.cell_rect(place(3, 2)).center())
    key(grid, Qt.Key.Key_Escape)
    release(grid, grid.cell_rect(place(3, 2)).center())
    qtbot.wait(COALESCE_MS + 50)
    assert grid.schedule == EMPTY
    assert desk.posted == []


def test_keys_move_select_and_paint(desk: Desk, qtbot: QtBot) -> None:
    grid = desk.page.grid
    grid.setFocus()
    for one in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right):
        key(grid, one)
    for one in (Qt.Key.Key_Right, Qt.Key.Key_Down):
        key(grid, one, Qt.KeyboardModifier.ShiftModifier)
    assert grid.accessibleDescription() == "4 half hours selected, from Tuesday 01:00"
    key(grid, Qt.Key.Key_3)
    key(grid, Qt.Key.Key_Right)
    key(grid, Qt.Key.Key_Space)
    assert grid.accessibleDescription() == "Wednesday 02:00 to 02:30: When I’m away"
    wanted = paint(paint(EMPTY, block(range(1, 3), 1, 2), Cell.ALWAYS), frozenset({place(2, 2)}), Cell.AWAY)
    assert desk.told() == wanted


def test_keys_stop_at_the_edges(desk: Desk, qtbot: QtBot) -> None:
    grid = desk.page.grid
    for one in (Qt.Key.Key_Up, Qt.Key.Key_Left, Qt.Key.Key_PageDown, Qt.Key.Key_End, Qt.Key.Key_Right, Qt.Key.Key_2):
        key(grid, one)
    assert desk.told() == paint(EMPTY, frozenset({7 * CELLS_PER_DAY - 1}), Cell.AWAY)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(desk: Desk, qtbot: QtBot, name: str) -> None:
    if PRESETS[name] == EMPTY:
        desk.show(PRESETS["always"])
    click(desk.page.presets[name])
    assert desk.told() == PRESETS[name]


def test_nights_are_from_ten_to_seven(qapp: object) -> None:
    monday = PRESETS["nights"].cells[:CELLS_PER_DAY]
    assert monday == "s" * 14 + "-" * 30 + "s" * 4


def test_an_old_state_does_not_wipe_a_fresh_stroke(desk: Desk, qtbot: QtBot) -> None:
    desk.drag(place(0, 1), place(0, 2))
    painted = desk.page.grid.schedule
    desk.show(EMPTY)  # published before the engine heard of it
    assert desk.page.grid.schedule == painted
    desk.told()
    desk.show(EMPTY)
    assert desk.page.grid.schedule == painted
    desk.show(painted)
    desk.show(EMPTY)  # now it is the engine's own wish
    assert desk.page.grid.schedule == EMPTY


def test_the_engines_word_counts_in_the_end(desk: Desk, qtbot: QtBot) -> None:
    desk.drag(place(0, 1), place(0, 2))
    desk.told()
    desk.show(EMPTY)
    qtbot.waitUntil(lambda: desk.page.grid.schedule == EMPTY, timeout=PATIENCE_MS + 20_000)


def test_nothing_from_outside_moves_under_the_brush(desk: Desk, qtbot: QtBot) -> None:
    grid = desk.page.grid
    press(grid, grid.cell_rect(place(1, 1)).center())
    desk.show(PRESETS["always"])
    assert grid.schedule == paint(EMPTY, frozenset({place(1, 1)}), Cell.ALWAYS)
    release(grid, grid.cell_rect(place(1, 1)).center())


def test_without_an_engine_nothing_can_be_painted(desk: Desk, qtbot: QtBot) -> None:
    desk.page.show_heard(Silence.LOST)
    desk.drag(place(0, 1), place(0, 2))
    qtbot.wait(COALESCE_MS + 50)
    assert desk.posted == []
    assert not desk.page.grid.isEnabled()


def test_pointing_says_the_half_hour(desk: Desk, qtbot: QtBot) -> None:
    grid, heard = desk.page.grid, list[str]()
    grid.pointed.connect(heard.append)

    def pointing() -> None:
        """The pointer is the screen's own, and the screen tells where it is when it likes, the window's arrival first."""
        move(grid, grid.cell_rect(place(6, 22.5)).center())
        move(grid, grid.cell_rect(place(6, 23.5)).center())
        assert heard[-1:] == ["Sunday 23:30 to 24:00: Off"]

    qtbot.waitUntil(pointing, timeout=20_000)
    assert spoken(PRESETS["away"], 0) == "Monday 00:00 to 00:30: When I’m away"


def test_the_three_states_differ_in_brightness_pattern_not_colour_alone(desk: Desk) -> None:
    """In grey: off is even and light, always even and darker, away uneven."""
    week = paint(paint(EMPTY, block(range(1), 0, 8), Cell.AWAY), block(range(1), 12, 24), Cell.ALWAYS)
    desk.show(week)
    image = desk.page.grid.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)

    def greys(first: float, last: float) -> list[int]:
        box = desk.page.grid.cell_rect(place(0, first)).united(desk.page.grid.cell_rect(place(0, last)))
        y = box.center().y()
        return [image.pixelColor(x, y).red() for x in range(box.left() + 4, box.right() - 4)]

    def changes(line: list[int]) -> int:
        return sum(abs(a - b) > 12 for a, b in pairwise(line))

    off, away, always = greys(9, 10.5), greys(3.5, 5), greys(15.5, 17)
    assert changes(away) > 2 * max(changes(off), changes(always), 1)
    assert abs(sorted(off)[len(off) // 2] - sorted(always)[len(always) // 2]) > 60
