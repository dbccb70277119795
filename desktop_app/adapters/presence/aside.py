"""Questions that may never be answered, asked on a thread of their own, so that whoever asks waits a moment and no longer.

Xlib waits for its server without any limit, and a server that hangs would take the look at the GPU along. Used by
`presence.linux` for the X screen.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

_T = TypeVar("_T")
_Question = Callable[[], object]

STALE_S = 1.0
"""An answer that is older is none: under full load a server may be a little late, and that is no reason to know nothing."""


class Aside:
    """Asks one question after another on one thread, and `end` as the last."""

    def __init__(self, name: str, end: Callable[[], None]) -> None:
        self._end = end
        self._turn = threading.Condition()
        self._wanted: _Question | None = None
        self._closed = False
        self._answers: dict[_Question, tuple[object, float]] = {}
        self._asked = self._done = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, question: Callable[[], _T], patience: float) -> _T | None:
        """The answer of now if it comes within `patience` seconds, else the last one while it is not stale."""
        with self._turn:
            self._wanted = question
            self._asked += 1
            mine = self._asked
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._done >= mine, patience)
            answer, at = self._answers.get(question, (None, float("-inf")))
            return cast("_T", answer) if time.monotonic() - at <= STALE_S else None

    def close(self, patience: float = 0.05) -> None:
        """Let the thread go; one that hangs goes when its server does."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        self._thread.join(patience)

    def _run(self) -> None:
        while (turn := self._next()) is not None:
            question, number = turn
            answer = question()
            with self._turn:
                self._answers[question] = (answer, time.monotonic())
                self._done = number
                self._turn.notify_all()
        self._end()

    def _next(self) -> tuple[_Question, int] | None:
        with self._turn:
            self._turn.wait_for(lambda: self._wanted is not None or self._closed)
            question, self._wanted = self._wanted, None
            return None if self._closed or question is None else (question, self._asked)
