"""The signals page: what each says, that a click on its switch is told, the list of programs, the limits, the log."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox
from pytestqt.qtbot import QtBot

from desktop_app.core.messages import OwnerAskedPrograms, OwnerChangedSettings, OwnerMessage
from desktop_app.core.settings import Settings
from desktop_app.core.state import State
from desktop_app.ui.pages.signals import SignalsPage
from desktop_app.ui.present import Heard, Silence
from desktop_app.ui.present_signals import view
from desktop_app.ui.widgets import number
from desktop_app.ui.widgets.number import NumberField
from tests.ui import states
from tests.ui.hands import click, key, write


class Desk:
    """The page, and what it posted."""

    def __init__(self, qtbot: QtBot) -> None:
        self.posted: list[OwnerMessage] = []
        self.page = SignalsPage(self.posted.append)
        qtbot.addWidget(self.page)
        self.page.resize(820, 1_000)
        with qtbot.waitExposed(self.page):
            self.page.show()
        self.posted.clear()
        self._qtbot = qtbot

    def told(self) -> tuple[str, object]:
        """The one setting that was posted."""
        self._qtbot.waitUntil(lambda: bool(self.posted), timeout=20_000)
        (message,) = self.posted
        assert isinstance(message, OwnerChangedSettings)
        ((name, value),) = message.changes
        self.posted.clear()
        return name, value

    def number(self, name: str) -> NumberField:
        field = self.page.limits.fields[name]
        assert isinstance(field, NumberField)
        return field


@pytest.fixture
def desk(qtbot: QtBot) -> Desk:
    one = Desk(qtbot)
    one.page.show_heard(states.watched())
    return one


def with_settings(**values: object) -> State:
    state = states.watched()
    return replace(state, settings=replace(state.settings, **values))  # type: ignore[arg-type]


def row(heard: Heard, switch: str) -> tuple[str, str]:
    (one,) = (one for one in view(heard).rows if one.switch == switch)
    return one.now, one.last


# --- the table


def test_every_switch_of_the_settings_is_on_the_page_and_a_click_tells_it(desk: Desk) -> None:
    switches = desk.page.table.switches
    assert set(switches) == {name for name in Settings.__slots__ if name.startswith("pause_on_")}
    for name, box in switches.items():
        assert box.isChecked() == getattr(states.watched().settings, name)
        now = not box.isChecked()
        click(box, QPoint(8, box.height() // 2))
        assert desk.told() == (name, now)


def test_a_switch_shows_what_the_engine_says_not_what_was_clicked(desk: Desk) -> None:
    box = desk.page.table.switches["pause_on_full_screen"]
    click(box, QPoint(8, box.height() // 2))
    assert not box.isChecked()
    desk.page.show_heard(states.watched())
    assert box.isChecked(), "the engine did not agree"


def test_what_a_signal_says_now_is_said_in_words() -> None:
    busy = states.watched(idle_s=12.4, apps=("hades",), game_mode=True, full_screen=None)
    assert row(busy, "pause_on_input") == ("touched 12 s ago", "25 min ago")
    assert row(busy, "pause_on_apps") == ("hades", "yesterday at 14:20")
    assert row(busy, "pause_on_game_mode") == ("yes", "never")
    assert row(busy, "pause_on_full_screen") == ("not told by this system", "today at 12:20")
    assert row(busy, "pause_on_vram") == ("4,442 MB are free", "never")
    assert row(states.watched(), "pause_on_input")[0] == "untouched for 12 min 34 s"
    assert row(states.watched(locked=True), "pause_on_input")[0] == "the screen is locked"
    assert row(states.fresh(), "pause_on_input")[0] == "not watched now"
    assert row(replace(states.watched(), looked=False), "pause_on_battery")[0] == "looking…"
    assert row(Silence.LOST, "pause_on_battery") == ("–", "–")


def test_another_programs_name_is_shown_where_it_is_known() -> None:
    busy = states.watched()
    gpu = replace(busy.gpu, foreign=replace(busy.gpu.foreign, busy_s=1.0))
    assert row(replace(busy, gpu=gpu), "pause_on_foreign_use")[0] == "firefox"
    nameless = replace(gpu, reading=replace(gpu.reading, foreign_name=""))
    assert row(replace(busy, gpu=nameless), "pause_on_foreign_use")[0] == "yes"


def test_a_fault_is_shown_even_while_nothing_is_shared() -> None:
    state = states.fresh()
    faults = [one.now for one in view(replace(state, gpu=replace(state.gpu, fault=79))).rows if not one.switch]
    assert faults == ["not watched now", "not watched now", "fault 79"]


def test_what_asks_for_the_gpu_is_marked_and_read_out(desk: Desk) -> None:
    desk.page.show_heard(states.gaming())
    asking = [one.name for one in view(states.gaming()).rows if one.asking]
    assert asking == ["a window fills the screen", "a program of my list runs"]
    box = desk.page.table.switches["pause_on_apps"]
    assert box.font().bold() and box.accessibleDescription() == "a program of my list runs: hades. Last asked: 2 min ago."
    assert not desk.page.table.switches["pause_on_game_mode"].font().bold()


def test_nothing_can_be_clicked_while_the_engine_is_away(desk: Desk) -> None:
    desk.page.show_heard(Silence.LOST)
    widgets = (*desk.page.table.switches.values(), *desk.page.limits.fields.values(), desk.page.apps.running, desk.page.apps.typed)
    assert not any(widget.isEnabled() for widget in (*widgets, desk.page.apps.add, desk.page.limits.awake))
    assert not desk.page.table.switches["pause_on_remote_desktop"].isChecked(), "what was known last stays"
    assert desk.number("vram_reserve_mb").value() == 1_024 and len(desk.page.apps.names) == 2
    assert len(view(Silence.LOST, states.watched()).backs) == 4


# --- the programs


def test_opening_the_page_and_its_menu_asks_which_programs_run(qtbot: QtBot) -> None:
    posted: list[OwnerMessage] = []
    page = SignalsPage(posted.append)
    qtbot.addWidget(page)
    page.show_heard(states.watched())
    assert posted == []
    page.show()
    assert posted == [OwnerAskedPrograms()]
    page.apps.menu.aboutToShow.emit()
    assert posted == [OwnerAskedPrograms()] * 2


def test_a_running_program_is_picked_from_the_menu(desk: Desk) -> None:
    desk.page.apps.menu.aboutToShow.emit()
    desk.posted.clear()
    offered = {action.text(): action for action in desk.page.apps.menu.actions()}
    assert list(offered) == ["firefox", "obs"], "what is on the list already is not offered"
    offered["obs"].trigger()
    assert desk.told() == ("apps", "blender\nhades\nobs")


def test_a_menu_that_is_open_shows_programs_that_are_told_late(desk: Desk, qtbot: QtBot) -> None:
    menu = desk.page.apps.menu
    desk.page.show_heard(replace(states.watched(), programs=()))
    menu.popup(QPoint(10, 10))
    qtbot.waitUntil(menu.isVisible)
    (nothing,) = menu.actions()
    assert not nothing.isEnabled() and nothing.text() == "No other program with a window was found"
    desk.page.show_heard(replace(states.watched(), programs=("doom & co",)))
    assert [action.text() for action in menu.actions()] == ["doom && co"]
    menu.close()


def test_a_program_is_typed_or_taken_off_again(desk: Desk) -> None:
    write(desk.page.apps.typed, "  krita ")
    key(desk.page.apps.typed, Qt.Key.Key_Return)
    assert desk.told() == ("apps", "blender\nhades\nkrita") and desk.page.apps.typed.text() == ""
    click(desk.page.apps.add)
    assert desk.posted == [], "nothing was typed"
    write(desk.page.apps.typed, "hades")
    click(desk.page.apps.add)
    assert desk.told() == ("apps", "blender\nhades"), "a name is on the list once"
    blender, hades = desk.page.apps.names
    assert blender.accessibleName() == "Remove blender from the list" and hades.text().startswith("hades")
    click(blender)
    assert desk.told() == ("apps", "hades")


def test_the_list_is_drawn_anew_and_a_hint_stands_where_it_is_empty(desk: Desk) -> None:
    before = list(desk.page.apps.names)
    desk.page.show_heard(with_settings(apps=""))
    assert desk.page.apps.names == [] and all(button.isHidden() for button in before)
    desk.page.show_heard(with_settings(apps="one\n two \n\none"))
    assert [button.text() for button in desk.page.apps.names] == ["one  ✕", "two  ✕"]


# --- the limits


def test_limits_show_the_settings_and_tell_a_change_once_it_rests(desk: Desk) -> None:
    heat = desk.number("temperature_limit")
    assert (heat.value(), heat.minimum(), heat.maximum()) == (83, 40, 110)
    assert desk.number("vram_reserve_mb").text() == "1,024 MB"
    assert desk.number("power_cap_watts").text() == "as the card is set"
    for _ in range(3):
        heat.stepUp()
    desk.page.show_heard(states.watched())
    assert heat.value() == 86, "a word from before the click does not undo it"
    assert desk.told() == ("temperature_limit", 86)
    desk.page.show_heard(with_settings(temperature_limit=86))
    desk.page.show_heard(with_settings(temperature_limit=70))
    assert heat.value() == 70, "another window, or the command line, changed it"


def test_a_limit_that_the_engine_does_not_take_comes_back(desk: Desk, qtbot: QtBot) -> None:
    cap = desk.number("power_cap_watts")
    cap._patience.setInterval(50)  # nobody waits three seconds for a test
    cap.stepUp()
    assert desk.told() == ("power_cap_watts", 10)
    qtbot.waitUntil(lambda: cap.value() == 0, timeout=20_000)
    assert number.PATIENCE_MS == 3_000


def test_a_number_that_is_being_typed_is_left_alone(desk: Desk) -> None:
    heat = desk.number("temperature_limit")
    heat.setFocus()
    heat.lineEdit().selectAll()
    write(heat, "9")
    desk.page.show_heard(with_settings(temperature_limit=70))
    assert heat.lineEdit().text().startswith("9")
    write(heat, "0")
    key(heat, Qt.Key.Key_Return)
    assert desk.told() == ("temperature_limit", 90)


def test_scrolling_past_a_number_changes_nothing(desk: Desk, qtbot: QtBot) -> None:
    desk.page.activateWindow()
    qtbot.waitUntil(desk.page.isActiveWindow)  # until then nothing in it has the keyboard
    heat = desk.number("temperature_limit")
    heat.clearFocus()
    middle = QPointF(heat.rect().center())
    turn = QWheelEvent(
        middle, heat.mapToGlobal(middle), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(heat, turn)
    assert heat.value() == 83
    heat.setFocus()
    QApplication.sendEvent(heat, turn)
    assert heat.value() == 84


def test_the_time_until_one_is_away_is_chosen_in_words(desk: Desk) -> None:
    idle = desk.page.limits.fields["idle_after_s"]
    assert isinstance(idle, QComboBox) and idle.currentText() == "10 min"
    idle.activated.emit(idle.findText("2 min"))
    assert desk.told() == ("idle_after_s", 120)
    desk.page.show_heard(with_settings(idle_after_s=45))
    assert idle.currentText() == "45 s", "what the command line set is a choice too"


def test_keeping_awake_is_a_switch(desk: Desk) -> None:
    box = desk.page.limits.awake
    assert box.isChecked()
    click(box, QPoint(8, box.height() // 2))
    assert desk.told() == ("keep_awake", False)


# --- the log


def test_the_log_says_when_what_and_how_fast() -> None:
    backs = view(states.watched()).backs
    assert [(one.when, one.trigger, one.took) for one in backs[:3]] == [
        ("25 min ago", "you came back", "GPU back in 0.26 s"),
        ("today at 12:20", "a full-screen window", "GPU back in 0.44 s"),
        ("yesterday at 16:20", "your click", "GPU back in 0.38 s"),
    ]
    assert "12 steps" in backs[2].steps
    assert view(Silence.LOST).backs == () and view(states.fresh()).backs == ()


def test_a_log_that_grows_shorter_leaves_no_line(desk: Desk) -> None:
    few = replace(states.watched(), give_backs=states.watched().give_backs[:1])
    desk.page.show_heard(few)
    shown = [text.text() for line in desk.page.backs._lines for text in line if not text.isHidden()]
    assert len(shown) == 4 and shown[0] == "25 min ago"
