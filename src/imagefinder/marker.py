"""What makes a directory a collection: a small file that says which format it has."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from imagefinder.errors import CollectionDamagedError, CollectionFormatError

FORMAT = 2
MARKER = "collection.json"
NEW_MARKER = f"{MARKER}.new"

SEVERAL_SPACES = """
BEGIN;
CREATE TABLE several (
    name TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    dim INTEGER NOT NULL,
    model TEXT NOT NULL,
    distance TEXT NOT NULL
);
INSERT INTO several SELECT name, fingerprint, dim, name, 'cosine' FROM spaces ORDER BY rowid;
UPDATE several SET model = '' WHERE fingerprint LIKE 'imported:%';
DROP TABLE spaces;
ALTER TABLE several RENAME TO spaces;
COMMIT;
"""


def is_collection(path: Path) -> bool:
    """Whether the directory is a collection."""
    return (path / MARKER).is_file()


def is_occupied(path: Path) -> bool:
    """Whether the directory holds anything, not counting what a crash left of `write_marker`."""
    return any(entry.name != NEW_MARKER for entry in path.iterdir())


def write_marker(path: Path, version: int) -> None:
    """Say that the directory is a collection of this format, in one step."""
    temporary = path / NEW_MARKER
    temporary.write_text(json.dumps({"format": version}) + "\n")
    temporary.replace(path / MARKER)


def upgrade(path: Path, name: str) -> None:
    """Bring an older format to this one, step by step; refuse a newer one."""
    version = read_format(path, name)
    if version > FORMAT:
        raise CollectionFormatError(
            f"{name}: has format {version}, this version of imagefinder reads up to {FORMAT};"
            " upgrade imagefinder: pip install -U imagefinder"
        )
    while version < FORMAT:
        UPGRADES[version](path)
        version += 1
        write_marker(path, version)


def read_format(path: Path, name: str) -> int:
    """The format's version. Raises CollectionDamagedError."""
    try:
        version = int(json.loads((path / MARKER).read_text())["format"])
        if version < 1:
            raise ValueError(f"format {version}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CollectionDamagedError(
            f"{name}: {MARKER} cannot be read ({error}); restore a backup of the collection"
        ) from error
    return version


def several_spaces(path: Path) -> None:
    """A space remembers its model and its distance."""
    file = path / "ledger.sqlite"
    if not file.exists():  # nothing was indexed yet
        return
    with closing(sqlite3.connect(file)) as db:
        columns = {row[1] for row in db.execute("PRAGMA table_info(spaces)")}
        if columns and "model" not in columns:  # else a crash came after it
            db.executescript(SEVERAL_SPACES)


# from format N to N + 1: what turns the directory into the next format; 1 is the first
UPGRADES: dict[int, Callable[[Path], None]] = {1: several_spaces}
