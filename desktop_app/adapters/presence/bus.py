"""One connection to a D-Bus, on which several services are asked at once and nobody is waited for longer than a look may take.

A bus or a service that hangs, dies or talks nonsense is an answer that is missing; whoever hung is left alone for a while
that grows. Nothing on the bus is ever started by being asked: only names that somebody owns are asked, and without
auto-start. `jeepney` writes and reads the messages; its own connections wait without limits, so the socket is held here.
Used by `presence.services`.
"""

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jeepney import DBusAddress, HeaderFields, MatchRule, Message, MessageFlag, MessageType, Parser, new_method_call
from jeepney.auth import BEGIN, make_auth_external
from jeepney.bus import get_connectable_addresses
from jeepney.bus_messages import message_bus

Body = tuple[object, ...]

STALE_S = 1.0  # an older answer is none, and who has not answered by then hangs
PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
_SEND_S = 0.005
_MOST_MESSAGE, _MOST_GREETING = 256 << 10, 200
_READ = 4096  # so little at once that the clock is looked at between two reads, however long the parser takes
_MOST_READING_S = 0.008  # of the processor's time: a thread that was kept waiting for it has not been talked at
_SERIAL_AT, _SERIAL_BYTES = 8, 4  # where a message carries its number
_PROPERTIES = "org.freedesktop.DBus.Properties"
_CAME_OR_WENT, _OWNER, _CHANGED = "NameOwnerChanged", "GetNameOwner", "PropertiesChanged"


@dataclass(frozen=True, slots=True)
class Question:
    """A method of a service without consequences, by which it is asked.

    An answer is kept for `keep_s` seconds without asking again, unless the object says that its properties changed.
    """

    service: str
    path: str
    interface: str
    method: str
    signature: str = ""
    arguments: tuple[str, ...] = ()
    keep_s: float = 0.0


def property_of(service: str, path: str, interface: str, name: str, keep_s: float = 0.0) -> Question:
    """The question for one property."""
    return Question(service, path, _PROPERTIES, "Get", "ss", (interface, name), keep_s)


def all_properties_of(service: str, path: str, interface: str, keep_s: float = 0.0) -> Question:
    """The question for all of an interface's properties."""
    return Question(service, path, _PROPERTIES, "GetAll", "s", (interface,), keep_s)


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
        return {one: self._answers[one][0] for one in questions if self._answered(one, STALE_S)}

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
            line = self._line = _Line(self._address)
            for name in self._services:
                came_or_went = MatchRule(type="signal", sender=message_bus.bus_name, member=_CAME_OR_WENT)
                came_or_went.add_arg_condition(0, name)
                line.write(message_bus.AddMatch(came_or_went))
                line.write(message_bus.AddMatch(MatchRule(type="signal", sender=name, interface=_PROPERTIES, member=_CHANGED)))
                self._write(line, Question(message_bus.bus_name, message_bus.object_path, message_bus.interface, _OWNER, "s", (name,)))
            line.flush()
        except Exception:  # no such bus, not ours, too slow, or it talks nonsense
            self.close()
            self._pause.failed()
            return None
        return line

    def _answered(self, question: Question, within: float) -> bool:
        return question in self._answers and time.monotonic() - self._answers[question][1] <= question.keep_s + within

    def _write(self, line: "_Line", question: Question) -> None:
        self._asked[line.write_again(question)] = (question, time.monotonic())

    def _exchange(self, line: "_Line", questions: Sequence[Question], until: float) -> None:
        begun = time.thread_time()
        while line.has_more(0):  # what came since the last look: late answers, and who came and went
            self._take(line.read())
            if time.thread_time() - begun > _MOST_READING_S:
                raise ValueError("more than anybody has to say")
        # looked at before listening: where we ourselves stood still, the answers to the newer ones are only on their way
        late = [serial for serial, (_, at) in self._asked.items() if time.monotonic() - at > STALE_S]
        pending = {question for question, _ in self._asked.values()}
        if any(question.method == _OWNER for question in pending):
            self._collect(line, until)  # just opened: nobody is known yet
        for question in questions:
            asked = question in pending or (question.keep_s and self._answered(question, 0.0))
            if not asked and question.service in self._owned and self._services[question.service].over():
                self._write(line, question)
        line.flush()
        self._collect(line, until)
        self._give_up(late)

    def _collect(self, line: "_Line", until: float) -> None:
        while self._asked and (left := until - time.monotonic()) > 0 and line.has_more(left):
            self._take(line.read())

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message.header.message_type is MessageType.signal:
                self._hear(message)
                continue
            question, _ = self._asked.pop(message.header.fields.get(HeaderFields.reply_serial, -1), (None, 0.0))
            if question is None:
                continue
            if message.header.message_type is not MessageType.method_return:
                self._answers.pop(question, None)  # refused now, so what it said before no longer holds
                continue
            self._pause.succeeded()
            if question.service == message_bus.bus_name:
                self._owned.add(question.arguments[0])
            else:
                self._services[question.service].succeeded()
                self._answers[question] = (message.body, time.monotonic())

    def _hear(self, message: Message) -> None:
        fields = message.header.fields
        if fields.get(HeaderFields.member) == _CHANGED:
            self._forget(lambda question: question.path == fields.get(HeaderFields.path))
        elif fields.get(HeaderFields.member) == _CAME_OR_WENT and fields.get(HeaderFields.sender) == message_bus.bus_name:
            name, _, owner = message.body
            if name in self._services and owner:
                self._owned.add(name)
            else:
                self._owned.discard(name)
                self._forget(lambda question: question.service == name)

    def _forget(self, outdated: Callable[[Question], bool]) -> None:
        self._answers = {question: answer for question, answer in self._answers.items() if not outdated(question)}

    def _give_up(self, late: Sequence[int]) -> None:
        """Who was asked long ago and still is silent hangs: leave the service alone; where the bus itself hangs, come back later."""
        for serial in self._asked.keys() & set(late):
            question, _ = self._asked.pop(serial)
            if question.service == message_bus.bus_name:
                raise TimeoutError
            self._services[question.service].failed()


class _Line:
    """The socket; what it says is bounded. The greeting goes out with the first questions, and is waited for like their answers."""

    def __init__(self, address: str) -> None:
        self._parser = Parser()
        self._greeting: bytearray | None = bytearray()
        self._serial = 0
        self._unsent = bytearray(b"\0" + make_auth_external() + BEGIN)
        self._written: dict[Question, bytes] = {}
        self._poll = select.poll()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_SEND_S)
            self._socket.connect(next(get_connectable_addresses(address)))
            self._poll.register(self._socket, select.POLLIN)
            self.write(message_bus.Hello())
        except BaseException:
            self.close()
            raise

    def write(self, message: Message) -> int:
        """Its number; sent with the next flush."""
        self._serial += 1
        message.header.flags |= MessageFlag.no_auto_start
        self._unsent += message.serialise(serial=self._serial)
        return self._serial

    def write_again(self, question: Question) -> int:
        """Like `write`, quicker for what is asked at every look: only the number changes."""
        if question not in self._written:
            address = DBusAddress(question.path, question.service, question.interface)
            before = len(self._unsent)
            number = self.write(new_method_call(address, question.method, question.signature, question.arguments))
            self._written[question] = bytes(self._unsent[before:])
            return number
        self._serial += 1
        said = self._written[question]
        self._unsent += said[:_SERIAL_AT] + self._serial.to_bytes(_SERIAL_BYTES, "little") + said[_SERIAL_AT + _SERIAL_BYTES :]
        return self._serial

    def flush(self) -> None:
        """Raises OSError where the bus does not take it at once."""
        self._socket.sendall(self._unsent)
        self._unsent.clear()

    def has_more(self, seconds: float) -> bool:
        """Whether there is something to read, or the end, within the time."""
        return bool(self._poll.poll(seconds * 1000))

    def read(self) -> list[Message]:
        """The messages that are whole now. Raises ConnectionResetError at the end, ValueError on too large a message."""
        said = self._socket.recv(_READ)
        if not said:
            raise ConnectionResetError
        if self._greeting is not None:
            said = self._greeted(self._greeting + said)
        self._parser.add_data(said)
        messages = []
        while (message := self._parser.get_next_message()) is not None:
            messages.append(message)
        if self._parser.bytes_desired() > _MOST_MESSAGE:
            raise ValueError("a message larger than any answer")
        return messages

    def _greeted(self, said: bytearray) -> bytes:
        """What follows the line in which the bus accepts this account."""
        greeting, end, rest = bytes(said).partition(b"\r\n")
        if len(greeting) > _MOST_GREETING or (end and not greeting.startswith(b"OK")):
            raise ValueError("not a bus, or not ours")
        self._greeting = None if end else said
        return rest

    def close(self) -> None:
        self._socket.close()
