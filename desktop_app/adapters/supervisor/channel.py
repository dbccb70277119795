"""The socket to one worker: whole packets only, parsed at once, in their turn, and no more of them than an honest worker sends.

Used by `hosted`. A packet that is no message, one out of turn, or one too many, is a `Breach`: the worker is killed for it.
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


class Turns:
    """The order in which an honest worker speaks: Hello, Ready, steps that only rise, one last word. It may beat at any time."""

    def __init__(self) -> None:
        self._met = self._ready = self._done = False
        self._step = 0

    def take(self, message: ipc.FromWorker) -> None:
        """Raises Breach when it is not this message's turn."""
        match message:
            case ipc.Hello():
                fits, self._met = not self._met, True
            case ipc.Beat():
                fits = self._met
            case ipc.Ready():
                fits, self._ready = self._met and not self._ready and not self._done, True
            case ipc.Progress() | ipc.Committed():
                fits = self._ready and not self._done
            case ipc.Finished():
                fits, self._done = self._ready and not self._done, True
            case ipc.Failed():
                fits, self._done = self._met and not self._done, True
        if not fits:
            raise Breach("it spoke out of turn")
        if isinstance(message, ipc.Progress):
            if message.step < self._step:
                raise Breach("it went back in its steps")
            self._step = message.step


class Channel:
    """Our end; `worker_fd` is the other, to be inherited and then closed here."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.worker_fd = theirs.detach()
        self._turns = Turns()
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
        if flags & socket.MSG_CTRUNC:  # we take no descriptors: the kernel closed them
            raise Breach("it sent files along with a message")
        try:
            message = ipc.parse_from_worker(frame)
        except ipc.Refused as error:
            raise Breach(f"it sent something that is no message: {error}") from None
        self._turns.take(message)
        return message
