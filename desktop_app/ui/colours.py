"""Colours, all derived from the system's palette so that they follow light and dark, and the five of the tray's faces.

Called by every widget that draws itself.
"""

from PySide6.QtGui import QColor, QPalette

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
    return mix(palette.color(_ROLE.Text), palette.color(_ROLE.Base), 0.36)


def surface(palette: QPalette) -> QColor:
    return palette.color(_ROLE.Base)


def line(palette: QPalette) -> QColor:
    """For borders and dividers."""
    return mix(palette.color(_ROLE.Window), palette.color(_ROLE.WindowText), 0.16)


def track(palette: QPalette) -> QColor:
    """For the empty part of a bar."""
    return mix(palette.color(_ROLE.Base), palette.color(_ROLE.Text), 0.12)


def accent(palette: QPalette) -> QColor:
    return palette.color(_ROLE.Accent)


def on_accent(palette: QPalette) -> QColor:
    return palette.color(_ROLE.HighlightedText)


def is_dark(palette: QPalette) -> bool:
    return palette.color(_ROLE.Window).lightness() < palette.color(_ROLE.WindowText).lightness()


def wrong(palette: QPalette) -> QColor:
    """For an error beside a field."""
    return QColor("#ff8a8a") if is_dark(palette) else QColor("#b3202a")
