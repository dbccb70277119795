"""The chain's memory: one SQLite file that holds the state trie, the mined blocks and the transactions not yet mined.

A block is written in one database transaction, so that a kill at any instant leaves the chain at a block that is whole.
What was acknowledged (a transaction accepted, a block mined) is on disk before the answer goes out. The file belongs to one
process at a time. A damaged file is kept aside and a new chain begins, because test money is worth less than a start that
works. Called by `ledger`.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth.db.backends.base import BaseDB

from desktop_app.core.errors import AppError

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS txs (
    hash BLOB PRIMARY KEY, number INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL, receipt TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS txs_by_place ON txs (number, position);
CREATE TABLE IF NOT EXISTS logs (
    number INTEGER NOT NULL, position INTEGER NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, body TEXT NOT NULL, PRIMARY KEY (number, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_by_address ON logs (address, number);
CREATE TABLE IF NOT EXISTS pool (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event: where it happened, what can be searched for (`topics`, at most four), and its JSON body."""

    position: int  # within the block
    address: bytes
    topics: tuple[bytes, ...]
    body: str


@dataclass(frozen=True, slots=True)
class TxRow:
    """One mined transaction with the JSON bodies of itself and its receipt."""

    hash: bytes
    body: str
    receipt: str


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What `eth_getLogs` asks for: a closed range of blocks, any of `addresses` (empty: all), and per position any of the topics."""

    first: int
    last: int
    addresses: tuple[bytes, ...]
    topics: tuple[tuple[bytes, ...], ...]


class KeyValue(BaseDB):
    """The EVM's own key-value space, as py-evm wants it: missing keys raise KeyError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getitem__(self, key: bytes) -> bytes:
        row: tuple[bytes] | None = self._connection.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        if self._connection.execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount == 0:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        return self._connection.execute("SELECT 1 FROM kv WHERE key = ?", (key,)).fetchone() is not None


class Store:
    """The open file. Not safe for two threads at once: `ledger` holds one lock around everything."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file. Raises AppError when another process has it or the disk refuses."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _open(path)
        except sqlite3.OperationalError as trouble:
            raise AppError(
                f"The practice chain's file cannot be opened ({trouble}).",
                f"End the other Sublet that uses {path.parent}, or make room on the disk.",
            ) from trouble
        except sqlite3.DatabaseError as trouble:
            self._connection = _open_anew(path, trouble)
        self.kv = KeyValue(self._connection)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is written inside is on disk when the block ends, or was never there."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def add_block(self, number: int, block_hash: bytes, body: str, txs: Sequence[TxRow], logs: Sequence[LogRow]) -> None:
        """Records a mined block; its transactions leave the pool. Call inside `transaction`."""
        run = self._connection
        run.execute("INSERT INTO blocks VALUES (?, ?, ?)", (number, block_hash, body))
        for position, tx in enumerate(txs):
            run.execute("INSERT INTO txs VALUES (?, ?, ?, ?, ?)", (tx.hash, number, position, tx.body, tx.receipt))
            run.execute("DELETE FROM pool WHERE hash = ?", (tx.hash,))
        for log in logs:
            padded = (*log.topics, None, None, None, None)[:4]
            run.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (number, log.position, log.address, *padded, log.body))

    def add_pending(self, tx_hash: bytes, raw: bytes) -> None:
        """Keeps an accepted transaction until it is mined. Call inside `transaction`."""
        self._connection.execute("INSERT OR IGNORE INTO pool (hash, raw) VALUES (?, ?)", (tx_hash, raw))

    def drop_pending(self, tx_hash: bytes) -> None:
        """Forgets a transaction that was replaced or can never be mined."""
        self._connection.execute("DELETE FROM pool WHERE hash = ?", (tx_hash,))

    def pending(self) -> list[bytes]:
        """The raw transactions not yet mined, oldest first."""
        return [raw for (raw,) in self._connection.execute("SELECT raw FROM pool ORDER BY seq")]

    def block_by_number(self, number: int) -> str | None:
        """The JSON body of a block, with its transactions as hashes."""
        return self._one("SELECT body FROM blocks WHERE number = ?", number)

    def block_by_hash(self, block_hash: bytes) -> str | None:
        return self._one("SELECT body FROM blocks WHERE hash = ?", block_hash)

    def tx(self, tx_hash: bytes) -> str | None:
        """The JSON body of a mined transaction."""
        return self._one("SELECT body FROM txs WHERE hash = ?", tx_hash)

    def txs_of(self, number: int) -> list[str]:
        """The JSON bodies of a block's transactions, in order."""
        return [body for (body,) in self._connection.execute("SELECT body FROM txs WHERE number = ? ORDER BY position", (number,))]

    def receipt(self, tx_hash: bytes) -> str | None:
        return self._one("SELECT receipt FROM txs WHERE hash = ?", tx_hash)

    def logs(self, query: LogQuery, limit: int) -> list[str]:
        """The JSON bodies of matching events in chain order, at most `limit`."""
        where, values = ["number BETWEEN ? AND ?"], [query.first, query.last]
        wanted: list[int | bytes] = list(values)
        for column, choices in [("address", query.addresses), *((f"topic{i}", any_of) for i, any_of in enumerate(query.topics))]:
            if choices:
                where.append(f"{column} IN ({','.join('?' * len(choices))})")
                wanted.extend(choices)
        # the statement is made of fixed column names and question marks only
        statement = f"SELECT body FROM logs WHERE {' AND '.join(where)} ORDER BY number, position LIMIT ?"  # noqa: S608
        return [body for (body,) in self._connection.execute(statement, (*wanted, limit))]

    def _one(self, statement: str, key: int | bytes) -> str | None:
        row: tuple[str] | None = self._connection.execute(statement, (key,)).fetchone()
        return None if row is None else row[0]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # a first write takes the lock, so that a second process is refused here and not in the middle of its work
        connection.execute("BEGIN IMMEDIATE")
        connection.commit()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_anew(path: Path, trouble: sqlite3.DatabaseError) -> sqlite3.Connection:
    aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    _log.warning("The practice chain's file was damaged (%s). It is kept as %s; a new chain begins.", trouble, aside.name)
    return _open(path)
