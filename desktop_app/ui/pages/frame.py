"""What every page has: a title, the practice label, and a body that scrolls when the window is small."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from desktop_app.ui.widgets.card import GAP, PracticeLabel
from desktop_app.ui.widgets.text import Text, Tone


class Page(QWidget):
    """An empty page; put widgets into `body`."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(title)
        self.practice = PracticeLabel()
        self.practice.hide()
        head = QHBoxLayout()
        head.setContentsMargins(3 * GAP, 2 * GAP, 3 * GAP, 0)
        head.addWidget(Text(Tone.TITLE, title))
        head.addStretch()
        head.addWidget(self.practice)
        inside = QWidget()
        self.body = QVBoxLayout(inside)
        self.body.setContentsMargins(3 * GAP, GAP, 3 * GAP, 2 * GAP)
        self.body.setSpacing(GAP + 4)
        scroll = QScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(inside)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(GAP)
        box.addLayout(head)
        box.addWidget(scroll)
