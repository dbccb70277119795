"""One connection to a D-Bus, on which several services are asked at once and nobody is waited for longer than a look may take.

A bus or a service that hangs, dies or talks nonsense is an answer that is missing; whoever hung is left alone for a while
that grows. Nothing on the bus is ever started by being asked: only names that somebody owns are asked, and without
auto-start. `jeepney` writes and reads the messages; its own connections wait without limits, so the socket is held here.
Used by `presence.services`.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from jeepney import DBusAddress, HeaderFields, MatchRule, Message, MessageFlag, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, Authenticator
from jeepney.bus import get_connectable_addresses
from jeepney.bus_messages import message_bus

Body = tuple[object, ...]

OPEN_S = 0.025  # for connecting and the greeting, which take a millisecond
STALE_S = 1.0  # an older answer is none, and who has not answered by then hangs
PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
_SEND_S = 0.005
_MOST_MESSAGE = 256 << 10
_READ = 4096  # so little at once that the clock is looked at between two reads, however long the parser takes
_CHANGED, _OWNER = "NameOwnerChanged", "GetNameOwner"


@dataclass(frozen=True, slots=True)
class Question:
    """A method of a service without consequences, by which it is asked."""

    service: str
    path: str
    interface: str
    method: str
    signature: str = ""
    arguments: tuple[str, ...] = ()


def property_of(service: str, path: str, interface: str, name: str) -> Question:
    """The question for one property."""
    return Question(service, path, "org.freedesktop.DBus.Properties", "Get", "ss", (interface, name))


def all_properties_of(service: str, path: str, interface: str) -> Question:
    """The question for all of an interface's properties."""
    return Question(service, path, "org.freedesktop.DBus.Properties", "GetAll", "s", (interface,))


class Pause:
    """How long to leave somebody alone: longer with every failure, nothing after a success."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._length = PAUSE_S

    def over(self) -> bool:
        """Whether it may be tried again."""
        return time.monotonic() >= self._until

    def failed(self) -> None:
        self._until = time.monotonic() + self._length
        self._length = min(self._length * 2, MOST_PAUSE_S)

    def succeeded(self) -> None:
        self._length = PAUSE_S


class Bus:
    """Opened when first asked. `services` are the names it may be asked about."""

    def __init__(self, address: str, services: Sequence[str]) -> None:
        self._address = address
        self._services = {name: Pause() for name in services}
        self._pause = Pause()
        self._line: _Line | None = None
        self._owned: set[str] = set()
        self._asked: dict[int, tuple[Question, float]] = {}
        self._answers: dict[Question, tuple[Body, float]] = {}

    def ask(self, questions: Sequence[Question], until: float) -> dict[Question, Body]:
        """What was answered by `until` (monotonic), or not long ago. Never raises."""
        line = self._line or self._open()
        if line is None:
            return {}
        try:
            self._exchange(line, questions, until)
        except Exception:  # whatever the parser makes of a stranger's bytes: this bus talks nonsense, or is gone
            self.close()
            self._pause.failed()
            return {}
        fresh = time.monotonic() - STALE_S
        return {one: self._answers[one][0] for one in questions if one in self._answers and self._answers[one][1] >= fresh}

    def close(self) -> None:
        """Let go of the bus. Twice is once."""
        if self._line is not None:
            self._line.close()
        self._line = None
        self._owned.clear()
        self._asked.clear()
        self._answers.clear()

    def _open(self) -> "_Line | None":
        if not self._pause.over():
            return None
        try:
            line = self._line = _Line(self._address, time.monotonic() + OPEN_S)
            for name in self._services:
                rule = MatchRule(type="signal", sender=message_bus.bus_name, interface=message_bus.interface, member=_CHANGED)
                rule.add_arg_condition(0, name)
                line.send(message_bus.AddMatch(rule))
                self._send(line, Question(message_bus.bus_name, message_bus.object_path, message_bus.interface, _OWNER, "s", (name,)))
        except Exception:  # no such bus, not ours, too slow, or it talks nonsense
            self.close()
            self._pause.failed()
            return None
        return line

    def _send(self, line: "_Line", question: Question) -> None:
        address = DBusAddress(question.path, question.service, question.interface)
        call = new_method_call(address, question.method, question.signature, question.arguments)
        self._asked[line.send(call)] = (question, time.monotonic())

    def _exchange(self, line: "_Line", questions: Sequence[Question], until: float) -> None:
        while line.has_more(0):  # what came since the last look: late answers, and who came and went
            self._take(line.read())
            if time.monotonic() > until:
                raise ValueError("more than anybody has to say")
        pending = {question for question, _ in self._asked.values()}
        if any(question.method == _OWNER for question in pending):
            self._collect(line, until)  # just opened: nobody is known yet
        for question in questions:
            if question not in pending and question.service in self._owned and self._services[question.service].over():
                self._send(line, question)
        self._collect(line, until)
        self._give_up()

    def _collect(self, line: "_Line", until: float) -> None:
        while self._asked and line.has_more(until - time.monotonic()):
            self._take(line.read())

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message.header.message_type is MessageType.signal:
                self._owner_changed(message)
                continue
            question, _ = self._asked.pop(message.header.fields.get(HeaderFields.reply_serial, -1), (None, 0.0))
            if question is None or message.header.message_type is not MessageType.method_return:
                continue
            self._pause.succeeded()
            if question.service == message_bus.bus_name:
                self._owned.add(question.arguments[0])
            else:
                self._services[question.service].succeeded()
                self._answers[question] = (message.body, time.monotonic())

    def _owner_changed(self, message: Message) -> None:
        fields = message.header.fields
        if fields.get(HeaderFields.sender) != message_bus.bus_name or fields.get(HeaderFields.member) != _CHANGED:
            return
        name, _, owner = message.body
        if name in self._services and owner:
            self._owned.add(name)
        else:
            self._owned.discard(name)
            self._answers = {question: answer for question, answer in self._answers.items() if question.service != name}

    def _give_up(self) -> None:
        """Who was asked long ago hangs: leave the service alone; where the bus itself hangs, come back later."""
        late = [serial for serial, (_, at) in self._asked.items() if time.monotonic() - at > STALE_S]
        for serial in late:
            question, _ = self._asked.pop(serial)
            if question.service == message_bus.bus_name:
                raise TimeoutError
            self._services[question.service].failed()


class _Line:
    """The socket, greeted and open; what it says is bounded."""

    def __init__(self, address: str, until: float) -> None:
        self._parser = Parser()
        self._serial = 0
        self._poll = select.poll()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._greet(next(get_connectable_addresses(address)), until)
        except BaseException:
            self.close()
            raise

    def _greet(self, place: str, until: float) -> None:
        self._limit(until)
        self._socket.connect(place)
        self._socket.sendall(b"\0")
        handshake = Authenticator(inc_null_byte=False)
        for said in handshake:
            self._limit(until)
            self._socket.sendall(said)
            handshake.feed(self._some())
        self._socket.sendall(BEGIN)
        hello = self.send(message_bus.Hello())
        while not any(one.header.fields.get(HeaderFields.reply_serial) == hello for one in self.read()):
            self._limit(until)
        self._poll.register(self._socket, select.POLLIN)
        self._socket.settimeout(_SEND_S)

    def send(self, message: Message) -> int:
        """Its serial number. Raises OSError where the bus does not take it at once."""
        self._serial += 1
        message.header.flags |= MessageFlag.no_auto_start
        self._socket.sendall(message.serialise(serial=self._serial))
        return self._serial

    def has_more(self, seconds: float) -> bool:
        """Whether there is something to read, or the end, within the time."""
        return bool(self._poll.poll(max(seconds, 0) * 1000))

    def read(self) -> list[Message]:
        """The messages that are whole now. Raises ConnectionResetError at the end, ValueError on too large a message."""
        self._parser.add_data(self._some())
        messages = []
        while (message := self._parser.get_next_message()) is not None:
            messages.append(message)
        if self._parser.bytes_desired() > _MOST_MESSAGE:
            raise ValueError("a message larger than any answer")
        return messages

    def _some(self) -> bytes:
        if said := self._socket.recv(_READ):
            return said
        raise ConnectionResetError

    def close(self) -> None:
        self._socket.close()

    def _limit(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
