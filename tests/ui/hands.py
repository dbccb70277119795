"""An owner's hands: mouse and keys, through Qt's own test events, with types (pytest-qt's wrappers have none)."""

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
_NO_KEYS = Qt.KeyboardModifier.NoModifier


def click(widget: QWidget, place: QPoint | None = None) -> None:
    """Click in the middle, or at a place."""
    QTest.mouseClick(widget, LEFT, _NO_KEYS, place or widget.rect().center())


def press(widget: QWidget, place: QPoint, button: Qt.MouseButton = LEFT) -> None:
    """Press a button and hold it."""
    QTest.mousePress(widget, button, _NO_KEYS, place)


def move(widget: QWidget, place: QPoint) -> None:
    """Move the pointer."""
    QTest.mouseMove(widget, place)


def release(widget: QWidget, place: QPoint, button: Qt.MouseButton = LEFT) -> None:
    """Let the button go."""
    QTest.mouseRelease(widget, button, _NO_KEYS, place)


def key(widget: QWidget, one: Qt.Key, held: Qt.KeyboardModifier = _NO_KEYS) -> None:
    """Press and release a key."""
    QTest.keyClick(widget, one, held)


def write(widget: QWidget, text: str) -> None:
    """Type a text."""
    QTest.keyClicks(widget, text)
