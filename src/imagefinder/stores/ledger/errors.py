"""What a person is told when SQLite cannot go on."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagefinder.errors import CollectionDamagedError, CollectionError, StoreError, UsageError


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise told(error, path) from error
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object!r}: not valid UTF-8; no image has such an id") from error


def told(error: sqlite3.DatabaseError, path: Path) -> CollectionError:
    """What a person can do about it. The low byte of the code is the kind of error."""
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    match kind:
        case sqlite3.SQLITE_MISUSE:  # of Python's own making
            return StoreError(f"{path.parent}: the collection is closed ({error}); open it again")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(f"{path}: another program has it open; close it and try again")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
            return CollectionDamagedError(
                f"{path}: the ledger is damaged ({error}); restore a backup,"
                " or index into a new collection"
            )
    return StoreError(
        f"{path}: cannot be read or written ({error}); free space or check the permissions,"
        " then run the same command again"
    )
