"""Where a hostile worker meets the real supervisor: the moves it can make, and what counts as held. Used by `workers`.

After every attack the same supervisor runs an honest task to its end, and no process of the attack may be left.
"""

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil

from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.core import messages as m
from desktop_app.core.state import Trigger
from desktop_app.core.task import Checkpoint
from desktop_app.wire import arena, ipc
from tests.adapters.supervisor_house import House, fake, house
from tests.hostile.attack import Outcome
from tests.leaks import family
from tests.standstill import standstill

Moves = tuple[list[Any], ...]

_SOURCE = Path(__file__).with_name("attacker.py").read_text(encoding="utf-8")
_NO_MOVES = 'json.loads("[]")'
SLOT = 64 << 20  # a quarter of the task's memory
OUTPUT = 4 << 20
STEPS = 200
_WAIT_S = 25.0
_STOPPED_MS = 2_000


def say(message: ipc.FromWorker, times: int = 1) -> list[Any]:
    return ["say", ipc.pack(message).hex(), times]


def tell(name: str, **fields: Any) -> list[Any]:
    """A packet of any fields, its name first."""
    return ["say", msgspec.msgpack.encode({"t": name} | fields).hex()]


def result(role: str = "answer", offset: Any = 0, length: Any = 8, format: str = "jsonl") -> dict[str, Any]:
    return {"role": role, "format": format, "offset": offset, "length": length}


def finish(*files: dict[str, Any], **metrics: Any) -> list[Any]:
    return tell("finished", files=list(files), metrics=metrics)


def state(step: int, size: int = 64) -> bytes:
    """What an honest worker's slot holds after so many steps."""
    specs = [arena.TensorSpec(arena.STEP_TENSOR, "I64", ()), arena.TensorSpec("state", "U8", (size,))]
    return arena.payload_header(specs) + struct.pack("<q", step) + bytes(size)


def commit(payload: bytes, step: int, seq: int = 1, length: int | None = None, crc: int = 0) -> Moves:
    """A slot and its header. `crc` spoils the header's checksum."""
    header = bytearray(arena.pack_header(arena.SlotHeader(seq, step, len(payload) if length is None else length)))
    header[-1] ^= crc
    slot = seq % 2
    return ["poke", f"slot{slot}", 0, payload.hex()], ["poke", "page", arena.header_at(slot), bytes(header).hex()]


HELLO, READY, BEAT = say(ipc.Hello(ipc.PROTOCOL, 1, "x")), say(ipc.Ready()), say(ipc.Beat())
START: Moves = (HELLO, ["hear"], READY)
OUT: list[Any] = ["poke", "out", 0, b'{"a":1}\n'.hex()]
HONEST: Moves = (*START, OUT, say(ipc.Progress(STEPS, STEPS, 0.5, 5.0)), finish(result(), accuracy=0.5))


@contextmanager
def lair(folder: Path, moves: Moves, patience: Patience | None = None) -> Iterator[House]:
    """A supervisor whose next worker makes these moves."""
    with house(folder, fake(script=folder / "attacker.py", patience=patience or Patience())) as home:
        write(folder, moves)
        yield home


def write(folder: Path, moves: Moves) -> None:
    (folder / "attacker.py").write_text(_SOURCE.replace(_NO_MOVES, f"json.loads({json.dumps(moves)!r})"), encoding="utf-8")


def unharmed(home: House) -> str:
    """What is wrong after an attack, or nothing: an honest task runs to its end and leaves nothing behind."""
    write(home.root, HONEST)
    supervisor = home.supervisor
    supervisor._tuning = replace(supervisor._tuning, patience=Patience())  # an honest one may be slow on a slow machine
    supervisor.start(home.lease(task_id="honest"), None)
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        message = home.posted.get(timeout=_WAIT_S)
        if isinstance(message, m.WorkerFailed):
            return f"; then an honest task failed: {message.detail}"
        if isinstance(message, m.WorkerFinished):
            break
    # a sandbox lives as long as anything in it; other tests may keep servers of theirs
    return "; a sandbox was left" if any(map(_is_sandbox, family())) else ""


def _is_sandbox(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it has ended since
        return process.name() == "bwrap"
    return False


def ended(
    words: str, *moves: list[Any], patience: Patience | None = None, blameless: bool = False, or_words: str | None = None
) -> Callable[[Path], Outcome]:
    """Held when the worker is ended with these words (or, where it is a race, those), which can be shown, and everything goes on."""

    def run(folder: Path) -> Outcome:
        with lair(folder, moves, patience) as home:
            home.supervisor.start(home.lease(), None)
            failed = home.until(m.WorkerFailed, _WAIT_S)
            shown = failed.detail.replace("\n", " ").isprintable()
            left = unharmed(home)
            said = words in failed.detail or (or_words is not None and or_words in failed.detail)
            held = said and shown and failed.blameless is blameless and not left
            return Outcome(held, f"ended: {failed.detail[:150]!r}{left}")

    return run


def kept(step: int | None, *moves: list[Any], or_step: int | None = None) -> Callable[[Path], Outcome]:
    """Held when the device comes back soon, with the checkpoint of this step (or, where it is a race, that one) and no other."""

    def run(folder: Path) -> Outcome:
        with lair(folder, moves) as home:
            home.supervisor.start(home.lease(), None)
            home.until(m.WorkerStarted, _WAIT_S)
            home.quiet(0.3)
            back, soon = _back(home)
            found = back.checkpoint.step if back.checkpoint else None
            sane = all(0 <= one.progress.step <= STEPS for one in home.seen if isinstance(one, m.WorkerProgressed))
            left = unharmed(home)
            sane = sane and 0 <= back.record.steps_lost <= STEPS
            seen = f"given back in {back.record.stopped_ms:.0f} ms with the checkpoint of step {found}{left}"
            return Outcome(found in (step, or_step or step) and sane and soon and not left, seen)

    return run


def _back(home: House) -> tuple[m.GpuGivenBack, bool]:
    """The device taken back, and whether the worker was gone soon, by the time in which this machine ran."""
    with standstill() as lost_ms:
        home.supervisor.give_back("task-1", Trigger.CLICK, 200)
        back = home.until(m.GpuGivenBack, _WAIT_S)
        return back, back.record.stopped_ms - lost_ms() < _STOPPED_MS


def paid(*moves: list[Any], metrics: dict[str, float] | None = None) -> Callable[[Path], Outcome]:
    """Held when the task ends as finished all the same, with these metrics."""

    def run(folder: Path) -> Outcome:
        with lair(folder, moves) as home:
            home.supervisor.start(home.lease(), None)
            done = home.until(m.WorkerFinished, _WAIT_S)
            left = unharmed(home)
            return Outcome(dict(done.metrics) == (metrics or {}) and not left, f"finished with the metrics {dict(done.metrics)}{left}")

    return run


def settled_once(folder: Path) -> Outcome:
    """Two results in a row: the task has one outcome, whichever it is."""
    with lair(folder, (*HONEST, finish(result(role="second")))) as home:
        home.supervisor.start(home.lease(), None)
        end = time.monotonic() + _WAIT_S
        while not _outcomes(home) and time.monotonic() < end:
            home.quiet(0.05)
        home.quiet(1.0)  # for a second one
        outcomes = _outcomes(home)
        left = unharmed(home)
        return Outcome(len(outcomes) == 1 and not left, f"outcomes: {[type(one).__name__ for one in outcomes]}{left}")


def _outcomes(home: House) -> list[m.Message]:
    return [one for one in home.seen if isinstance(one, m.WorkerFinished | m.WorkerFailed)]


def missing_checkpoint(folder: Path) -> Outcome:
    """The lease names a checkpoint that is not on this disk."""
    with lair(folder, HONEST) as home:
        home.supervisor.start(home.lease(), Checkpoint(5, "ab" * 32, 100))
        failed = home.until(m.WorkerFailed, _WAIT_S)
        left = unharmed(home)
        return Outcome(failed.blameless and not left, f"not started: {failed.detail[:150]!r}{left}")


def bounded_log(folder: Path, moves: Moves) -> Outcome:
    """Whatever is printed, the log on the disk is small and holds nothing a terminal obeys."""
    with lair(folder, moves) as home:
        home.supervisor.start(home.lease(), None)
        home.until(m.WorkerStarted, _WAIT_S)
        end = time.monotonic() + _WAIT_S
        while not any((home.root / "logs").iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
        home.quiet(1.0)  # of printing
        _, soon = _back(home)
        logs = [place.read_bytes() for place in (home.root / "logs").iterdir()]
        size, obeyed = sum(map(len, logs)), {letter for log in logs for letter in log} & (set(range(32)) - {9, 10})
        left = unharmed(home)
        held = 0 < size <= 11 << 20 and not obeyed and soon and not left
        return Outcome(held, f"{size >> 10} KiB of it kept, {len(obeyed)} control characters{left}")
