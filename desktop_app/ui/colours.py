"""Colours, all derived from the system's palette so that they follow light and dark, and the five of the tray's faces.

Called by every widget that draws itself.
"""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QWidget

from desktop_app.ui.present import Look

_ROLE = QPalette.ColorRole

FACES: dict[Look, str] = {
    Look.OFF: "#8b93a1",
    Look.WAITING: "#3f87e5",
    Look.WORKING: "#21985a",
    Look.PAUSED: "#cc7a00",
    Look.PROBLEM: "#dc3d43",
}
"""Middle tones: a panel may be dark or light, and the icon cannot ask."""


def mix(one: QColor, other: QColor, part: float) -> QColor:
    """`part` of `other` (0…1) stirred into `one`."""
    keep = 1 - part
    return QColor(
        round(one.red() * keep + other.red() * part),
        round(one.green() * keep + other.green() * part),
        round(one.blue() * keep + other.blue() * part),
    )


def text(palette: QPalette) -> QColor:
    return palette.color(_ROLE.WindowText)


def muted(palette: QPalette) -> QColor:
    """For explanations; still more than 4.5 : 1 against the background."""
    return mix(palette.color(_ROLE.WindowText), surface(palette), 0.33)


def surface(palette: QPalette) -> QColor:
    """For cards: lifted off the window, and never the colour of the fields that lie on them in the dark."""
    if is_dark(palette):
        return mix(palette.color(_ROLE.Window), palette.color(_ROLE.WindowText), 0.06)
    return palette.color(_ROLE.Base)


def sunken(palette: QPalette) -> QColor:
    """For the sidebar."""
    return mix(palette.color(_ROLE.Window), QColor("black"), 0.18 if is_dark(palette) else 0.05)


def line(palette: QPalette) -> QColor:
    """For borders and dividers."""
    return mix(palette.color(_ROLE.Window), palette.color(_ROLE.WindowText), 0.16)


def track(palette: QPalette) -> QColor:
    """For the empty part of a bar."""
    return mix(surface(palette), palette.color(_ROLE.WindowText), 0.13)


def accent(palette: QPalette) -> QColor:
    return palette.color(_ROLE.Accent)


def is_dark(palette: QPalette) -> bool:
    return palette.color(_ROLE.Window).lightness() < palette.color(_ROLE.WindowText).lightness()


def focus_shows(widget: QWidget) -> bool:
    """Whether to draw a focus ring: for those who move by keys, as the platform's own buttons do."""
    return widget.hasFocus() and widget.window().testAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)


def wrong(palette: QPalette) -> QColor:
    """For an error beside a field."""
    return QColor("#ff8a8a") if is_dark(palette) else QColor("#b3202a")
