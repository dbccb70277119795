"""The menu of pauses, the same in the tray and on Home."""

from collections.abc import Callable
from datetime import timedelta

from PySide6.QtWidgets import QMenu

from desktop_app.core.snooze import SNOOZES
from desktop_app.ui.present import snooze_label


def add_snoozes(menu: QMenu, choose: Callable[[timedelta | None], None]) -> None:
    """Add one action per pause; `choose` gets its length, or None for until tomorrow."""
    for span in (*SNOOZES, None):
        menu.addAction(snooze_label(span)).triggered.connect(lambda checked=False, span=span: choose(span))
