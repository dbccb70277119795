"""The one thread that starts sandboxes. bwrap's die-with-parent fires when the thread that forked ends, so this one stays."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class Launcher:
    """Runs what it is given, one after the other, on its thread."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sublet-launcher", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises, run on the launcher's thread; the caller waits."""
        future: Future[_T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # handed to whoever waits
                future.set_exception(error)

        self._queue.put(run)
        return future.result()

    def close(self) -> None:
        """End the thread, and with it every sandbox still there."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
