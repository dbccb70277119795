"""The local socket's language, spoken between the agent and its guests: the tray and the command line.

Every frame is four bytes of length (big-endian) and that much JSON. A guest may say hello, post an owner's message or hand
over a secret; the agent says hello, publishes snapshots of the state and answers. A secret travels in a frame of its own,
straight to the keys adapter, and never becomes a message, so it never reaches the story. Called by `adapters/link.py`
(the agent's side), `ui/bridge.py` and `cli.py`.
"""

import struct
from dataclasses import dataclass

import msgspec

from desktop_app.core.messages import OwnerMessage
from desktop_app.core.state import State
from desktop_app.wire import codec

VERSION = 1
MAX_FRAME = 1 << 20
MAX_FROM_GUEST = 1 << 16
BEAT_S = 10.0
"""An agent that has nothing to tell says hello again after this time; one that says nothing for three of them hangs."""
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame from either side; from the agent also again, when it has had nothing else to say for a while."""

    version: int
    pid: int


@dataclass(frozen=True, slots=True)
class Post:
    """An owner's message from a guest."""

    message: OwnerMessage


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A passphrase for the keys adapter. It has no repr, so that no log can hold it by accident."""

    purpose: str  # "unlock": open the wallet's operator key; "spend": sign the cash-out about to be confirmed
    secret: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as the agent published it."""

    state: State


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent's word on the last secret: taken or not, and why."""

    ok: bool
    detail: str = ""


Frame = Hello | Post | Secret | Snapshot | Answer


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One frame before its body is parsed."""

    frame: str
    version: int = 0
    pid: int = 0
    message: msgspec.Raw = msgspec.Raw()
    state: msgspec.Raw = msgspec.Raw()
    purpose: str = ""
    secret: str = ""
    ok: bool = False
    detail: str = ""


_decoder = msgspec.json.Decoder(_Envelope)


class BrokenFrame(ValueError):
    """The other side does not speak our language; the connection is closed."""


def encode_hello(pid: int) -> bytes:
    """The opening frame."""
    return _frame(_Envelope(frame="hello", version=VERSION, pid=pid))


def encode_message(message: OwnerMessage) -> bytes:
    """An owner's message as a frame."""
    return _frame(_Envelope(frame="post", message=msgspec.Raw(codec.encode_message(message))))


def encode_secret(purpose: str, secret: str) -> bytes:
    """A passphrase as a frame of its own."""
    return _frame(_Envelope(frame="secret", purpose=purpose, secret=secret))


def encode_snapshot(state: State) -> bytes:
    """The whole state as a frame."""
    return _frame(_Envelope(frame="snapshot", state=msgspec.Raw(codec.encode_state(state))))


def encode_answer(ok: bool, detail: str = "") -> bytes:
    """The agent's word on a secret."""
    return _frame(_Envelope(frame="answer", ok=ok, detail=detail))


class Frames:
    """Cuts a byte stream into frames. Raises BrokenFrame on anything that is not one."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`, in order."""
        self._buffer += data
        frames: list[Frame] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._limit:
                raise BrokenFrame(f"a frame of {length} bytes is over the limit of {self._limit}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            frames.append(_parse(bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return frames


def _frame(envelope: _Envelope) -> bytes:
    body = msgspec.json.encode(envelope)
    if len(body) > MAX_FRAME:
        raise BrokenFrame("a frame grew over its limit")
    return _LENGTH.pack(len(body)) + body


def _parse(body: bytes) -> Frame:
    try:
        envelope = _decoder.decode(body)
        match envelope.frame:
            case "hello":
                return Hello(envelope.version, envelope.pid)
            case "post":
                return Post(codec.decode_owner_message(bytes(envelope.message)))
            case "secret":
                return Secret(envelope.purpose, envelope.secret)
            case "snapshot":
                return Snapshot(codec.decode_state(bytes(envelope.state)))
            case "answer":
                return Answer(envelope.ok, envelope.detail)
    except (ValueError, RecursionError) as error:
        raise BrokenFrame("a frame could not be read") from error
    raise BrokenFrame("a frame of an unknown kind")

