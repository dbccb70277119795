"""Labels in five sizes. Always plain text: what a task or the market says must never be read as markup.

Called by every page.
"""

from enum import Enum

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFont, QPalette, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from desktop_app.ui import colours


class Tone(Enum):
    """How loud a text is: its size as a share of the system font, its weight, and its ink."""

    TITLE = (1.6, QFont.Weight.DemiBold, "full")
    FIGURE = (1.4, QFont.Weight.DemiBold, "full")
    HEADING = (1.0, QFont.Weight.DemiBold, "full")
    BODY = (1.0, QFont.Weight.Normal, "full")
    CAPTION = (0.92, QFont.Weight.Normal, "muted")
    WRONG = (0.92, QFont.Weight.Normal, "wrong")


def embolden(widget: QWidget, strong: bool) -> None:
    """Write what must not be overlooked in a heavier hand."""
    font = widget.font()
    font.setWeight(QFont.Weight.DemiBold if strong else QFont.Weight.Normal)
    widget.setFont(font)


class Text(QLabel):
    """A label of one tone. `lines` > 1 wraps and keeps the height of that many lines, so that nothing jumps."""

    def __init__(self, tone: Tone, text: str = "", lines: int = 1, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tone = tone
        self.setTextFormat(Qt.TextFormat.PlainText)
        scale, weight, _ = tone.value
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * scale)
        font.setWeight(weight)
        self.setFont(font)
        self._lines = lines
        if lines > 1:
            self.setWordWrap(True)
            self.setAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignTop)
            self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._tint()
        self.setText(text)
        self._fit()

    def say(self, text: str) -> None:
        """Change the text, if it is another."""
        if text != self.text():
            self.setText(text)
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:
        """A wrapping text takes the width it is given."""
        hint = super().sizeHint()
        return hint if self._lines == 1 else QSize(120, self.minimumHeight())

    def _fit(self) -> None:
        """Room for the promised lines also when there is less to say (an empty label has no height), and for more if need be."""
        room = self.fontMetrics().lineSpacing() * self._lines
        if self._lines == 1:
            self.setMinimumHeight(room)
        else:
            self.setFixedHeight(max(room, self.heightForWidth(self.width()) if self.text() else 0))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.ParentChange):
            self._tint()

    def _tint(self) -> None:
        """Muted and error texts take their colour from the palette around them, and again when it changes."""
        if self._tone.value[2] == "full":
            return
        parent = self.parentWidget()
        around = QPalette() if parent is None else parent.palette()
        wanted = colours.wrong(around) if self._tone is Tone.WRONG else colours.muted(around)
        mine = self.palette()
        if mine.color(QPalette.ColorRole.WindowText) != wanted:
            mine.setColor(QPalette.ColorRole.WindowText, wanted)
            self.setPalette(mine)


class Paragraph(Text):
    """As many lines as it takes and no more: for what is read at rest, where room kept for longer words would look like a hole."""

    def __init__(self, tone: Tone, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(tone, text, lines=2, parent=parent)

    def _fit(self) -> None:
        self.setMinimumHeight(0)  # a label never says that it needs less than its minimum
        self.setFixedHeight(max(self.fontMetrics().lineSpacing(), self.heightForWidth(self.width()) if self.text() else 0))
