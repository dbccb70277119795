"""The engine: one asyncio loop, one inbox. message -> update -> save -> perform -> publish.

Two coroutines share the work. `_think` updates the state, takes the GPU back at once where that is called for, and shows
the new state; `_act` saves what must be saved and only then performs the other effects, in order. So a slow or full disk
never stands between the owner and the GPU, and nothing durable is done that was not written down first. Made and run by
the composition root `agent.py`; adapters post to it from any thread.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from desktop_app.core.effects import Effect, GiveBack
from desktop_app.core.errors import AppError
from desktop_app.core.messages import ClockTicked, DiskFilled, GpuMeasured, Message, PresenceSensed, WorkerProgressed
from desktop_app.core.state import EPOCH, State
from desktop_app.core.update import update
from desktop_app.wire.codec import durable, encode_message

SAVE_AGAIN_S = 2.0
_MEASUREMENTS = (ClockTicked, GpuMeasured, PresenceSensed, WorkerProgressed)


class Ledger(Protocol):
    """Where the engine writes things down: `adapters.store.Store`."""

    def save(self, state: State, story: tuple[bytes, ...]) -> None:
        """Make the durable part of `state` and the story's next lines survive a crash. Raises AppError when the disk is full."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What waits to be written down and done."""

    state: State
    story: tuple[bytes, ...]
    effects: tuple[Effect, ...]


class Engine:
    """Holds the state. `perform` and `publish` must return at once; what takes longer they put in a thread or a task."""

    def __init__(self, state: State, ledger: Ledger, perform: Callable[[Effect], None], publish: Callable[[State], None]) -> None:
        self.state = state
        self._ledger = ledger
        self._perform = perform
        self._publish = publish
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._waiting = _Batch(state, (), ())
        self._saved = durable(state)
        self._work = asyncio.Event()
        self._full = False

    def post(self, message: Message) -> None:
        """Put a message in the inbox; from any thread. After the loop has ended there is nobody to tell, and it is dropped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, message)

    async def run(self) -> None:
        """Work until cancelled; then write down what is left."""
        acting = asyncio.create_task(self._act())
        try:
            await self._think()
        finally:
            acting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await acting
            with contextlib.suppress(AppError):
                self._save(self._take())

    async def _think(self) -> None:
        while True:
            message = await self._inbox.get()
            before = self.state
            self.state, effects = update(before, message)
            for effect in effects:
                if isinstance(effect, GiveBack):
                    self._perform(effect)
            self._queue(message, tuple(effect for effect in effects if not isinstance(effect, GiveBack)))
            if replace(before, now=EPOCH) != replace(self.state, now=EPOCH):
                self._publish(self.state)

    def _queue(self, message: Message, effects: tuple[Effect, ...]) -> None:
        waiting = self._waiting
        story = waiting.story if isinstance(message, _MEASUREMENTS) else (*waiting.story, encode_message(message))
        self._waiting = _Batch(self.state, story, waiting.effects + effects)
        if effects or story or durable(self.state) != self._saved:
            self._work.set()

    def _take(self) -> _Batch:
        batch = self._waiting
        self._waiting = _Batch(batch.state, (), ())
        self._work.clear()
        return batch

    async def _act(self) -> None:
        while True:
            await self._work.wait()
            batch = self._take()
            await self._save_patiently(batch)
            for effect in batch.effects:
                self._perform(effect)

    async def _save_patiently(self, batch: _Batch) -> None:
        while True:
            try:
                await asyncio.to_thread(self._save, batch)
            except AppError:
                self._tell_disk(full=True)
                await asyncio.sleep(SAVE_AGAIN_S)
            else:
                self._tell_disk(full=False)
                return

    def _save(self, batch: _Batch) -> None:
        now = durable(batch.state)
        if now != self._saved or batch.story:
            self._ledger.save(batch.state, batch.story)
            self._saved = now

    def _tell_disk(self, *, full: bool) -> None:
        if full is not self._full:
            self._full = full
            self.post(DiskFilled(full))
