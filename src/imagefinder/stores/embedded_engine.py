"""zvec at the door: set up once, kept from running out of disk, its errors told in our words."""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zvec
from zvec.typing import Status, StatusCode

from imagefinder.errors import (
    CollectionDamagedError,
    CollectionError,
    CollectionInUseError,
    StoreError,
)

__all__ = ["RESERVE", "check_space", "check_statuses", "check_writable", "set_up", "translated"]

RESERVE = 32 << 20  # bytes

_lock = threading.Lock()
_ours: bool | None = None


def set_up() -> bool:
    """Once a process: no log on the console, and filters that never fall back to reading all rows.

    That fallback of zvec 0.8 (for a filter that most documents pass) fails with "mismatching schema
    size" in some states of a collection. Returns False where the host program has set zvec up
    itself, so that filters must not be left to it.
    """
    global _ours  # noqa: PLW0603 - zvec's settings are as global
    with _lock:
        if _ours is None:
            try:
                zvec.init(
                    log_type=zvec.LogType.CONSOLE,
                    log_level=zvec.LogLevel.FATAL,
                    invert_to_forward_scan_ratio=1.0,
                    # With more, two searches of a collection that was written to after it was
                    # optimized wait for each other for ever, within a second. It is no slower:
                    # each of our threads searches by itself.
                    query_threads=1,
                )
                _ours = True
            except RuntimeError:
                _ours = False
        return _ours


def check_space(path: Path, needed: int) -> None:
    """Raises StoreError before a write of about so many bytes could fill the disk.

    zvec writes through mapped files that it grows 4 MB at a time. The kernel ends the process
    (SIGBUS) when the disk turns out to be full behind such a file.
    """
    free = shutil.disk_usage(path).free
    if free < needed + RESERVE:
        raise StoreError(
            f"{path}: the disk has {free >> 20:,} MB free, {(needed + RESERVE) >> 20:,} MB are"
            " needed to write safely; free some space and try again"
        )


def check_writable(path: Path) -> None:
    """Raises StoreError. zvec needs to write even to a collection that is only searched."""
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreError(f"{path} is not writable; give yourself the right to write there")
    check_space(path, 0)


@contextmanager
def translated(path: Path, *, opening: bool = False) -> Iterator[None]:
    """What zvec raises comes out as an error of ours; `opening` says that files may be damaged."""
    try:
        yield
    except CollectionError:
        raise
    except (RuntimeError, ValueError, KeyError, OSError, TypeError, MemoryError) as error:
        raise _told(str(error), path, opening) from error


def _told(message: str, path: Path, opening: bool) -> CollectionError:
    message = message.strip() or "no reason given"
    if "Can't lock" in message:
        return CollectionInUseError(
            f"{path} is open in another process; close it there, or let that process serve it"
        )
    if opening:
        return CollectionDamagedError(
            f"{path} cannot be read ({message});"
            " restore a backup, or delete the collection and index again"
        )
    return StoreError(
        f"{path}: the store failed ({message});"
        " check that the disk is writable and has free space, then try again"
    )


def check_statuses(statuses: Sequence[Status], path: Path) -> int:
    """How many documents a write found. Raises StoreError for any other outcome than not found."""
    found = 0
    for status in statuses:
        if status.ok():
            found += 1
        elif status.code() != StatusCode.NOT_FOUND:
            raise _told(status.message(), path, opening=False)
    return found
