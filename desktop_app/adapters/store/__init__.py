"""The agent's memory: settings in a file, everything else in a database. Made by the composition root, called by the engine.

All its methods may be called from any thread; each holds the lock while it works. Every one of them raises `AppError`, and
nothing else, when the disk is full or the files cannot be used.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from desktop_app.adapters.store.database import Database, open_database
from desktop_app.adapters.store.disk import trouble_named
from desktop_app.adapters.store.preferences import Preferences
from desktop_app.core.errors import AppError
from desktop_app.core.messages import TroubleArose
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.settings import Settings
from desktop_app.core.state import NoticeKind, State
from desktop_app.wire.codec import durable


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a start begins with. `problems` are for the inbox: they say what was damaged and where it was kept."""

    state: State
    problems: tuple[TroubleArose, ...] = ()


class Store:
    """One profile's settings file and database. Closed at the end, also after a failed `open`."""

    def __init__(self, settings: Path, database: Path) -> None:
        self._preferences = Preferences(settings)
        self._path = database
        self._database: Database | None = None
        self._lock = threading.Lock()

    def open(self) -> Loaded:
        """Load what was saved. Damaged files are kept aside, and the start goes on with their good part."""
        with self._lock, trouble_named(self._path.parent):
            settings, problems = self._preferences.load()
            self._database, state, damage = open_database(self._path)
        if damage:
            problems = (*problems, TroubleArose(NoticeKind.DATABASE_DAMAGED, damage))
        return Loaded(replace(durable(state), settings=settings), problems)

    def save(self, state: State, story: tuple[bytes, ...] = ()) -> None:
        """Make the durable part of `state` and the story's next lines survive a crash: both, or on a full disk neither."""
        kept = durable(state)
        with self._opened() as database:
            self._preferences.save(kept.settings)
            database.save(replace(kept, settings=Settings()), story)

    def story(self) -> tuple[bytes, ...]:
        """The last 1,000 messages, oldest first, as `wire.codec.encode_message` made them."""
        with self._opened() as database:
            return database.story()

    def add_receipt(self, signed: SignedReceipt) -> None:
        """Keep a receipt for good. The same receipt twice is kept once."""
        with self._opened() as database:
            database.add_receipt(signed)

    def receipts(self) -> tuple[SignedReceipt, ...]:
        """Every receipt ever added, oldest first."""
        with self._opened() as database:
            return database.receipts()

    def close(self) -> None:
        """Let go of the files. Twice is once."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Database]:
        with self._lock, trouble_named(self._path.parent):
            if self._database is None:
                raise AppError("The profile is not open.", "Start Sublet again.")
            yield self._database
