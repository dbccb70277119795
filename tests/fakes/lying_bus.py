"""A D-Bus that is none: greets like one, or not even that, and then talks nonsense, once or without end. For tests."""

import socket
import threading
from contextlib import suppress
from pathlib import Path


class LyingBus:
    """A socket that greets like a bus and then says whatever it likes, once or without end."""

    def __init__(self, place: Path, *, greets: bool, says: bytes, endless: bool = False) -> None:
        self.address = f"unix:path={place}"
        self.left = threading.Event()  # whoever listened has gone
        self._greets = greets
        self._says = says
        self._endless = endless
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="lying bus")
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(0.5)
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._greets:
                connection.recv(100)
                connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
            connection.sendall(self._says)
            while self._endless:
                connection.sendall(self._says)
            while connection.recv(4096):
                pass
        except TimeoutError:
            return
        except OSError:
            pass
        self.left.set()
