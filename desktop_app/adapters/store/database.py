"""The SQLite file: the durable state as one row, the story as the last thousand messages, and every receipt for good.

One process uses it at a time (exclusive lock, which also spares the shared-memory file that a full disk would turn into a
crash). Called by the store, which holds its lock while it does.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from desktop_app.adapters.store.disk import is_damage, keep_aside, private_folder
from desktop_app.core.errors import AppError
from desktop_app.core.receipts import SignedReceipt, digest
from desktop_app.core.state import State
from desktop_app.wire.codec import decode_receipt, decode_state, encode_receipt, encode_state, salvage_state

STORY_LENGTH = 1_000
_VERSION = 1
_BUSY_S = 2.0
_TABLES = """
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS story (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (digest TEXT PRIMARY KEY, body BLOB NOT NULL);
"""

_RESCUES = tuple(
    (table, f"SELECT {key}, CAST(body AS BLOB) FROM {table}", f"INSERT OR REPLACE INTO {table} VALUES (?, ?)")  # noqa: S608 - our own names
    for table, key in (("state", "id"), ("story", "id"), ("receipts", "digest"))
)


class _Damaged(Exception):
    """The file is there and is not what SQLite, or we, wrote."""


class Database:
    """An open file. Methods raise sqlite3.Error or OSError, which the store puts into words."""

    def __init__(self, path: Path) -> None:
        self._connection = _connected(path)
        self._written = b""

    def close(self) -> None:
        self._connection.close()

    def state(self) -> tuple[State, tuple[str, ...]]:
        """The saved state (a new one at a first start), and the names of the parts that could not be read."""
        row = self._connection.execute("SELECT body FROM state").fetchone()
        if row is None:
            return State(), ()
        body = bytes(row[0])
        try:
            state = decode_state(body)
        except ValueError:
            return salvage_state(body)
        self._written = body
        return state, ()

    def save(self, state: State, story: tuple[bytes, ...]) -> None:
        """Both or neither."""
        body = encode_state(state)
        if body == self._written and not story:
            return
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (body,))
            self._add_story(story)
        self._written = body

    def story(self) -> tuple[bytes, ...]:
        """The last messages, oldest first."""
        return tuple(bytes(row[0]) for row in self._connection.execute("SELECT body FROM story ORDER BY id"))

    def add_receipt(self, signed: SignedReceipt) -> None:
        with self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?)", (digest(signed.receipt), encode_receipt(signed)))

    def receipts(self) -> tuple[SignedReceipt, ...]:
        """Every receipt, oldest first."""
        return tuple(decode_receipt(bytes(row[0])) for row in self._connection.execute("SELECT body FROM receipts ORDER BY rowid"))

    def take_over(self, damaged: Path) -> tuple[str, ...]:
        """Bring in what can still be read of a damaged file; return the names of the tables that could not be read to their end."""
        lost = []
        with contextlib.closing(sqlite3.connect(damaged, isolation_level=None)) as old, self._transaction():
            for table, read, write in _RESCUES:
                try:
                    for row in old.execute(read):
                        self._connection.execute(write, row)
                except sqlite3.DatabaseError as error:
                    if not is_damage(error) and not isinstance(error, sqlite3.OperationalError):
                        raise
                    lost.append(table)
        return tuple(lost)

    def _add_story(self, story: tuple[bytes, ...]) -> None:
        self._connection.executemany("INSERT INTO story (body) VALUES (?)", ((line,) for line in story[-STORY_LENGTH:]))
        self._connection.execute("DELETE FROM story WHERE id <= (SELECT max(id) FROM story) - ?", (STORY_LENGTH,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._connection.execute("ROLLBACK")
            raise


def open_database(path: Path) -> tuple[Database, State, str]:
    """The database and its state. If the file was damaged: a new one with the good part of the old, and a sentence that says so."""
    try:
        database = Database(path)
        state, lost = database.state()
        if not lost:
            return database, state, ""
        database.close()
    except _Damaged:
        pass
    aside = _set_aside(path)
    database = Database(path)
    tables = database.take_over(aside)
    state, parts = database.state()
    database.save(state, ())
    missing = ", ".join((*tables, *parts)) or "nothing"
    return database, state, f"Not readable in {path.name}: {missing}. The file as it was is {aside.name}."


def _connected(path: Path) -> sqlite3.Connection:
    private_folder(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error) and is_damage(error):
            raise _Damaged from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "journal_size_limit=4194304"):
        connection.execute(f"PRAGMA {setting}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise AppError("This profile was written by a newer Sublet.", "Install the newest version, or name another profile in SUBLET_HOME.")
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _Damaged
    if version < _VERSION:
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version={_VERSION}")


def _set_aside(path: Path) -> Path:
    """Keep the file, and the journal that belongs to it, under a new name."""
    aside = keep_aside(path)
    journal = path.with_name(path.name + "-wal")
    if journal.exists():
        journal.rename(aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return aside
