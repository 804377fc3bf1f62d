"""An SQLite file, its errors in our words: what the parts of the ledger stand on."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from imagefinder.ahead import chunks
from imagefinder.stores.ledger.errors import translated
from imagefinder.types import is_text

AT_ONCE = 500  # rows read, or ids asked for, in one statement


class Database:
    """Safe to call from several threads."""

    def __init__(self, path: Path, schema: str) -> None:
        self._lock = RLock()
        self._path = path
        with translated(path):
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            with translated(path):
                # NORMAL survives kill -9; a power cut may take the last commits, which are then
                # redone
                self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
                self._db.executescript(schema)
        except BaseException:
            self._db.close()
            raise

    @property
    def changes(self) -> int:
        """Grows with everything that is written here by this object."""
        with self._lock, translated(self._path):
            return self._db.total_changes

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # on a full disk SQLite has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    def all(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, translated(self._path):
            return self._db.execute(query, values).fetchall()

    def by_ids(
        self, query: str, ids: Sequence[str], values: Sequence[object] = (), then: str = ""
    ) -> list[tuple[Any, ...]]:
        """The rows of a query that ends in `id IN`, for any number of ids."""
        rows: list[tuple[Any, ...]] = []
        for some in chunks(filter(is_text, ids), AT_ONCE):
            rows += self.all(f"{query} ({','.join('?' * len(some))}) {then}", (*values, *some))
        return rows

    def number(self, query: str, values: Sequence[object] = ()) -> int:
        return int(self.all(query, values)[0][0])
