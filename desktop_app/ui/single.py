"""One tray per profile: the first holds a lock and listens; a later one asks it to open its window and leaves.

Called by the shell.
"""

import os
import stat
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from desktop_app.core.errors import AppError

_PATIENCE_MS = 1_000


class OnlyOne(QObject):
    """`called` says that a second tray was started; the window should come up."""

    called = Signal()

    def __init__(self, run: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        _make_private(run)
        self._name = str(run / "tray.sock")
        self._lock = QLockFile(str(run / "tray.lock"))
        self._lock.setStaleLockTime(0)  # a lock is stale when its process is gone, however old it is
        self._server = QLocalServer(self)
        self._server.newConnection.connect(self._knocked)

    def first(self) -> bool:
        """Whether this is the first tray of the profile; if not, the first one was called."""
        if self._lock.tryLock(0):
            QLocalServer.removeServer(self._name)
            self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
            self._server.listen(self._name)
            return True
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        socket.waitForConnected(_PATIENCE_MS)
        socket.abort()
        return False

    def close(self) -> None:
        """Let another tray take over."""
        self._server.close()
        self._lock.unlock()

    @Slot()
    def _knocked(self) -> None:
        while self._server.hasPendingConnections():
            guest = self._server.nextPendingConnection()
            guest.abort()
            guest.deleteLater()
        self.called.emit()


def _make_private(run: Path) -> None:
    """The folder of the sockets, for this user alone."""
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = run.lstat()
    foreign = hasattr(os, "getuid") and (seen.st_uid != os.getuid() or bool(stat.S_IMODE(seen.st_mode) & 0o077))
    if foreign or not stat.S_ISDIR(seen.st_mode):
        raise AppError("The folder for Sublet's socket belongs to somebody else.", f"Remove {run} and start Sublet again.")
