"""A QR code drawn by the painter, black on white whatever the theme, because that is what cameras read. Used on Wallet."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.ui import colours
from desktop_app.wire.phrases import say

_SIDE = 148
_QUIET = 4  # modules of white around the code, by ISO/IEC 18004


class QrCode(QWidget):
    """The code of one text; empty until there is one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._modules: list[list[bool]] = []
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(say("wallet.qr"))

    @property
    def modules(self) -> list[list[bool]]:
        """The dark modules by row, with the quiet zone."""
        return self._modules

    def show_text(self, text: str) -> None:
        """Draw another text."""
        if text == self._text:
            return
        self._text = text
        self._modules = _modules(text) if text else []
        self.setAccessibleDescription(text)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(_SIDE, _SIDE)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if not self._modules:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.track(self.palette()))
            painter.drawRoundedRect(self.rect(), 6, 6)
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("white"))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawRoundedRect(self.rect(), 6, 6)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        # whole device pixels per module, so that no edge is blurred
        ratio = self.devicePixelRatioF()
        module = max(1, int(self.width() * ratio / len(self._modules))) / ratio
        margin = (self.width() - module * len(self._modules)) / 2
        margin = int(margin * ratio) / ratio
        painter.setBrush(QColor("black"))
        for row, line in enumerate(self._modules):
            for column, dark in enumerate(line):
                if dark:
                    painter.drawRect(QRectF(margin + column * module, margin + row * module, module, module))


def _modules(text: str) -> list[list[bool]]:
    from qrcode.main import QRCode  # here, since only an opened wallet page needs it

    code = QRCode(border=_QUIET)
    code.add_data(text)
    code.make(fit=True)
    return [[bool(dark) for dark in row] for row in code.get_matrix()]
