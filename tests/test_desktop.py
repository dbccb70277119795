"""The desktop that tests run on is real: an icon docks in its tray, and a picture of it has colours."""

from pathlib import Path

from PySide6.QtGui import QColor, QGuiApplication, QIcon, QImage, QPixmap
from PySide6.QtWidgets import QSystemTrayIcon
from pytestqt.qtbot import QtBot

from tests.desktop import Desktop


def test_an_icon_docks_and_can_be_seen(desktop: Desktop, qtbot: QtBot, tmp_path: Path) -> None:
    assert QGuiApplication.platformName() == "xcb"
    assert QSystemTrayIcon.isSystemTrayAvailable()
    red = QPixmap(22, 22)
    red.fill(QColor("#ff0000"))
    icon = QSystemTrayIcon(QIcon(red))
    icon.show()
    shot = tmp_path / "shot.png"

    def shown() -> bool:
        desktop.screenshot(shot)
        corner = QImage(str(shot)).copy(1100, 0, 180, 32)
        return any(corner.pixelColor(x, y) == QColor("#ff0000") for x in range(corner.width()) for y in range(corner.height()))

    qtbot.waitUntil(shown, timeout=60_000)
    icon.hide()
