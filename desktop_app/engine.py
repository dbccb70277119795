"""The engine: one asyncio loop, one inbox. message -> update -> save -> perform -> publish.

Two coroutines share the work. `_think` updates the state, takes the GPU back at once where that is called for, and shows
the new state; `_act` saves what must be saved and only then performs the other effects, in order. So a slow or full disk
never stands between the owner and the GPU, and nothing durable is done that was not written down first. What a give-back
overtook on the way, a start that waited for the disk, is not performed any more. Made and run by the composition root
`agent.py`; adapters post to it from any thread.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from desktop_app.core.effects import Effect, GiveBack
from desktop_app.core.errors import AppError
from desktop_app.core.lateness import late_s
from desktop_app.core.messages import (
    ClockTicked,
    DiskFilled,
    GpuMeasured,
    MemoryMeasured,
    Message,
    PresenceSensed,
    ProgramsListed,
    WorkerProgressed,
)
from desktop_app.core.state import EPOCH, State
from desktop_app.core.update import still_due, update
from desktop_app.wire.codec import durable, encode_message

SAVE_AGAIN_S = 2.0
STORY_LINES = 1_000  # what waits for a full disk is bounded
_NOT_TOLD = (ClockTicked, GpuMeasured, MemoryMeasured, PresenceSensed, WorkerProgressed, ProgramsListed)
"""By the story, which a bug report carries: measurements, and which programs somebody runs."""


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
    marks: tuple["asyncio.Future[None]", ...] = ()  # set once this is on disk


class Engine:
    """Holds the state. `perform` and `publish` must return at once; what takes longer they put in a thread or a task."""

    def __init__(self, state: State, ledger: Ledger, perform: Callable[[Effect], None], publish: Callable[[State], None]) -> None:
        self.state = state
        self._ledger = ledger
        self._perform = perform
        self._publish = publish
        self._inbox: asyncio.Queue[tuple[Message | asyncio.Future[None], float]] = asyncio.Queue()  # and when it was posted
        self._loop = asyncio.get_running_loop()
        self._waiting = _Batch(state, (), ())
        self._saved = durable(state)
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._full = False

    def post(self, message: Message) -> None:
        """Put a message in the inbox; from any thread. After the loop has ended there is nobody to tell, and it is dropped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, (message, time.monotonic()))

    async def settled(self) -> None:
        """Wait until everything posted before is on disk, so that whoever handed it over may forget it; from the loop only."""
        mark = self._loop.create_future()
        self._loop.call_soon(self._inbox.put_nowait, (mark, time.monotonic()))
        await mark

    async def run(self) -> None:
        """Work until cancelled; then write down what is left. Raises what an update, a save or an effect raised unforeseen."""
        thinking = asyncio.create_task(self._think())
        acting = asyncio.create_task(self._act())
        try:
            await asyncio.wait((thinking, acting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            thinking.cancel()
            self._closing.set()
            self._work.set()
            await asyncio.wait((thinking, acting))
        for task in (thinking, acting):
            if not task.cancelled():
                task.result()

    async def _think(self) -> None:
        while True:
            message, posted = await self._inbox.get()
            if isinstance(message, asyncio.Future):
                self._waiting = replace(self._waiting, marks=(*self._waiting.marks, message))
                self._work.set()
                continue
            before = self.state
            self.state, effects = update(before, message)
            for effect in effects:
                if isinstance(effect, GiveBack):
                    late = late_s(message, effect.trigger) + time.monotonic() - posted
                    self._perform(replace(effect, late_ms=1000 * late))
            self._queue(message, tuple(effect for effect in effects if not isinstance(effect, GiveBack)))
            if replace(before, now=EPOCH) != replace(self.state, now=EPOCH):
                self._publish(self.state)

    def _queue(self, message: Message, effects: tuple[Effect, ...]) -> None:
        waiting = self._waiting
        story = waiting.story if isinstance(message, _NOT_TOLD) else (*waiting.story, encode_message(message))[-STORY_LINES:]
        self._waiting = _Batch(self.state, story, waiting.effects + effects, waiting.marks)
        if effects or story or durable(self.state) != self._saved:
            self._work.set()

    def _take(self) -> _Batch:
        batch = self._waiting
        self._waiting = _Batch(batch.state, (), ())
        self._work.clear()
        return batch

    async def _act(self) -> None:
        while not self._closing.is_set():
            await self._work.wait()
            batch = self._take()
            if await self._saved_now(batch):
                self._perform_all(batch.effects)
            else:
                self._put_back(batch)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), SAVE_AGAIN_S)
        await self._saved_now(self._take())

    async def _saved_now(self, batch: _Batch) -> bool:
        """Write a batch down, in a thread; never two at a time, so that the newest state is written last."""
        try:
            await asyncio.to_thread(self._save, batch)
        except AppError:
            self._tell_disk(full=True)
            return False
        self._tell_disk(full=False)
        for mark in batch.marks:
            if not mark.done():
                mark.set_result(None)
        return True

    def _perform_all(self, effects: tuple[Effect, ...]) -> None:
        """Do what was written down. Once the engine is closing nothing new is begun: the saved state asks for it again."""
        for effect in effects:
            if not self._closing.is_set() and still_due(self.state, effect):
                self._perform(effect)

    def _put_back(self, batch: _Batch) -> None:
        """What could not be written waits in front of what came since."""
        later = self._waiting
        story = (*batch.story, *later.story)[-STORY_LINES:]
        self._waiting = _Batch(later.state, story, batch.effects + later.effects, batch.marks + later.marks)
        self._work.set()

    def _save(self, batch: _Batch) -> None:
        now = durable(batch.state)
        if now != self._saved or batch.story:
            self._ledger.save(batch.state, batch.story)
            self._saved = now

    def _tell_disk(self, *, full: bool) -> None:
        if full is not self._full:
            self._full = full
            self.post(DiskFilled(full))
