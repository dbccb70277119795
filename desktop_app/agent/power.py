"""The cap on the card's power while a stranger's work is on it: set before a task, undone after it, and after a sudden death.

The limit belongs to the card and outlives whoever set it, so the owner's own limit is written down, on the disk, before it
is changed; whoever finds such a note at its start undoes what the note says. Made by `agent.life`, called by `perform`.
"""

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from desktop_app.adapters.nvml import Nvml
from desktop_app.core.gpu import Device
from desktop_app.core.messages import Message, TroubleArose
from desktop_app.core.state import NoticeKind

_NOT_PERMITTED = "the GPU's power limit could not be changed; on Linux that takes an administrator's rights"
_NOT_UNDONE = "the GPU's power limit could not be set back to {watts} W; nvidia-smi -pl {watts} does it, as administrator"


@dataclass(frozen=True, slots=True)
class Limit:
    """One card's power limit in watts. `read` says the one in force and the least there can be.

    Where the driver does not let us, `read` says None and `write` False.
    """

    uuid: str
    read: Callable[[], tuple[int, int] | None]
    write: Callable[[int], bool]


def limit_of(device: Device) -> Limit:
    """A real card's limit. The library is opened for each question, and closed again."""
    nvml = Nvml()

    def read() -> tuple[int, int] | None:
        limits = nvml.power_limits(device)
        return None if limits is None else (limits.now, limits.least or 0)

    return Limit(device.uuid, read, lambda watts: nvml.set_power_limit_w(device, watts))


class PowerCap:
    """`note` is the file of the owner's own limit; it is there exactly while that limit is not known to be in force."""

    def __init__(self, note: Path, limit: Limit, post: Callable[[Message], None]) -> None:
        self._note, self._limit, self._post = note, limit, post
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="sublet-power")  # one after the other, in the order asked

    async def cap(self, watts: int) -> None:
        """Hold the card to `watts`, never to more than its owner does; 0 gives the owner's limit back."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._turns, self._lower, watts) if watts else await loop.run_in_executor(self._turns, self.undo)

    def close(self) -> None:
        """Give the owner's limit back, and wait until that is done. Twice is once."""
        self._turns.shutdown()
        self.undo()

    def undo(self) -> None:
        """Give the owner's limit back if a note says that it was changed, by us or by an agent that died."""
        own = self._noted()
        if own is None:
            return
        if self._limit.write(own):
            self._note.unlink(missing_ok=True)
        else:
            self._tell(_NOT_UNDONE.format(watts=own))

    def _lower(self, watts: int) -> None:
        told, own = self._limit.read(), self._noted()
        if told is None:
            self._tell(_NOT_PERMITTED)
            return
        now, least = told
        if own is None:
            own = now
            self._write_down(own)
        if not self._limit.write(min(max(watts, least), own)):
            self._tell(_NOT_PERMITTED)
            self._give_up(own)

    def _give_up(self, own: int) -> None:
        """Where nothing was changed there is nothing to undo."""
        told = self._limit.read()
        if told is not None and told[0] == own:
            self._note.unlink(missing_ok=True)

    def _noted(self) -> int | None:
        """The owner's limit, if it was changed on this very card."""
        try:
            told = json.loads(self._note.read_text())
            return int(told["watts"]) if told["uuid"] == self._limit.uuid else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _write_down(self, own: int) -> None:
        """On the disk before the card is touched. Raises OSError; then it is not."""
        fresh = self._note.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump({"uuid": self._limit.uuid, "watts": own}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._note)

    def _tell(self, what: str) -> None:
        self._post(TroubleArose(NoticeKind.TROUBLE, what))
