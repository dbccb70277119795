"""What a worker's shared memory says of its work, read from outside, through the process of its supervisor.

Used by `overhead`, which counts steps, and by `giveback`, which asks how often a worker committed its state.
"""

import os
from pathlib import Path

from desktop_app.wire import arena
from desktop_app.wire.tensors import Malformed


def arenas(supervisor: int) -> list[Path]:
    """The arenas that a process holds and that have their sizes; a worker that still waits for its task has none."""
    found = []
    for entry in Path(f"/proc/{supervisor}/fd").iterdir():
        try:
            if "memfd:sublet-arena" in str(entry.readlink()) and _layout(entry).total > arena.PAGE:
                found.append(entry)
        except (FileNotFoundError, Malformed):
            continue  # closed meanwhile, or blank
    return found


def steps_done(place: Path) -> int:
    """How many steps the worker says it has done."""
    return int(arena.STEPS.unpack(_read(place, arena.STEPS_AT, arena.STEPS.size))[0])


def interval(place: Path) -> int | None:
    """Steps between the last two commits; None before there were two, and while one is being written."""
    layout = _layout(place)
    headers = [arena.parse_header(_read(place, arena.header_at(slot), arena.HEADER_BYTES), layout) for slot in range(arena.SLOTS)]
    steps = [header.step for header in headers if header is not None]
    return max(steps) - min(steps) if len(steps) > 1 else None


def _layout(place: Path) -> arena.Layout:
    return arena.layout_of(_read(place, 0, 64))


def _read(place: Path, at: int, count: int) -> bytes:
    with place.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), count, at)
