"""The socket to one worker: whole packets only, parsed at once, and no more of them than an honest worker sends.

Used by `hosted`. A packet that is no message, or one too many, is a `Breach`: the worker is killed for it.
"""

import socket
import time
from contextlib import suppress

from desktop_app.wire import ipc

PER_SECOND = 50.0
BURST = 100.0
_AT_ONCE = 64


class Breach(Exception):
    """The worker broke the protocol; the text says how."""


class Closed(Exception):
    """The worker's end of the socket is gone."""


class Channel:
    """Our end; `worker_fd` is the other, to be inherited and then closed here."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.worker_fd = theirs.detach()
        self._tokens, self._refilled = BURST, time.monotonic()

    def fileno(self) -> int:
        return self._ours.fileno()

    def send(self, message: ipc.ToWorker) -> None:
        """Never blocks; a worker that does not read misses it."""
        with suppress(OSError):
            self._ours.send(ipc.pack(message))

    def receive(self) -> list[ipc.FromWorker]:
        """What has arrived. Raises Breach, or Closed when nothing more will come."""
        messages: list[ipc.FromWorker] = []
        for _ in range(_AT_ONCE):
            try:
                frame, _, flags, _ = self._ours.recvmsg(ipc.FRAME_LIMIT)
            except BlockingIOError:
                break
            except OSError:
                raise Closed from None
            if not frame:
                if messages:
                    break  # first what was said, at the next call the end
                raise Closed
            messages.append(self._parsed(frame, flags))
        return messages

    def close(self) -> None:
        self._ours.close()

    def _parsed(self, frame: bytes, flags: int) -> ipc.FromWorker:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + PER_SECOND * (now - self._refilled)) - 1
        self._refilled = now
        if self._tokens < 0:
            raise Breach("it sent more messages than it may")
        if flags & socket.MSG_TRUNC:
            raise Breach("it sent a message that is too long")
        try:
            return ipc.parse_from_worker(frame)
        except ipc.Refused as error:
            raise Breach(f"it sent something that is no message: {error}") from None
