"""The part of an SQLite ledger that speaks of spaces.

Where one space gets an image before the others, these are behind: the ledger lists what they lack,
so that bringing one up to date looks at nothing else, and a crash forgets nothing.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace

from imagefinder.stores.ledger.database import Database
from imagefinder.stores.ledger.entries import Held, SpaceEntry

SPACES = """
CREATE TABLE IF NOT EXISTS spaces (
    name TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    dim INTEGER NOT NULL,
    model TEXT NOT NULL,
    distance TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS space_in_use (only INTEGER PRIMARY KEY CHECK (only = 1), name TEXT);
CREATE TABLE IF NOT EXISTS behind (
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (space, id)
) WITHOUT ROWID;
"""
PAGE = "SELECT id FROM behind WHERE space = ? AND id > ? AND {} ORDER BY id LIMIT ?"
UNTRIED = "reason IS NULL"


class SqliteSpaces:
    """The part of the ledger that speaks of spaces."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._entries = self._read()
        self._in_use = self._read_in_use()

    # few, and read in every search, so they are kept in memory as well

    def entries(self) -> Mapping[str, SpaceEntry]:
        """By name, in the order they were added."""
        return self._entries

    @property
    def in_use(self) -> str | None:
        """The space that searches use: the chosen one, else the first; None where there is none."""
        if self._in_use in self._entries:
            return self._in_use
        return next(iter(self._entries), None)

    def add(self, entry: SpaceEntry) -> None:
        """A new, empty space; it is behind with every image that there is."""
        with self._db.write() as db:
            db.execute("INSERT INTO spaces VALUES (?, ?, ?, ?, ?)", astuple(entry))
            db.execute("DELETE FROM behind WHERE space = ?", (entry.name,))
            if not entry.imported:
                db.execute("INSERT INTO behind SELECT ?, id, NULL FROM images", (entry.name,))
        self._entries = self._read()

    def moved(self, name: str, model: str) -> None:
        """The model is found under another reference now."""
        entry = replace(self._entries[name], model=model)
        with self._db.write() as db:
            db.execute("UPDATE spaces SET model = ? WHERE name = ?", (entry.model, name))
        self._entries = self._read()

    def use(self, name: str) -> None:
        """Searches use this space from now on."""
        with self._db.write() as db:
            db.execute("INSERT OR REPLACE INTO space_in_use VALUES (1, ?)", (name,))
        self._in_use = name

    def drop(self, name: str) -> None:
        """Forget a space."""
        with self._db.write() as db:
            db.execute("DELETE FROM spaces WHERE name = ?", (name,))
            db.execute("DELETE FROM behind WHERE space = ?", (name,))
            db.execute("DELETE FROM space_in_use WHERE name = ?", (name,))
        self._entries, self._in_use = self._read(), self._read_in_use()

    # what a space lacks

    def behind(
        self, space: str, *, after: str = "", limit: int = 1000, failed: bool = False
    ) -> list[str]:
        """Ids that it lacks, in order; with `failed`, those too that could not be embedded."""
        query = PAGE.format("1" if failed else UNTRIED)
        return [id for (id,) in self._db.all(query, (space, after, limit))]

    def behind_count(self, space: str, *, failed: bool = True) -> int:
        """How many images it lacks."""
        query = "SELECT count(*) FROM behind WHERE space = ?"
        return self._db.number(query if failed else f"{query} AND {UNTRIED}", (space,))

    def lacking(self, space: str, ids: Sequence[str]) -> set[str]:
        """Which of these ids it lacks."""
        rows = self._db.by_ids("SELECT id FROM behind WHERE space = ? AND id IN", ids, (space,))
        return {id for (id,) in rows}

    def caught_up(self, space: str, ids: Iterable[str], failed: Mapping[str, str]) -> None:
        """It has these images now; `failed` could not be embedded, for these reasons."""
        with self._db.write() as db:
            db.executemany(
                "DELETE FROM behind WHERE space = ? AND id = ?", ((space, id) for id in ids)
            )
            db.executemany(
                "UPDATE behind SET reason = ? WHERE space = ? AND id = ?",
                ((reason, space, id) for id, reason in failed.items()),
            )

    def lost(self, space: str, ids: Iterable[str]) -> None:
        """Its store turned out not to have these."""
        with self._db.write() as db:
            db.executemany(
                "INSERT OR IGNORE INTO behind VALUES (?, ?, NULL)", ((space, id) for id in ids)
            )

    # inside a transaction of the ledger

    def fall_behind(self, db: sqlite3.Connection, ids: Sequence[str], held: Held) -> None:
        """These images have new contents, whose embeddings only the spaces in `held` have."""
        for space, entry in self._entries.items():
            have = held.get(space, ())
            db.executemany(
                "DELETE FROM behind WHERE space = ? AND id = ?",
                ((space, id) for id in ids if id in have),
            )
            if not entry.imported:
                db.executemany(
                    "INSERT OR REPLACE INTO behind VALUES (?, ?, NULL)",
                    ((space, id) for id in ids if id not in have),
                )

    def _read(self) -> dict[str, SpaceEntry]:
        rows = self._db.all(
            "SELECT name, fingerprint, dim, model, distance FROM spaces ORDER BY rowid"
        )
        return {row[0]: SpaceEntry(*row) for row in rows}

    def _read_in_use(self) -> str | None:
        rows = self._db.all("SELECT name FROM space_in_use")
        return rows[0][0] if rows else None
