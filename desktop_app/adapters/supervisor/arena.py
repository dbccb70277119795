"""The owner's side of the arena: sealed shared memory that holds a worker's state when the worker is gone.

The memory can be neither shrunk nor grown by anybody, so that a worker cannot take a page away under the reader. Nothing in
it is believed: a slot is copied first and checked after, on the copy. Used by the worker's session and by `run_sandboxed`.
"""

import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

from desktop_app.wire import arena as layout
from desktop_app.wire import tensors

_CHUNK = 1 << 20
_HEAD = tensors.MOST_HEADER + 4096  # a whole header, and the step behind it


@dataclass(frozen=True, slots=True)
class Copied:
    """A whole state that was copied out of the arena and checked."""

    seq: int
    step: int
    length: int
    sha256: str


class Torn(ValueError):
    """A slot that says it is whole and is not: a liar, or a worker that writes quicker than anybody can read."""


class Arena:
    """One memfd with its gate open, closed to resizing once it is laid out; without sizes that is done later, by `lay_out`."""

    def __init__(self, slot_bytes: int = 0, output_bytes: int = 0) -> None:
        self.layout = layout.Layout(0, 0)
        self.fd = os.memfd_create("sublet-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, layout.PAGE)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # the gate's page stays, whatever a worker does
        self._first_page = mmap.mmap(self.fd, layout.PAGE)
        self._first_page[layout.GATE] = layout.OPEN
        if slot_bytes:
            self.lay_out(slot_bytes, output_bytes)

    def lay_out(self, slot_bytes: int, output_bytes: int) -> None:
        """Give it its size, once and for ever. The worker must not have a task yet. Raises OSError when that was done before."""
        self.layout = layout.Layout(_pages(slot_bytes), _pages(output_bytes))
        os.ftruncate(self.fd, self.layout.total)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.pwrite(self.fd, self.layout.prefix(), 0)

    def close_gate(self) -> None:
        """No micro-step begins after this. A single store: callable from any thread, blocks on nothing."""
        self._first_page[layout.GATE] = layout.CLOSED

    def steps_done(self) -> int:
        """The worker's own word on how many steps it has done; not to be believed without bounds."""
        (done,) = layout.STEPS.unpack_from(self._first_page, layout.STEPS_AT)
        return int(done)

    def newest(self) -> tuple[int, layout.SlotHeader] | None:
        """The slot committed last, as its header says."""
        return layout.newest([self._header(slot) for slot in range(layout.SLOTS)])

    def copy_newest(self, write: Callable[[bytes], object]) -> Copied | None:
        """Copy the newest whole state to `write`, piece by piece, checked on the way; None if there is none yet.

        What was written is valid only when this returns. Raises Torn, or whatever `write` raises (OSError for a full disk).
        """
        found = self.newest()
        return None if found is None else self._copy(*found, write)

    def read_output(self, offset: int, length: int, write: Callable[[bytes], object]) -> str:
        """Copy one output to `write`; its sha256 (hex). ValueError when it lies outside the output region."""
        if offset + length > self.layout.output_bytes:
            raise ValueError("an output lies outside the room for outputs")
        digest = hashlib.sha256()
        for piece in self._pieces(self.layout.output_at + offset, length):
            digest.update(piece)
            write(piece)
        return digest.hexdigest()

    def close(self) -> None:
        """Let go of the memory; it is freed when the last worker that holds it is gone."""
        self._first_page.close()
        os.close(self.fd)

    def _copy(self, slot: int, header: layout.SlotHeader, write: Callable[[bytes], object]) -> Copied:
        digest, head = hashlib.sha256(), b""
        for piece in self._pieces(self.layout.slot_at(slot), header.length):
            digest.update(piece)
            if len(head) < _HEAD:
                head += piece
            write(piece)
        if self._header(slot) != header:
            raise Torn("the state changed while it was copied")
        _check_payload(head, header)
        return Copied(header.seq, header.step, header.length, digest.hexdigest())

    def _pieces(self, at: int, length: int) -> Iterator[bytes]:
        """The bytes of a region, a private copy of each megabyte at a time."""
        end = at + length
        while at < end:
            piece = os.pread(self.fd, min(_CHUNK, end - at), at)
            at += len(piece)
            yield piece

    def _header(self, slot: int) -> layout.SlotHeader | None:
        return layout.parse_header(os.pread(self.fd, layout.HEADER_BYTES, layout.header_at(slot)), self.layout)


def _check_payload(head: bytes, header: layout.SlotHeader) -> None:
    """The copy is a safetensors file, and says itself how many steps it holds."""
    file = BytesIO(head)
    try:
        step = tensors.read_header(file, header.length).get(layout.STEP_TENSOR)
    except tensors.Malformed as error:
        raise Torn(str(error)) from None
    inside = head[file.tell() + step.begin :][:8] if step and step.dtype == "I64" and step.shape == () else b""
    if len(inside) < 8 or int.from_bytes(inside, "little", signed=True) != header.step:
        raise Torn("the state and its header differ about the number of steps")


def _pages(count: int) -> int:
    return -(-max(count, 1) // layout.PAGE) * layout.PAGE
