"""A line to type into a terminal: whole, wrapped wherever it must be, to be selected by mouse or keys. Used on Safety."""

from math import ceil

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFontDatabase, QFontMetricsF, QResizeEvent, QTextOption
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget


class CommandLine(QPlainTextEdit):
    """As high as its text; Tab leaves it."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setReadOnly(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        self.setTabChangesFocus(True)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def say(self, command: str) -> None:
        """Show another command; a selection stays while it is the same."""
        if command != self.toPlainText():
            self.setPlainText(command)
            self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Such a document counts its height in lines."""
        lines = max(1, round(self.document().size().height()))
        around = 2 * (self.frameWidth() + self.document().documentMargin())
        self.setFixedHeight(ceil(lines * QFontMetricsF(self.font()).lineSpacing() + around) + 1)
