"""The talk between tray and engine: a local socket that reconnects by itself, and one signal for all that is heard.

Called by the shell. Nothing is queued while the engine is away: a click must not come true minutes later.
"""

import os
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtNetwork import QLocalSocket

from desktop_app.core.messages import OwnerMessage
from desktop_app.ui.present import Reply, Silence
from desktop_app.wire import link

_FIRST_WAIT_MS, _LONGEST_WAIT_MS, _SLOW_START = 100, 3_000, 12  # the last in failed attempts: about half a minute


class Bridge(QObject):
    """`heard` gives a State, a Reply, or the Silence there is instead (again after every attempt that failed)."""

    heard = Signal(object)

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path, self._frames = str(path), link.Frames()
        self._failures, self._met, self._strange = 0, False, False
        self._socket, self._retry = QLocalSocket(self), QTimer(self, singleShot=True)
        self._retry.timeout.connect(self.connect_now)
        self._hush = QTimer(self, singleShot=True, interval=round(3_000 * link.BEAT_S))  # who hangs still holds the line
        self._hush.timeout.connect(self._socket.abort)
        self._socket.connected.connect(lambda: self._write(link.encode_hello(os.getpid())))
        self._socket.readyRead.connect(self._read)
        for end in (self._socket.disconnected, self._socket.errorOccurred):
            end.connect(self._lost)

    def connect_now(self) -> None:
        """Try to reach the engine; tries again by itself until it answers."""
        self._frames, self._strange = link.Frames(), False
        self._socket.connectToServer(self._path)
        self._hush.start()

    def post(self, message: OwnerMessage) -> None:
        """Send the owner's message, if the engine is there."""
        self._write(link.encode_message(message))

    def confide(self, purpose: str, secret: str) -> None:
        """Send a passphrase in a frame of its own."""
        self._write(link.encode_secret(purpose, secret))

    def _write(self, frame: bytes) -> None:
        if self._socket.state() is QLocalSocket.LocalSocketState.ConnectedState:
            self._socket.write(frame)
            self._socket.flush()

    def _read(self) -> None:
        self._hush.start()
        try:
            for frame in self._frames.feed(bytes(self._socket.readAll().data())):
                self._take(frame)
        except link.BrokenFrame:
            self._socket.abort()

    def _take(self, frame: link.Frame) -> None:
        match frame:
            case link.Hello(version):
                self._strange = version != link.VERSION
            case link.Snapshot(state) if not self._strange:
                self._failures, self._met = 0, True
                self.heard.emit(state)
            case link.Answer(ok, detail):
                self.heard.emit(Reply(ok, detail))
        if self._strange:
            self.heard.emit(Silence.OTHER_VERSION)

    def _lost(self) -> None:
        if not self._retry.isActive():
            self._retry.start(min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS * 2**self._failures))
            self._failures = min(self._failures + 1, _SLOW_START)
            self.heard.emit(Silence.LOST if self._met or self._failures == _SLOW_START else Silence.STARTING)
