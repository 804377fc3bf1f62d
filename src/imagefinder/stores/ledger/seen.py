"""What one run over a source has met, where the ledger itself is elsewhere."""

import sqlite3
from collections.abc import Sequence
from threading import Lock

from imagefinder.ahead import chunks

SCHEMA = """
CREATE TABLE seen (number INTEGER PRIMARY KEY, id TEXT, path TEXT, UNIQUE (id, path));
CREATE INDEX seen_path ON seen (path);
"""
AT_ONCE = 300  # rows in one statement

Pair = tuple[str, str]  # id, path


class Seen:
    """Pairs of an id and a path, in a temporary file once they are many."""

    def __init__(self) -> None:
        self._lock = Lock()
        # a file without a name: SQLite deletes it when it is closed
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.executescript(SCHEMA)

    def see(self, pairs: Sequence[Pair]) -> list[str | None]:
        """Add them; for each, the path that claimed the id first, None when the id is new."""
        claims: list[str | None] = []
        with self._lock:
            self._db.execute("BEGIN")
            for id, path in pairs:
                first = self._db.execute(
                    "SELECT path FROM seen WHERE id = ? ORDER BY number LIMIT 1", (id,)
                ).fetchone()
                claims.append(first[0] if first else None)
                self._db.execute("INSERT OR IGNORE INTO seen (id, path) VALUES (?, ?)", (id, path))
            self._db.execute("COMMIT")
        return claims

    def without(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those that were not seen."""
        found: set[Pair] = set()
        for some in chunks(pairs, AT_ONCE):
            values = ",".join("(?, ?)" for _ in some)
            with self._lock:
                found |= set(
                    self._db.execute(
                        f"SELECT id, path FROM seen WHERE (id, path) IN (VALUES {values})",
                        [word for pair in some for word in pair],
                    )
                )
        return [pair for pair in pairs if pair not in found]

    def ids_at(self, paths: Sequence[str]) -> dict[str, str]:
        """Path -> the id under which it was seen."""
        found: dict[str, str] = {}
        for some in chunks(paths, AT_ONCE):
            marks = ",".join("?" * len(some))
            with self._lock:
                rows = self._db.execute(f"SELECT path, id FROM seen WHERE path IN ({marks})", some)
                found |= dict(rows.fetchall())
        return found

    def close(self) -> None:
        with self._lock:
            self._db.close()
