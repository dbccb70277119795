"""Feeds every parser that a stranger's bytes reach with mutants of valid inputs: `python -m tests.hostile.fuzz [minutes]`.

hypothesis chooses and shrinks the mutants. What comes out may be a value, or the parser's own kind of refusal; anything else
(another exception, more than a second of a processor) is a find and is printed with the bytes that made it. `test_fuzz` runs
a little of it every time, and keeps what was found.
"""

import io
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from desktop_app.adapters.supervisor.arena import Arena, Torn
from desktop_app.adapters.supervisor.channel import Breach, Turns
from desktop_app.core import messages as m
from desktop_app.core.task import Manifest
from desktop_app.wire import arena, ipc, link, market, tensors
from desktop_app.wire.bundle import Refused, parse_manifest
from tests.hostile import mutation
from tests.manifests import NOW, SIGNATURE, signed, written

MOST_S = 1.0
_ROUND = 400

_FROM_WORKER: tuple[ipc.FromWorker, ...] = (
    ipc.Hello(1, 2, "torch 2.13.0"), ipc.Ready(), ipc.Beat(), ipc.Progress(3, 10, 0.5, 7.25), ipc.Committed(1, 9, 3),
    ipc.Finished([ipc.OutputFile("model", "safetensors", 0, 10), ipc.OutputFile("rows", "jsonl", 10, 5)], {"accuracy": 0.97}),
    ipc.Failed("crash", "it broke"),
)  # fmt: skip
_TO_WORKER: tuple[ipc.ToWorker, ...] = (
    ipc.Load("train.classifier/1", {"data": "/in/data"}, {"lr": 0.1, "steps": 5, "name": "x"}, -7, 5, 0, None, 50), ipc.Yield(),
)  # fmt: skip
HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "U8", "shape": [], "data_offsets": [24, 25]},
}
_LAYOUT = arena.Layout(8192, 4096)
_POSTED = market.PostedTask("0d9f3c1a-7e52", written()[1].decode(), SIGNATURE, 100_000)


class Find(AssertionError):
    """A parser did what it must not."""


@dataclass(slots=True)
class Target:
    """One parser: how a mutant is drawn, what is done with it, and what of it may be raised."""

    name: str
    mutants: st.SearchStrategy[Any]
    parse: Callable[[Any], None]
    refusals: tuple[type[Exception], ...] = ()
    inputs: int = 0
    seconds: float = 0.0
    finds: list[str] = field(default_factory=list)

    def check(self, mutant: Any) -> None:
        """Raises Find."""
        self.inputs += 1
        begun = time.thread_time()  # its own: what the machine does meanwhile is no parser's doing
        try:
            self.parse(mutant)
        except self.refusals:
            pass
        except (Exception, RecursionError, MemoryError) as error:
            raise Find(f"{type(error).__name__}: {error!s:.200}; from {mutant!r:.2000}") from error
        took = time.thread_time() - begun
        if took > MOST_S:
            raise Find(f"took {took:.1f} s; from {mutant!r:.2000}")

    def round(self, number: int, examples: int = _ROUND) -> None:
        """Some more mutants; raises Find with the smallest that was found."""
        begun = time.perf_counter()
        wrapped = given(self.mutants)(self.check)
        phases = (Phase.generate, Phase.shrink)
        chosen = settings(
            max_examples=examples, database=None, deadline=None, phases=phases, suppress_health_check=list(HealthCheck), print_blob=False
        )
        try:
            seeded(number)(chosen(wrapped))()
        finally:
            self.seconds += time.perf_counter() - begun


def _texts(seeds: tuple[Any, ...], encode: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """Mutants of trees, encoded; of their bytes; of both."""
    trees = st.builds(mutation.tree, st.sampled_from(seeds), mutation.steps).map(lambda tree: _encoded(encode, tree))
    plain = st.sampled_from([encode(seed) for seed in seeds])
    return trees | st.builds(mutation.raw, plain, mutation.steps) | st.builds(mutation.raw, trees, mutation.steps)


def _encoded(encode: Callable[[Any], bytes], tree: Any) -> bytes:
    try:
        return encode(tree)
    except (ValueError, TypeError, OverflowError, RecursionError):  # no JSON or msgpack can say it
        return b"\xc1"


def _canonical(tree: Any) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def _tree(message: Any) -> Any:
    """A message with its name first, as a tree."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message))


def _manifest(data: bytes) -> None:
    parsed = parse_manifest(data, SIGNATURE, NOW, signed)
    if isinstance(parsed, Refused):
        assert parsed.reason.isprintable() and len(parsed.reason) < 600, "the refusal cannot be shown"
    else:
        assert isinstance(parsed, Manifest) and 0 < parsed.expires - NOW <= 32 * 86_400 and parsed.limits.ram_mb <= 8192


def _header(data: bytes) -> None:
    found = tensors.parse_header(data, 25)
    assert sum(one.end - one.begin for one in found.values()) == 25
    assert all(0 <= one.begin <= one.end <= 25 for one in found.values())


def _file(data: bytes) -> None:
    tensors.read_header(io.BytesIO(data), len(data))


def _from_worker(frames: list[bytes]) -> None:
    turns = Turns()
    for frame in frames:
        message = ipc.parse_from_worker(frame)
        again = ipc.parse_from_worker(ipc.pack(message))
        assert again == message, "what was taken is not taken again"
        if isinstance(message, ipc.Failed):
            assert (message.kind + message.detail).isprintable()
        turns.take(message)


def _pipe(drawn: tuple[bytes, int]) -> None:
    data, number = drawn
    packets = ipc.Packets()
    for piece in mutation.pieces(data, number):
        assert all(0 < len(one) <= ipc.FRAME_LIMIT for one in packets.feed(piece))


def _to_worker(data: bytes) -> None:
    ipc.parse_to_worker(data)


def _arena(data: bytes) -> None:
    header = arena.parse_header(data[: arena.HEADER_BYTES], _LAYOUT)
    assert header is None or (header.seq > 0 and 0 < header.length <= _LAYOUT.slot_bytes)
    arena.newest([header, arena.parse_header(data, _LAYOUT)])
    arena.layout_of(data)


def _slot(data: bytes) -> None:
    """A state as a worker may leave it, copied out of a real arena."""
    with closing(Arena(4096, 4096)) as shared:
        os.pwrite(shared.fd, data[:4096], shared.layout.slot_at(1))
        os.pwrite(shared.fd, arena.pack_header(arena.SlotHeader(1, 3, len(data))), arena.header_at(1))
        copied = shared.copy_newest(bytearray().extend)
        assert copied is None or copied.step == 3


def _frames(drawn: tuple[bytes, int]) -> None:
    data, number = drawn
    frames = link.Frames(link.MAX_FROM_GUEST)
    for piece in mutation.pieces(data, number):
        frames.feed(piece)


def _posted(data: bytes) -> None:
    market.unpack(data, market.PostedTask)
    market.unpack(data, market.VoucherVerdict)


def _sealed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(25)


def _state() -> bytes:
    """What an honest worker's slot holds after three steps."""
    specs = [arena.TensorSpec(arena.STEP_TENSOR, "I64", ()), arena.TensorSpec("w", "F32", (4,))]
    return arena.payload_header(specs) + struct.pack("<q", 3) + bytes(16)


def _resealed(data: bytes) -> bytes:
    """A slot's header with a checksum that is right again, so that the mutant is looked at."""
    return arena.pack_header(arena.SlotHeader(*struct.unpack("<QQQ", data[:24].ljust(24, b"\0"))))


def spoken() -> list[bytes]:
    """What an honest worker says, in packets."""
    return [ipc.pack(one) for one in _FROM_WORKER]


def targets() -> list[Target]:
    """All parsers, with fresh counts."""
    slot = arena.pack_header(arena.SlotHeader(3, 17, 100))
    slots = st.builds(mutation.raw, st.sampled_from([slot, _LAYOUT.prefix()]), mutation.steps)
    piped = st.builds(mutation.raw, st.just(b"".join(map(ipc.framed, spoken()))), mutation.steps)
    headers = _texts((HEADER,), _canonical)
    packets = _texts(tuple(_tree(one) for one in _FROM_WORKER), msgspec.msgpack.encode)
    hello = link.encode_hello(7)
    guests = (hello, link.encode_secret("unlock", "word"), link.encode_answer(True), link.encode_message(m.OwnerTurnedSharing(True)))
    bodies = _texts(tuple(json.loads(one[4:]) for one in guests), _canonical).map(lambda body: struct.pack(">I", len(body)) + body)
    framed = bodies | st.builds(mutation.raw, st.sampled_from([*guests, b"".join(guests)]), mutation.steps)
    manifests = tuple(json.loads(written(kind)[1]) for kind in ("train.classifier/1", "infer.batch/1"))
    return [
        Target("manifest", _texts(manifests, _canonical), _manifest),
        Target("safetensors header", headers, _header, (tensors.Malformed,)),
        Target("safetensors file", st.builds(mutation.raw, headers.map(_sealed), mutation.steps), _file, (tensors.Malformed,)),
        Target(
            "ipc from worker", st.lists(packets | st.sampled_from(spoken()), min_size=1, max_size=5), _from_worker, (ipc.Refused, Breach)
        ),
        Target("ipc to worker", _texts(tuple(_tree(one) for one in _TO_WORKER), msgspec.msgpack.encode), _to_worker, (ipc.Refused,)),
        Target("arena header", slots | slots.map(_resealed), _arena, (tensors.Malformed,)),
        Target("arena slot", st.builds(mutation.raw, st.just(_state()), mutation.steps), _slot, (Torn,)),
        Target("ipc by pipe", st.tuples(piped, st.integers(0, 2**32 - 1)), _pipe, (ipc.Refused,)),
        Target("link frames", st.tuples(framed, st.integers(0, 2**32 - 1)), _frames, (link.BrokenFrame,)),
        Target("posted task", _texts((_tree(_POSTED),), _canonical), _posted),
    ]


def run(minutes: float) -> int:
    """Fuzz all parsers in turn for so long; print the table; the number of finds."""
    end, number = time.monotonic() + 60 * minutes, 0
    all_targets = targets()
    while time.monotonic() < end:
        number += 1
        for target in all_targets:
            try:
                target.round(number)
            except Find as find:
                if len(target.finds) < 20 and str(find) not in target.finds:
                    target.finds.append(str(find))
                    print(f"{target.name}: {find}", flush=True)
    for target in all_targets:
        print(f"{target.name:20} {target.inputs:9} inputs  {target.inputs / target.seconds:7.0f} per second  {len(target.finds)} finds")
    return sum(len(target.finds) for target in all_targets)


if __name__ == "__main__":
    sys.exit(run(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0) != 0)
