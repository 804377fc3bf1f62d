"""The bytes of one URI: a local file, an HTTP(S) URL, an object of an object store, a member of a
tar archive."""

import os
import stat
import threading
import weakref
from typing import TYPE_CHECKING

from imagefinder import objects
from imagefinder.errors import FetchError, SourceError
from imagefinder.sources.address import is_http, local_path, scheme
from imagefinder.sources.archive import LocalBytes
from imagefinder.sources.shard import MemberRef, split_at_shards
from imagefinder.sources.shard_index import ShardIndexes, find_shard
from imagefinder.types import ImageRef

if TYPE_CHECKING:
    import httpx
    from fsspec.spec import AbstractFileSystem

    from imagefinder.sources.web import Web


class Fetcher:
    """Reads URIs, from any number of threads at once.

    `timeout` (seconds) is for an answer to come and for the data to go on coming at 10 kB/s at
    least, in each of `retries` + 1 attempts. `per_host` bounds the connections to one host.
    `transport` stands in for the network, as in httpx.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 200_000_000,
        timeout: float = 20.0,
        retries: int = 3,
        per_host: int = 4,
        transport: "httpx.BaseTransport | None" = None,
    ) -> None:
        self._max_bytes, self._timeout, self._retries = max_bytes, timeout, retries
        self._per_host, self._transport = per_host, transport
        self._lock = threading.Lock()
        self._web: Web | None = None
        self._shards = ShardIndexes()

    def read(self, uri: str) -> bytes:
        """All bytes of a path or URL, also of a member of an archive: `a.tar/b.jpg`. Raises
        FetchError with the reason in words, without the URI.

        Raises MissingExtraError when an object store's driver is not installed.
        """
        if is_http(uri):
            return self._opened_web().read(uri)
        if (found := self._in_shard(uri)) is not None:
            return self._read_part(*found)
        if scheme(uri) in (None, "file"):
            return _read_file(local_path(uri), self._max_bytes)
        filesystem, path = _opened_store(uri)
        return objects.read(filesystem, path, self._max_bytes)

    def read_ref(self, ref: ImageRef) -> bytes:
        """The same of an image as its source names it: of a member, the place is known."""
        if isinstance(ref, MemberRef):
            return self._read_part(ref.shard, ref.offset, ref.size or 0)
        return self.read(ref.uri)

    def in_shard(self, shard: str, member: str) -> bool | None:
        """Whether an archive holds an image of this name, or may: what is damaged could have held
        it. None where no archive is there. Raises FetchError where it cannot be read."""
        found = find_shard(shard)
        if found is None:
            return None
        index = self._shards.of(found)
        return member in index.places or index.problem is not None

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def close(self) -> None:
        """Ends waits and connections; a `read` that is under way raises FetchError."""
        if self._web is not None:
            self._web.close()

    def _in_shard(self, uri: str) -> tuple[str, int, int] | None:
        """Archive, place and size of a member; None where the uri goes through no archive."""
        for shard, member in split_at_shards(uri):
            if (found := find_shard(shard)) is not None:
                index = self._shards.of(found)
                if (place := index.places.get(member)) is None:
                    raise FetchError(index.problem or "no such member of the archive")
                return found.uri, *place
        return None

    def _read_part(self, shard: str, offset: int, size: int) -> bytes:
        """A member of an archive, at a place that is known."""
        if size > self._max_bytes:
            raise FetchError(f"larger than {self._max_bytes / 1e6:g} MB")
        if scheme(shard) in (None, "file"):
            with LocalBytes(local_path(shard)) as archive:
                data = archive.at(offset, size)
        else:
            data = objects.read_part(*_opened_store(shard), offset, size) if size else b""
        if len(data) < size:
            raise FetchError("the archive has changed meanwhile")
        return data

    def _opened_web(self) -> "Web":
        with self._lock:
            if self._web is None:
                from imagefinder.sources.web import Web  # httpx: 0.1 s, not needed for folders

                self._web = Web(
                    self._max_bytes, self._timeout, self._retries, self._per_host, self._transport
                )
                weakref.finalize(self, self._web.close)
            return self._web


def _opened_store(uri: str) -> "tuple[AbstractFileSystem, str]":
    try:
        return objects.open_store(uri)
    except SourceError as error:
        raise FetchError(str(error)) from error


def is_there(path: str) -> bool:
    """Whether a file is at the path, or may be: what cannot be looked at, as in a folder without
    permission or on a disk that fails, is not gone."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _read_file(path: str, max_bytes: int) -> bytes:
    # Without O_NONBLOCK, opening a pipe that took the file's place would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FetchError("not a regular file")
            if status.st_size > max_bytes:
                raise FetchError(f"larger than {max_bytes / 1e6:g} MB")
            return file.read(status.st_size + 1)  # a buffer of the limit's size would be slow
    except FileNotFoundError as error:
        raise FetchError("no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise FetchError(f"cannot be read: {reason.lower()}") from error
