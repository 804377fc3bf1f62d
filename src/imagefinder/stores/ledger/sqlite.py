"""The ledger of a directory: an SQLite file.

The store is written first and the ledger after it, so the ledger's word is the acknowledgement. Ids
whose store entry may be ahead of the ledger stand in the table `in_doubt` meanwhile; `settle` puts
them right after a crash, which makes every crash harmless without looking through the whole store.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from imagefinder.stores.ledger.database import AT_ONCE, Database
from imagefinder.stores.ledger.entries import Held, ImageEntry, SkippedEntry, Unseen
from imagefinder.stores.ledger.sqlite_spaces import SPACES, SqliteSpaces
from imagefinder.stores.media import FOLDER

SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
    source INTEGER PRIMARY KEY,
    root TEXT NOT NULL UNIQUE,
    base TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources,
    path TEXT NOT NULL,
    size INTEGER,
    mtime_ns INTEGER,
    sha256 TEXT NOT NULL,
    metadata TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_path ON images (source, path);
CREATE INDEX IF NOT EXISTS images_content ON images (sha256);
CREATE TABLE IF NOT EXISTS skipped (
    source INTEGER NOT NULL REFERENCES sources,
    id TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER,
    mtime_ns INTEGER,
    final INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (source, id, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS in_doubt (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE seen (source INTEGER, id TEXT, path TEXT, PRIMARY KEY (source, id, path));
"""
UNSEEN = """
SELECT i.id, i.path, EXISTS (
    SELECT 1 FROM seen s JOIN images other ON other.id = s.id
    WHERE s.source = i.source AND s.path = i.path
    AND other.source = i.source AND other.path = i.path
)
FROM images i WHERE i.source = ? AND i.id > ? AND NOT EXISTS (
    SELECT 1 FROM seen s WHERE s.source = i.source AND s.id = i.id AND s.path = i.path
)
ORDER BY i.id LIMIT ?
"""
BELOW = """
SELECT * FROM images WHERE source = ? AND (path, id) > (?, ?) AND path < ? ORDER BY path, id LIMIT ?
"""
ONE_AT = "SELECT 1 FROM images WHERE source = ? AND path = ? LIMIT 1"


class SqliteLedger(Database):
    """The SQLite file of one collection. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SCHEMA + SPACES)
        try:
            self.spaces = SqliteSpaces(self)
            self._sources = self._read_sources()
        except BaseException:
            self.close()
            raise

    # sources: few, and read in every search, so they are kept in memory as well

    def sources(self) -> Mapping[int, tuple[str, str]]:
        """Number -> (root that identifies it, base folder or URL of its relative uris)."""
        return self._sources

    def source(self, root: str, base: str) -> int:
        """The number of the source with this root, new when there was none."""
        with self.write() as db:
            db.execute("INSERT OR IGNORE INTO sources (root, base) VALUES (?, ?)", (root, base))
        self._sources = self._read_sources()
        return self.number("SELECT source FROM sources WHERE root = ?", (root,))

    def move_source(self, source: int, root: str, base: str) -> None:
        """Point a source at the place where its images are now."""
        with self.write() as db:
            db.execute(
                "UPDATE sources SET root = ?, base = ? WHERE source = ?", (root, base, source)
            )
        self._sources = self._read_sources()

    def drop_source(self, source: int) -> None:
        """Forget a source that no image comes from any more, and what was skipped of it."""
        with self.write() as db:
            db.execute("DELETE FROM skipped WHERE source = ?", (source,))
            db.execute("DELETE FROM sources WHERE source = ?", (source,))
        self._sources = self._read_sources()

    # what is known

    def images(self, ids: Sequence[str]) -> dict[str, ImageEntry]:
        """The entries of those ids that are indexed."""
        rows = self.by_ids("SELECT * FROM images WHERE id IN", ids)
        return {row[0]: ImageEntry(*row) for row in rows}

    def with_content(self, sha256: str) -> list[ImageEntry]:
        """Indexed images of the same bytes; a few are as good as all."""
        rows = self.all("SELECT * FROM images WHERE sha256 = ? ORDER BY id LIMIT 20", (sha256,))
        return [ImageEntry(*row) for row in rows]

    def has_upload(self, path: str) -> bool:
        """Whether an image is left whose bytes the collection keeps at this path."""
        numbers = [number for number, (_, base) in self._sources.items() if base == FOLDER]
        return any(self.all(ONE_AT, (number, path)) for number in numbers)

    def below(self, source: int, folder: str = "") -> Iterator[list[ImageEntry]]:
        """The images of a source, or of a folder of it, some at once in the order of paths."""
        after = (f"{folder}/" if folder else "", "")
        end = f"{folder}0" if folder else "\U0010ffff"  # 0 is the letter after the slash
        while rows := self.all(BELOW, (source, *after, end, AT_ONCE)):
            entries = [ImageEntry(*row) for row in rows]
            yield entries
            after = (entries[-1].path, entries[-1].id)

    def ids(self, *, after: str = "", limit: int = 1000) -> list[str]:
        """The indexed ids greater than `after`, in order."""
        rows = self.all("SELECT id FROM images WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [id for (id,) in rows]

    def random_ids(self, count: int) -> list[str]:
        """So many of the ids, each as likely as any other, in random order; all where there are
        fewer. Looks at every id: 0.15 s with a million."""
        rows = self.all("SELECT id FROM images ORDER BY random() LIMIT ?", (count,))
        return [id for (id,) in rows]

    def count(self, source: int | None = None) -> int:
        """How many images are indexed, in all or from one source."""
        if source is None:
            return self.number("SELECT count(*) FROM images")
        return self.number("SELECT count(*) FROM images WHERE source = ?", (source,))

    def skips(self, source: int, ids: Sequence[str]) -> dict[tuple[str, str], SkippedEntry]:
        """The skipped images of a source with these ids, by (id, path)."""
        rows = self.by_ids("SELECT * FROM skipped WHERE source = ? AND id IN", ids, (source,))
        return {(row[1], row[2]): SkippedEntry(*row) for row in rows}

    def skipped(self) -> Iterator[SkippedEntry]:
        """Every skipped image, by source and id."""
        rows = self.all("SELECT * FROM skipped ORDER BY source, id, path")
        return (SkippedEntry(*row) for row in rows)

    def skipped_count(self) -> int:
        """How many images are skipped."""
        return self.number("SELECT count(*) FROM skipped")

    # writing

    def doubt(self, ids: Iterable[str]) -> None:
        """Note ids whose store entries are about to change."""
        with self.write() as db:
            db.executemany("INSERT OR IGNORE INTO in_doubt VALUES (?)", ((id,) for id in ids))

    def acknowledge(
        self,
        images: Iterable[ImageEntry],
        skipped: Iterable[SkippedEntry] = (),
        gone: Sequence[str] = (),
        held: Held | None = None,
    ) -> None:
        """Record, in one step, images whose store entries are written, images that were skipped,
        and ids whose store entries are to be deleted (these are in doubt until `settled`).

        `held` says which spaces have the embeddings of new contents; None: no content is new."""
        with self.write() as db:
            if held is not None:
                images = list(images)
                known = self.images([image.id for image in images])
                new = [i.id for i in images if i.id not in known or known[i.id].sha256 != i.sha256]
                self.spaces.fall_behind(db, new, held)
            forget(db, gone)
            for image in images:
                db.execute(
                    "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)",
                    astuple(image),
                )
                db.execute(
                    "DELETE FROM skipped WHERE source = ? AND id = ? AND path = ?",
                    (image.source, image.id, image.path),
                )
                db.execute("DELETE FROM in_doubt WHERE id = ?", (image.id,))
            for skip in skipped:
                db.execute(
                    "INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?, ?, ?, ?)",
                    astuple(skip),
                )

    def forget(self, ids: Sequence[str]) -> None:
        """Take indexed images out; they stay in doubt until `settled`."""
        with self.write() as db:
            forget(db, ids)

    def look_again(self, ids: Iterable[str]) -> None:
        """Distrust images whose store entries may be ahead: the next run embeds them anew."""
        with self.write() as db:
            for id in ids:
                db.execute("UPDATE images SET size = -1, sha256 = '' WHERE id = ?", (id,))
                db.execute("DELETE FROM in_doubt WHERE id = ?", (id,))

    def settled(self, ids: Iterable[str]) -> None:
        """The store agrees about these ids."""
        with self.write() as db:
            db.executemany("DELETE FROM in_doubt WHERE id = ?", ((id,) for id in ids))

    def unsettled(self) -> tuple[list[str], list[str]]:
        """After a crash: the ids in doubt that are indexed here, and those that are not."""
        rows = self.all(
            "SELECT d.id, i.id IS NOT NULL FROM in_doubt d LEFT JOIN images i ON i.id = d.id"
        )
        return [id for id, here in rows if here], [id for id, here in rows if not here]

    # one run over a source

    def start_run(self, source: int) -> None:
        """Forget which images of the source were seen."""
        with self.write() as db:
            db.execute("DROP INDEX IF EXISTS temp.seen_path")
            db.execute("DELETE FROM seen WHERE source = ?", (source,))

    def see(self, source: int, keys: Sequence[tuple[str, str]]) -> list[str | None]:
        """Mark (id, path) pairs as seen in this run; for each, the path that claimed the id first
        (the same path: it stands in the source twice), None when the id is new in this run."""
        with self.write() as db:
            claimed = {
                id: path
                for id, path, _ in self.by_ids(
                    # `path` is that of the first row: SQLite takes it from where the minimum is
                    "SELECT id, path, min(rowid) FROM seen WHERE source = ? AND id IN",
                    [id for id, _ in keys],
                    (source,),
                    then="GROUP BY id",
                )
            }
            rows = ((source, id, path) for id, path in keys)
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", rows)
        claims: list[str | None] = []
        for id, path in keys:
            claims.append(claimed.get(id))
            claimed.setdefault(id, path)
        return claims

    def unseen(self, source: int) -> Iterator[Unseen]:
        """The indexed images of the source that this run did not meet, in the order of ids."""
        self.all("CREATE INDEX IF NOT EXISTS temp.seen_path ON seen (source, path)")
        after = ""
        while rows := self.all(UNSEEN, (source, after, AT_ONCE)):
            yield from (Unseen(id, path, bool(doubled)) for id, path, doubled in rows)
            after = rows[-1][0]

    def drop_unseen_skips(self, source: int) -> None:
        """Forget skipped images that the source no longer names."""
        with self.write() as db:
            db.execute(
                "DELETE FROM skipped WHERE source = ? AND NOT EXISTS (SELECT 1 FROM seen s"
                " WHERE s.source = skipped.source AND s.id = skipped.id AND s.path = skipped.path)",
                (source,),
            )

    def _read_sources(self) -> dict[int, tuple[str, str]]:
        rows = self.all("SELECT source, root, base FROM sources")
        return {source: (root, base) for source, root, base in rows}


def forget(db: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Take images out and put them in doubt, inside a transaction."""
    db.executemany("INSERT OR IGNORE INTO in_doubt VALUES (?)", ((id,) for id in ids))
    db.executemany("DELETE FROM images WHERE id = ?", ((id,) for id in ids))
    db.executemany("DELETE FROM behind WHERE id = ?", ((id,) for id in ids))
