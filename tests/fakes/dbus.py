"""A D-Bus for tests: a real dbus-daemon of the test's own, and services on it that say what the test wants.

The daemon's place is the test's folder; nothing of it reaches the bus of whoever runs the tests. A `Service` answers from a
table, keeps what it was asked, and can fall silent.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

PATIENCE_S = 30.0  # with a bus of our own, which answers: only so that a run ends

Answer = tuple[str, tuple[object, ...]]
"""Signature and body."""

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


class FakeBus:
    """The daemon; `address` is what a process needs to reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix:path={folder / 'bus'}"
        self._config = folder / "bus.conf"
        (folder / "services").mkdir()
        self._config.write_text(_CONFIG.format(socket=folder / "bus", services=folder / "services"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Up when this returns."""
        (self.folder / "bus").unlink(missing_ok=True)
        command = ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--print-address=1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the bus did not start"

    def stop(self) -> None:
        """Dead when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def hang(self, hung: bool) -> None:
        """Stop the daemon in its tracks, or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if hung else signal.SIGCONT)

    def can_start(self, name: str, command: str) -> None:
        """A service that the daemon would start for whoever asks it."""
        text = f"[D-BUS Service]\nName={name}\nExec={command}\n"
        (self.folder / "services" / f"{name}.service").write_text(text)


class Service:
    """One name on a bus. `answers` maps a method, or `Interface.Property`, to what it says; an exception is an error reply."""

    def __init__(self, bus: FakeBus, name: str, answers: dict[str, Answer | None]) -> None:
        self.name = name
        self.answers = answers
        self.silent = False
        self.asked: list[tuple[str, tuple[object, ...]]] = []
        self.on_call: Callable[[Message], Answer | None] = lambda _message: None
        self.gone: list[str] = []  # clients that left the bus
        self.handed: list[int] = []  # descriptors to close once they are handed out
        self._connection: DBusConnection = open_dbus_connection(bus.address, enable_fds=True, auth_timeout=PATIENCE_S)
        self._end = threading.Event()
        self._call(message_bus.AddMatch("type='signal',member='NameOwnerChanged',arg2=''"))
        self._call(message_bus.RequestName(name))
        self._thread = threading.Thread(target=self._serve, name=f"service {name}")
        self._thread.start()

    def changed(self, path: str, interface: str) -> None:
        """Say that some property of an object changed."""
        signal_ = new_signal(
            DBusAddress(path, interface="org.freedesktop.DBus.Properties"), "PropertiesChanged", "sa{sv}as", (interface, {}, [])
        )
        self._connection.send(signal_)

    def leave(self) -> None:
        """Gone from the bus when this returns. Twice is once."""
        self._end.set()
        self._thread.join()
        self._connection.close()

    def _call(self, message: Message) -> None:
        self._connection.send_and_get_reply(message, timeout=PATIENCE_S)

    def _serve(self) -> None:
        while not self._end.is_set():
            with suppress(TimeoutError, OSError):
                message = self._connection.receive(timeout=0.05)
                if (
                    message.header.message_type is MessageType.signal
                    and message.header.fields.get(HeaderFields.member) == "NameOwnerChanged"
                ):
                    self.gone.append(message.body[0])
                if message.header.message_type is MessageType.method_call and not self.silent:
                    self._connection.send(self._reply(message))
                    while self.handed:
                        os.close(self.handed.pop())

    def _reply(self, message: Message) -> Message:
        fields = message.header.fields
        member = fields[HeaderFields.member]
        self.asked.append((member, message.body))
        answer = self.on_call(message) or self._answer(fields[HeaderFields.path], member, message.body)
        if answer is None:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
        return new_method_return(message, *answer)

    def _answer(self, path: str, member: str, body: tuple[object, ...]) -> Answer | None:
        if member == "Get":
            found = self.answers.get(f"{path} {body[0]}.{body[1]}") or self.answers.get(f"{body[0]}.{body[1]}")
            return found and ("v", ((found[0], found[1][0]),))
        if member == "GetAll":
            mine = {key.rpartition(".")[2]: one for key, one in self.answers.items() if one and key.startswith(f"{path} {body[0]}.")}
            return ("a{sv}", ({key: (one[0], one[1][0]) for key, one in mine.items()},)) if mine else None
        return self.answers.get(member)


@contextmanager
def fake_bus(folder: Path) -> Iterator[FakeBus]:
    """A bus of its own in `folder`, gone with the block."""
    folder.mkdir()
    bus = FakeBus(folder)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()


@contextmanager
def service(bus: FakeBus, name: str, **answers: Answer | None) -> Iterator[Service]:
    """A service that is there for the length of the block."""
    one = Service(bus, name, dict(answers))
    try:
        yield one
    finally:
        one.leave()
