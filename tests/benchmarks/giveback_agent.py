"""The agent whose give-backs are timed: the real one, all of it, but for the market and the chain, which a trial speaks for.

Run by `giveback` as a process of its own: `python -m tests.benchmarks.giveback_agent FAKE_NVML DEADLINE_MS`. Each line of its input is a
message for the inbox, as the market's adapter would post it, or `clock UNIX MONOTONIC`, which says that the clock on the wall
showed UNIX at that instant. Each line of its output is one checkpoint that was handed back. The end of the input is the
owner's quit. The card's temperature is read from the fake NVML by the real adapter; the work runs on the practice device.
"""

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import cast
from unittest.mock import patch

from desktop_app.adapters.clock import Clock
from desktop_app.adapters.keys import Keys
from desktop_app.adapters.market import Market
from desktop_app.adapters.nvml import Nvml, practice_device, read_practice
from desktop_app.agent import senses
from desktop_app.agent.companion import Companion
from desktop_app.agent.life import Life
from desktop_app.agent.perform import Hands
from desktop_app.agent.senses import Senses
from desktop_app.core import messages as m
from desktop_app.core import settings
from desktop_app.core.gpu import Device, Reading, Tier
from desktop_app.core.money import Rate
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.schedule import Zone
from desktop_app.core.task import Blob, Checkpoint, Lease
from desktop_app.wire.codec import decode_message
from desktop_app.wire.profile import Profile, default

_PASSPHRASE = b"a passphrase for the trials only"


class WallClock(Clock):
    """A clock that can be set, and runs on from there."""

    def __init__(self) -> None:
        super().__init__()
        self.set = (time.time(), time.monotonic())

    def now(self) -> datetime:
        shown, at = self.set
        return datetime.fromtimestamp(shown + time.monotonic() - at, UTC)

    def zone(self) -> Zone:
        return Zone()


class NoCompanion:
    """No practice network is started."""

    def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


class TrialMarket:
    """Takes everything, and keeps each checkpoint that is handed back where the trial finds it."""

    def __init__(self, post: Callable[[m.Message], None], blobs: Path) -> None:
        self._post, self._blobs = post, blobs
        self._kept = blobs.parent / "kept"
        self._kept.mkdir(exist_ok=True)

    async def offer(self, gpu_id: int, tier: Tier, floor: Rate) -> None:
        pass

    async def withdraw(self) -> None:
        pass

    async def register(self, *_words: object) -> None:
        pass

    async def resume(self, lease: Lease) -> None:
        pass

    async def fetch(self, lease: Lease) -> None:
        self._post(m.BundleFetched(lease.manifest.task_id))

    async def upload_checkpoint(self, lease: Lease, checkpoint: Checkpoint) -> None:
        pass

    async def return_lease(self, lease: Lease, reason: str, *, fault: bool = False) -> None:
        print(f"returned {lease.manifest.task_id} {reason}", flush=True)

    async def hand_back(self, lease: Lease, checkpoint: Checkpoint, receipt: SignedReceipt) -> None:
        task_id = lease.manifest.task_id
        os.link(self._blobs / checkpoint.sha256, self._kept / task_id)
        print(f"kept {task_id} {checkpoint.step} {checkpoint.sha256}", flush=True)
        self._post(m.ReceiptDelivered(task_id, checkpoint.step))

    async def deliver(self, lease: Lease, result: tuple[Blob, ...], receipt: SignedReceipt) -> None:
        print(f"finished {lease.manifest.task_id}", flush=True)
        self._post(m.ReceiptDelivered(lease.manifest.task_id, receipt.receipt.last_step))


class TrialSenses(Senses):
    """Works on the practice device although there is a card to be read."""

    def find(self) -> Device:
        self._device = practice_device(self._root)
        return self._device


class TrialLife(Life):
    """The agent's life on a market that the trial speaks for."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile, Keys(profile.keys, lambda: bytearray(_PASSPHRASE), n=2**12), unattended=True)
        self._clock = self._wall = WallClock()
        self._senses = TrialSenses(profile.root, self._wall, self.post, lambda: self.state)
        self._companion = cast(Companion, NoCompanion())

    async def _join_network(self, hands: Hands) -> None:
        market = TrialMarket(self.post, self._profile.blobs)
        hands.market.set_result(cast(Market, market))
        device = self.state.gpu.device or practice_device(self._profile.root)
        for message in (m.MarketConnected(10), m.MarketPriced(Rate(100_000), 1), m.MarketRegisteredGpu(device.uuid, 7)):
            self.post(message)
        threading.Thread(target=self._listen, name="trial", daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            word, _, rest = line.partition(b" ")
            if word == b"clock":
                shown, at = map(float, rest.split())
                self._wall.set = (shown, at)
            else:
                self.post(decode_message(line))
        self.post(m.OwnerQuit())


def warm_practice(library: str) -> Callable[[], Reading]:
    """What the CPU says of itself, with the fake card's temperature as the real adapter reads it."""
    ctypes.CDLL(library)  # now the name is taken, and pynvml finds this one
    nvml = Nvml()
    (card,) = nvml.find()

    def read() -> Reading:
        seen = nvml.read(card)
        return replace(read_practice(), temperature=seen.temperature if isinstance(seen, Reading) else None)

    return read


def main(library: str, deadline_ms: int) -> None:
    """The deadline is the owner's: how long a worker may take to answer before it is killed."""
    profile = default()
    profile.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # nobody can wait half a minute before each of fifty key presses
    soon = replace(settings._BY_NAME["idle_after_s"], least=1)
    with ExitStack() as stack:
        stack.enter_context(patch.object(senses, "read_practice", warm_practice(library)))
        stack.enter_context(patch.dict(settings._BY_NAME, idle_after_s=soon))
        for part in ("settle", "work"):
            module = import_module(f"desktop_app.core.update.{part}")  # a function beside it has the same name
            stack.enter_context(patch.object(module, "OWNER_DEADLINE_MS", deadline_ms))
        asyncio.run(TrialLife(profile).live())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
