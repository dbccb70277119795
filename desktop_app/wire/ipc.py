"""What the supervisor and the worker in its sandbox say to each other: one msgpack message per packet, both ways.

The worker is not trusted: what it sends is parsed here into a type with bounds on every string, list and number, and
anything else is `Refused`, which the supervisor answers with a kill. Called by the supervisor adapter and by `worker.main`.
"""

import math
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

FRAME_LIMIT = 64 * 1024
"""Bytes in one packet; a longer one is refused unread."""

PROTOCOL = 1

_T = TypeVar("_T")

_MS_LIMIT = 86_400_000.0  # a day; what a worker says beyond it is cut to it

Count = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
SandboxPath = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2_000)]
Number = int | float | Annotated[str, Meta(max_length=4_000)]
Role = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
Metric = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.]{0,59}\Z")]

_LENGTH_BYTES = 4
_TAG_FIRST = b"\xa1t"


class Refused(ValueError):
    """A packet that is not a message of this protocol; the text says why and quotes nothing from it."""


class _Packet(Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag=str.lower):
    """Base of both families: the type's name travels in `t`, unknown fields are an error."""


class Load(_Packet, frozen=True):
    """Supervisor to worker: the task. `inputs` maps roles to paths inside the sandbox; `checkpoint` is such a path or None.

    `checkpoint_every` is the number of steps after which the state is committed at the latest. `data_mb`, unless 0, is the
    bound on private memory that a worker which was started without a task sets itself before it reads anything of the task.
    """

    kind: Name
    inputs: Annotated[dict[Name, SandboxPath], Meta(max_length=64)]
    params: Annotated[dict[Name, Number], Meta(max_length=200)]
    seed: int
    steps: Count
    first_step: Count
    checkpoint: SandboxPath | None
    checkpoint_every: Count
    data_mb: Count = 0


class Yield(_Packet, frozen=True):
    """Supervisor to worker: the gate is closed. The gate is what counts; this wakes a worker that is not looking at it."""


class Hello(_Packet, frozen=True):
    """Worker to supervisor: alive, and able to speak `proto`."""

    proto: Count
    pid: Count
    engine: Annotated[str, Meta(max_length=100)]


class Ready(_Packet, frozen=True):
    """The task is loaded; the first step begins."""


class Beat(_Packet, frozen=True):
    """From a thread of its own, every second: the process lives."""


class Progress(_Packet, frozen=True):
    """`step` of `of` are done. `step_ms` is the duration of a recent step."""

    step: Count
    of: Count
    loss: float | None
    step_ms: float | None


class Committed(_Packet, frozen=True):
    """The gate was seen closed, and the state after `step` steps lies whole in `slot` under `seq`."""

    slot: Annotated[int, Meta(ge=0, le=1)]
    seq: Count
    step: Count


class OutputFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One result: where its bytes lie in the arena's output region."""

    role: Role
    format: Literal["safetensors", "jsonl"]
    offset: Count
    length: Count


class Finished(_Packet, frozen=True):
    """All steps are done and every output lies in the arena."""

    files: Annotated[list[OutputFile], Meta(max_length=16)]
    metrics: Annotated[dict[Metric, float], Meta(max_length=64)]


class Failed(_Packet, frozen=True):
    """The task cannot go on: `kind` is the class of the trouble, `detail` what was seen."""

    kind: Annotated[str, Meta(max_length=60)]
    detail: Text


ToWorker = Load | Yield
FromWorker = Hello | Ready | Beat | Progress | Committed | Finished | Failed

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def pack(message: ToWorker | FromWorker) -> bytes:
    """One packet. Refused when it would be longer than a packet may be."""
    frame = _encoder.encode(message)
    if len(frame) > FRAME_LIMIT:
        raise Refused(f"a message of {len(frame)} bytes does not fit a packet of {FRAME_LIMIT}")
    return frame


def framed(frame: bytes) -> bytes:
    """A packet for a stream that keeps no borders between packets: its length in four bytes, little endian, then itself."""
    return len(frame).to_bytes(_LENGTH_BYTES, "little") + frame


class Packets:
    """Cuts such a stream, a pipe on Windows, into packets again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that `data` completes. Raises Refused for one that is empty or too long, before it has arrived."""
        self._buffer += data
        found = []
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "little")
            if not 0 < length <= FRAME_LIMIT:
                raise Refused(f"a packet of {length} bytes")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            found.append(bytes(self._buffer[_LENGTH_BYTES:end]))
            del self._buffer[:end]
        return found


def parse_from_worker(frame: bytes) -> FromWorker:
    """What a worker said, its numbers cut to sane ranges and its words to what can be shown. Raises Refused for anything else."""
    message = _parse(_from_worker, frame)
    match message:
        case Progress(step, of, loss, step_ms):
            return Progress(min(step, of), of, _finite(loss), _duration(step_ms))
        case Finished(files, metrics):
            return Finished(files, {name: value for name, value in metrics.items() if math.isfinite(value)})
        case Hello(proto, pid, engine):
            return Hello(proto, pid, _shown(engine))
        case Failed(kind, detail):
            return Failed(_shown(kind), _shown(detail))
        case _:
            return message


def parse_to_worker(frame: bytes) -> ToWorker:
    """What the supervisor said. Raises Refused for anything else."""
    return _parse(_to_worker, frame)


def _parse(decoder: "msgspec.msgpack.Decoder[_T]", frame: bytes) -> _T:
    if not frame or len(frame) > FRAME_LIMIT:
        raise Refused(f"a packet of {len(frame)} bytes")
    if not frame.startswith(_TAG_FIRST, 1):
        # else the decoder would read through the fields before it, as deep as they are nested, on the stack of this thread
        raise Refused("not a message: it does not begin with its name")
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"not a message: {type(error).__name__}") from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _shown(text: str) -> str:
    """A stranger's words reach the owner's screen and log: nothing in them may move a cursor or turn the writing around."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text)


def _duration(value: float | None) -> float | None:
    finite = _finite(value)
    return None if finite is None else min(max(finite, 0.0), _MS_LIMIT)
