"""The window and its pages on a real desktop: every scene is drawn without a warning, and every click posts what it says."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QProgressBar, QWidget
from pytestqt.qtbot import QtBot

from desktop_app.core.cashout import Stage
from desktop_app.core.messages import (
    OwnerAskedFinish,
    OwnerDismissedNotices,
    OwnerMessage,
    OwnerSnoozed,
    OwnerTurnedSharing,
)
from desktop_app.core.state import Notice, NoticeKind
from desktop_app.ui.present import Silence
from desktop_app.ui.widgets.meter import Meter
from desktop_app.ui.window import Window
from tests.ui import gallery, states
from tests.ui.hands import click, key


class Opened:
    """A shown window, and what it gave away."""

    def __init__(self, qtbot: QtBot) -> None:
        self.posted: list[OwnerMessage] = []
        self.secrets: list[tuple[str, str]] = []
        self.window = Window(self.posted.append, lambda purpose, secret: self.secrets.append((purpose, secret)))
        qtbot.addWidget(self.window)
        with qtbot.waitExposed(self.window):
            self.window.show()


@pytest.fixture
def opened(qtbot: QtBot) -> Opened:
    return Opened(qtbot)


@pytest.fixture
def dark(qapp: QApplication) -> Iterator[None]:
    """The system turns dark while the app runs."""
    before = qapp.palette()
    qapp.setPalette(gallery.dark_palette())
    yield
    qapp.setPalette(before)


@pytest.mark.parametrize("scene", gallery.SCENES)
def test_every_scene_is_drawn_in_light_and_dark(opened: Opened, qapp: QApplication, qtbot: QtBot, scene: str) -> None:
    page, heard = gallery.SCENES[scene]
    opened.window.show_page(page)
    opened.window.show_heard(heard)
    light = opened.window.grab().toImage()
    before = qapp.palette()
    try:
        qapp.setPalette(gallery.dark_palette())
        qtbot.wait(1)
        dark = opened.window.grab().toImage()
    finally:
        qapp.setPalette(before)
    corner = QPoint(light.width() - 3, light.height() - 3)
    assert light.pixelColor(corner).lightness() > 200
    assert dark.pixelColor(corner).lightness() < 80


def _contrast(one: float, other: float) -> float:
    """WCAG 2.2 contrast of two relative luminances."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def _luminance(red: float, green: float, blue: float) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_text_can_be_read(opened: Opened, qapp: QApplication, qtbot: QtBot, look: str, request: pytest.FixtureRequest) -> None:
    """4.5 : 1 for every label, muted ones and errors too, against the card it lies on."""
    from desktop_app.ui import colours

    if look == "dark":
        request.getfixturevalue("dark")
    opened.window.show_heard(states.working())
    qtbot.wait(1)
    card = colours.surface(qapp.palette())
    behind = _luminance(card.redF(), card.greenF(), card.blueF())
    for label in opened.window.findChildren(QLabel):
        ink = label.palette().color(label.foregroundRole())
        assert _contrast(_luminance(ink.redF(), ink.greenF(), ink.blueF()), behind) >= 4.5, label.text()


def test_every_control_has_a_name_for_those_who_cannot_see_it(opened: Opened) -> None:
    for name in ("home-troubled", "home-working", "schedule", "safety-fix", "wallet-new", "wallet-quote-passphrase", "wallet-sent"):
        page, heard = gallery.SCENES[name]
        opened.window.show_page(page)
        opened.window.show_heard(heard)
        shown = [widget for widget in opened.window.findChildren(QWidget) if widget.isVisible()]
        for widget in shown:
            own = isinstance(widget, QAbstractButton | QLineEdit | QProgressBar | Meter)
            if not own or widget.objectName().startswith("qt_"):
                continue
            named = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
            assert named, f"{widget} in {widget.parent()} has no name"


def test_tab_reaches_the_switch_and_space_turns_it(opened: Opened, qtbot: QtBot) -> None:
    opened.window.show_heard(states.fresh())
    opened.window.activateWindow()
    qtbot.waitUntil(opened.window.isActiveWindow)
    seen: list[QWidget | None] = []
    toggle = opened.window.home._hero.toggle
    for _ in range(20):
        focus = QApplication.focusWidget()
        if focus is toggle:
            break
        seen.append(focus)
        key(focus or opened.window, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is toggle, seen
    key(toggle, Qt.Key.Key_Space)
    key(toggle, Qt.Key.Key_Return)
    assert opened.posted == [OwnerTurnedSharing(True), OwnerTurnedSharing(False)]


def test_the_switch_follows_the_engine(opened: Opened, qtbot: QtBot) -> None:
    toggle = opened.window.home._hero.toggle
    opened.window.show_heard(Silence.STARTING)
    assert not toggle.isEnabled()
    opened.window.show_heard(states.fresh())
    click(toggle)
    assert opened.posted == [OwnerTurnedSharing(True)]
    assert toggle.isChecked()
    opened.window.show_heard(states.fresh())
    assert not toggle.isChecked()


def test_pause_resume_finish_and_dismiss(opened: Opened, qtbot: QtBot) -> None:
    hero = opened.window.home._hero
    opened.window.show_heard(replace(states.working(), notices=(Notice(NoticeKind.TROUBLE, states.NOW, "x"),)))
    before = datetime.now(UTC)
    hero.pause.menu().actions()[0].trigger()
    paused = opened.posted.pop()
    assert isinstance(paused, OwnerSnoozed)
    assert paused.until is not None
    assert timedelta(minutes=15) <= paused.until - before < timedelta(minutes=16)
    click(hero.finish)
    dismiss = next(button for button in opened.window.home._notice.findChildren(QAbstractButton) if button.isVisible())
    click(dismiss)
    opened.window.show_heard(states.snoozed())
    click(hero.resume)
    assert opened.posted == [OwnerAskedFinish(), OwnerDismissedNotices(), OwnerSnoozed(None)]


def test_a_locked_wallet_is_one_click_away(opened: Opened) -> None:
    hero = opened.window.home._hero
    opened.window.show_heard(states.working())
    assert hero.unlock.isHidden()
    opened.window.show_heard(states.locked(new=True))
    click(hero.unlock)
    assert opened.window.wallet.isVisible()
    assert opened.window.wallet.unlock.isVisible()


def test_nothing_jumps_when_a_task_comes_or_goes(opened: Opened, qtbot: QtBot) -> None:
    """The cards of Home keep their places through everything but a notice, which comes at the foot."""
    home = opened.window.home

    def places() -> list[QRect]:
        qtbot.wait(1)
        return [card.geometry() for card in (home._hero, home._task, home._gpu, *home._stats)]

    opened.window.show_heard(states.fresh())
    first = places()
    for heard in (states.working(), states.working(states.nvidia_gpu()), states.snoozed(), states.troubled(), Silence.LOST):
        opened.window.show_heard(heard)
        assert places() == first


def test_the_practice_label_is_on_every_page(opened: Opened) -> None:
    live = replace(states.fresh(), settings=replace(states.fresh().settings, network="base"))
    for page in (opened.window.home, opened.window.schedule, opened.window.safety, opened.window.wallet):
        opened.window.show_heard(states.fresh())
        assert not page.practice.isHidden()
        opened.window.show_heard(live)
        assert page.practice.isHidden()


def test_the_sidebar_turns_the_pages(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    pages = {"wallet": window.wallet, "safety": window.safety, "signals": window.signals, "schedule": window.schedule, "home": window.home}
    assert set(window.sidebar.buttons) == set(pages)
    for name, page in pages.items():
        click(opened.window.sidebar.buttons[name])
        assert page.isVisible()


def test_small_windows_scroll_instead_of_cutting(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    window.resize(window.minimumSize())
    for page in ("home", "schedule", "safety", "wallet"):
        window.show_page(page)
        window.show_heard(states.cashing(Stage.SENT))
        qtbot.wait(1)
        qtbot.waitUntil(lambda: window.width() <= 640 and window.height() <= 400, timeout=20_000)


def test_copying_the_address(opened: Opened, qtbot: QtBot) -> None:
    opened.window.show_page("wallet")
    opened.window.show_heard(states.seasoned())
    button = opened.window.wallet._purse.copy
    width = button.width()
    click(button)
    assert QGuiApplication.clipboard().text() == states.ADDRESS
    assert button.text() == "Copied"
    assert button.width() == width
    qtbot.waitUntil(lambda: button.text() == "Copy address", timeout=20_000)


def test_the_qr_code_is_the_address(opened: Opened) -> None:
    """Decoding needs a camera; encoding again with the library must give the same modules, with four of white around."""
    from qrcode.main import QRCode

    opened.window.show_heard(states.seasoned())
    modules = opened.window.wallet._purse._qr.modules
    code = QRCode(border=4)
    code.add_data(states.ADDRESS)
    code.make(fit=True)
    assert modules == code.get_matrix()
    assert not any(any(line) for line in modules[:4])
