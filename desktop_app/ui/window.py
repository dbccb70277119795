"""The window: a sidebar with five pages, and the engine's state at its foot. Built on first opening, by the shell.

It only arranges; every page draws itself from what was heard last.
"""

from collections.abc import Callable

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QWidget

from desktop_app.core.messages import OwnerMessage
from desktop_app.ui.icons import face_icon
from desktop_app.ui.pages.home import HomePage
from desktop_app.ui.pages.safety import SafetyPage
from desktop_app.ui.pages.schedule import SchedulePage
from desktop_app.ui.pages.signals import SignalsPage
from desktop_app.ui.pages.wallet import WalletPage
from desktop_app.ui.present import Heard, Look
from desktop_app.ui.sidebar import Sidebar
from desktop_app.wire.phrases import say


class Window(QWidget):
    """Home, Schedule, Signals, Safety and Wallet."""

    def __init__(self, post: Callable[[OwnerMessage], None], confide: Callable[[str, str], None]) -> None:
        super().__init__()
        self.setWindowTitle(say("app.name"))
        self.setWindowIcon(face_icon(Look.WORKING))
        self.home = HomePage(post, lambda: self.show_page("wallet"))
        self.schedule, self.signals, self.wallet = SchedulePage(post), SignalsPage(post), WalletPage(post, confide)
        self.safety = SafetyPage()
        self._pages: dict[str, HomePage | SchedulePage | SignalsPage | SafetyPage | WalletPage] = {
            "home": self.home, "schedule": self.schedule, "signals": self.signals, "safety": self.safety, "wallet": self.wallet
        }  # fmt: skip
        self._stack = QStackedWidget()
        self.sidebar = Sidebar(tuple(self._pages), self._picked)
        for page in self._pages.values():
            self._stack.addWidget(page)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(self._stack, 1)
        self.setMinimumSize(560, 360)
        self.resize(self.sizeHint().expandedTo(QSize(880, 640)))
        self.show_page("home")

    def sizeHint(self) -> QSize:
        """As large as the pages like, but never larger than the screen has room for."""
        room = self.screen().availableSize() * 0.95
        return QSize(880, 640).boundedTo(room)

    def show_page(self, name: str) -> None:
        """Turn to a page: "home", "schedule", "signals", "safety" or "wallet"."""
        self.sidebar.buttons[name].setChecked(True)
        self._stack.setCurrentWidget(self._pages[name])

    def show_heard(self, heard: Heard) -> None:
        """Draw what was heard last, on every page, so that turning to one shows no old figures."""
        for page in self._pages.values():
            page.show_heard(heard)
        self.sidebar.show_heard(heard)

    def _picked(self, name: str) -> None:
        self._stack.setCurrentWidget(self._pages[name])
