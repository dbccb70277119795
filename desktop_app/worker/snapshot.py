"""The worker's side of the arena: the gate, and a state written so that it is whole whenever the worker is killed.

Called by `worker.main` between micro-steps. The layout and the promise are in `wire.arena`.
"""

import math
import mmap
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from desktop_app.wire import arena

COST = 0.005
"""The share of the time that committing may take: half of the one per cent promised, since steps and copies vary."""

WISHED = 0.009
"""The same, for a task that asks for more checkpoints than that."""

OFTEN_S = 0.25
"""Seconds of work between two commits that cost next to nothing: losing less than that is not worth even so little."""

_FIRST_BYTES_PER_S = 1e9  # into memory that nobody wrote to before

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Commit:
    """A state that lies whole in a slot, and what it cost."""

    slot: int
    seq: int
    step: int
    seconds: float


class Arena:
    """The inherited memory of this worker. Used by one thread."""

    def __init__(self, descriptor: int) -> None:
        with mmap.mmap(descriptor, arena.PAGE) as first_page:
            self._layout = arena.layout_of(first_page[:64])
        self._memory = mmap.mmap(descriptor, self._layout.total)
        self._seq = 0
        self._head = b""
        self._specs: list[arena.TensorSpec] = []
        self._slots: list[dict[str, torch.Tensor]] = []
        self._rows = [0] * arena.SLOTS
        self._written = 0
        self._rooms: list[tuple[memoryview, int]] = []

    def may_begin(self, step: int) -> bool:
        """Before every micro-step, `step` of them done: note it where it outlives this process, and read the gate."""
        arena.STEPS.pack_into(self._memory, arena.STEPS_AT, step)
        return self._memory[arena.GATE] == arena.OPEN

    def commit(self, state: Mapping[str, torch.Tensor], step: int, rows: int | None = None) -> Commit:
        """Write the state after `step` steps into the older slot, its header last. ValueError if it does not fit, or changed its shape.

        `rows` is given of a state that only grows: so many rows of each tensor are written and stay as they are, the rest is zero.
        Then only those are copied that the slot does not hold yet.
        """
        begun = time.perf_counter()
        if not self._specs:
            self._lay_out(state)
        seq, slot = self._seq + 1, (self._seq + 1) % arena.SLOTS
        self._write_header(slot, arena.EMPTY_HEADER)
        self._fill(self._slots[slot], state, step, slice(0 if rows is None else self._rows[slot], rows))
        self._rows[slot] = rows or 0
        self._write_header(slot, arena.pack_header(arena.SlotHeader(seq, step, self._length)))
        self._seq = seq
        return Commit(slot, seq, step, time.perf_counter() - begun)

    def room(self, length: int) -> memoryview:
        """The place of a result file that is written as the work goes on. ValueError when there is none so large."""
        offset = self._reserve(length)
        at = self._layout.output_at + offset
        view = memoryview(self._memory)[at : at + length]
        self._rooms.append((view, offset))
        return view

    def output(self, data: bytes | memoryview) -> tuple[int, int]:
        """Put a result file behind the ones before it, if it does not lie there already; its offset and length.

        ValueError when there is no room.
        """
        for view, offset in self._rooms:
            if view is data:
                return offset, len(view)
        offset = self._reserve(len(data))
        at = self._layout.output_at + offset
        self._memory[at : at + len(data)] = data
        return offset, len(data)

    def _reserve(self, length: int) -> int:
        """The offset of so many bytes behind what is there."""
        offset = self._written
        if offset + length > self._layout.output_bytes:
            raise ValueError(f"the results are larger than the {self._layout.output_bytes} bytes allowed")
        self._written += length
        return offset

    @property
    def _length(self) -> int:
        return len(self._head) + sum(spec.bytes for spec in self._specs)

    def _lay_out(self, state: Mapping[str, torch.Tensor]) -> None:
        """Fix where each tensor lies in a slot, widest items first so that all of them are aligned."""
        specs = [arena.TensorSpec(name, _dtype(name, value), tuple(value.shape)) for name, value in state.items()]
        specs.sort(key=lambda spec: (-state[spec.name].element_size(), spec.name))
        self._specs = [arena.TensorSpec(arena.STEP_TENSOR, "I64", ()), *specs]
        self._head = arena.payload_header(self._specs)
        if self._length > self._layout.slot_bytes:
            raise ValueError(f"a state of {self._length} bytes is larger than the {self._layout.slot_bytes} allowed")
        for slot in range(arena.SLOTS):
            self._slots.append(self._views(slot))

    def _views(self, slot: int) -> dict[str, torch.Tensor]:
        at = self._layout.slot_at(slot)
        self._memory[at : at + len(self._head)] = self._head
        at += len(self._head)
        views = {}
        dtypes = {name: dtype for dtype, name in _DTYPES.items()}
        for spec in self._specs:
            if spec.bytes:
                flat = torch.frombuffer(self._memory, dtype=dtypes[spec.dtype], count=math.prod(spec.shape), offset=at)
                views[spec.name] = flat.view(spec.shape)
            at += spec.bytes
        return views

    def _fill(self, views: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], step: int, part: slice) -> None:
        for spec in self._specs:
            if spec.name == arena.STEP_TENSOR:
                views[spec.name].fill_(step)
                continue
            value = state.get(spec.name)
            if value is None or tuple(value.shape) != spec.shape or _DTYPES.get(value.dtype) != spec.dtype:
                raise ValueError(f"the tensor {spec.name!r} is not what it was at the first commit")
            if spec.bytes:
                _part(views[spec.name], part).copy_(_part(value.detach(), part))
        if len(state) != len(self._specs) - 1:
            raise ValueError("the state has other tensors than at the first commit")

    def _write_header(self, slot: int, raw: bytes) -> None:
        at = arena.header_at(slot)
        self._memory[at : at + len(raw)] = raw


class Cadence:
    """When the next commit is due: after OFTEN_S of work, or later where committing would else take more than COST of the time.

    At the task's own wish, `at_latest` steps after the one before, it may come sooner, as long as it stays below WISHED of the time.
    What the first commit takes is guessed from the bytes that it copies.
    """

    def __init__(self, at_latest: int, first_bytes: int) -> None:
        self._at_latest = max(1, at_latest)
        self._takes = first_bytes / _FIRST_BYTES_PER_S
        self._worked, self._spent = 0.0, 0.0  # seconds in steps, in commits
        self._since, self._steps = 0.0, 0  # after the last commit

    def stepped(self, seconds: float) -> bool:
        """A micro-step took this long; whether a commit is due after it."""
        self._worked += seconds
        self._since += seconds
        self._steps += 1
        wished = self._steps >= self._at_latest
        if not wished and self._since < OFTEN_S:
            return False
        share = WISHED if wished else COST
        return self._spent + self._takes <= share * self._worked and self._takes <= share * self._since

    def committed(self, seconds: float) -> None:
        """A commit took this long."""
        self._takes, self._since, self._steps = seconds, 0.0, 0
        self._spent += seconds


def _part(tensor: torch.Tensor, rows: slice) -> torch.Tensor:
    return tensor if rows == slice(0, None) else tensor[rows]  # a scalar has no rows


def _dtype(name: str, value: torch.Tensor) -> str:
    found = _DTYPES.get(value.dtype)
    if found is None:
        raise ValueError(f"the tensor {name!r} has a type that cannot be committed: {value.dtype}")
    return found
