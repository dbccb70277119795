"""A figure to type or to step, told once it rests. Used on Signals."""

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QSpinBox, QWidget

COALESCE_MS = 400
PATIENCE_MS = 3_000


class NumberField(QSpinBox):
    """`told` gives a value the owner chose; what the engine says meanwhile does not undo it, unless it never agrees."""

    told = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engine = 0
        self._wanted: int | None = None
        self._typing = False
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._soon = QTimer(self, singleShot=True, interval=COALESCE_MS)
        self._soon.timeout.connect(self._tell)
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._give_up)
        self.valueChanged.connect(self._changed)
        self.lineEdit().textEdited.connect(self._typed)
        self.editingFinished.connect(self._typed_out)

    def show_range(self, least: int, most: int) -> None:
        """What may be chosen; nothing is told by it."""
        self.blockSignals(True)
        self.setRange(least, most)
        self.blockSignals(False)

    def show_value(self, value: int) -> None:
        """The engine says this is the value."""
        self._engine = value
        if value == self._wanted:
            self._wanted = None
            self._patience.stop()
        if self._wanted is None and not self._soon.isActive() and not self._typing and value != self.value():
            self._show(value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling the page past this field changes nothing; only a field that was chosen turns."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _show(self, value: int) -> None:
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)

    @Slot()
    def _typed(self) -> None:
        self._typing = True

    @Slot()
    def _typed_out(self) -> None:
        self._typing = False

    @Slot(int)
    def _changed(self, value: int) -> None:
        self._wanted = value
        self._soon.start()

    @Slot()
    def _tell(self) -> None:
        if self._wanted is not None:
            self._patience.start()
            self.told.emit(self._wanted)

    @Slot()
    def _give_up(self) -> None:
        self._wanted = None
        self._show(self._engine)
