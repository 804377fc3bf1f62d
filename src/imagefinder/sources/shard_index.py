"""Finding a member of an archive by its name, which takes reading through the archive once."""

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from imagefinder import objects
from imagefinder.errors import FetchError, SourceError
from imagefinder.sources.address import local_path, scheme
from imagefinder.sources.archive import (
    Bytes,
    DamagedError,
    LocalBytes,
    StoredBytes,
    members,
)
from imagefinder.sources.names import extension, is_image_name
from imagefinder.sources.shard import inner_path

MOST_MEMBERS = 500_000  # of all archives that are remembered; 100 MB

_Key: TypeAlias = tuple[str, int | None, int | None]  # uri, size, time


class OpenBytes(Bytes, AbstractContextManager["OpenBytes"], Protocol):
    """Bytes to close."""


@dataclass(frozen=True, slots=True)
class Found:
    """An archive as it is now."""

    uri: str
    size: int
    mtime_ns: int | None
    open: Callable[[], OpenBytes]


@dataclass(slots=True)
class Index:
    """Name -> place and size of the images of one archive, and of what may be one by its name.
    `problem` is why it may hold more than that."""

    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    problem: str | None = None
    made: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ShardIndexes:
    """The indexes of the archives that were asked for last; for several threads at once."""

    def __init__(self, most_members: int = MOST_MEMBERS) -> None:
        self._most = most_members
        self._lock = threading.Lock()
        self._indexes: OrderedDict[_Key, Index] = OrderedDict()

    def of(self, shard: Found) -> Index:
        """Made where it is not known, once, however many threads ask. Raises FetchError where the
        archive cannot be read, which is no damage of it."""
        key = (shard.uri, shard.size, shard.mtime_ns)
        with self._lock:
            index = self._indexes.setdefault(key, Index())
            self._indexes.move_to_end(key)
        with index.lock:
            if not index.made:
                _fill(index, shard)
                self._make_room(key)
        return index

    def _make_room(self, kept: _Key) -> None:
        with self._lock:
            total = sum(len(index.places) for index in self._indexes.values())
            for key in list(self._indexes):
                if total <= self._most:
                    break
                if key != kept:
                    total -= len(self._indexes.pop(key).places)


def find_shard(uri: str) -> Found | None:
    """The archive at a uri, None where no file is there. Raises FetchError where that cannot be
    told."""
    if scheme(uri) in (None, "file"):
        return _local(local_path(uri))
    try:
        store, path = objects.open_store(uri)
        info = store.info(path)
    except FileNotFoundError:
        return None
    except SourceError as error:
        raise FetchError(str(error)) from error
    except Exception as error:  # each driver has its own errors
        raise FetchError(objects.reason(error)) from error
    size = info.get("size")
    if info.get("type") != "file" or not isinstance(size, int):
        return None
    return Found(uri, size, objects.mtime_ns(info), lambda: StoredBytes(store, path, size))


def _local(path: str) -> Found | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise FetchError(f"cannot be read: {reason.lower()}") from error
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(path, status.st_size, status.st_mtime_ns, lambda: LocalBytes(path))


def _fill(index: Index, shard: Found) -> None:
    index.places, index.problem = {}, None
    with shard.open() as archive:
        try:
            for member in members(archive):
                name = inner_path(member.name)
                if name is not None and (is_image_name(name) or not extension(name)):
                    index.places.setdefault(name, (member.offset, member.size))
        except DamagedError as error:
            index.problem = str(error)
    index.made = True
