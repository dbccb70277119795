"""Nothing that goes wrong in the tray is lost: Qt's warnings and Python's uncaught exceptions go to a small file and to stderr.

Called once, by the shell.
"""

import sys
import time
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

_LIMIT = 1 << 19


class Journal:
    """One file, begun anew when it has grown over half a mebibyte (the one before is kept beside it)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def install(self) -> None:
        """Listen to Qt and to Python."""
        qInstallMessageHandler(self.from_qt)
        sys.excepthook = self.from_python

    def write(self, words: str) -> None:
        """One entry. A disk that takes no more is no reason to stop."""
        entry = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {words.rstrip()}\n"
        if sys.stderr is not None:
            sys.stderr.write(entry)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _LIMIT:
                self._path.replace(self._path.with_suffix(".old"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(entry)
        except OSError:
            return

    def from_qt(self, kind: QtMsgType, context: QMessageLogContext, words: str | None) -> None:
        """Qt's own word; its debug chatter is left out."""
        if kind is not QtMsgType.QtDebugMsg:
            self.write(f"{kind.name}: {words}")

    def from_python(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An exception nobody caught; the tray goes on."""
        self.write("".join(traceback.format_exception(kind, error, trace)))
