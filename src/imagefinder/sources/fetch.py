"""The bytes of one URI: a local file, an HTTP(S) URL, an object of an object store."""

import os
import stat
import threading
import weakref
from typing import TYPE_CHECKING

from imagefinder.errors import FetchError, SourceError
from imagefinder.sources import objects
from imagefinder.sources.address import is_http, local_path, scheme

if TYPE_CHECKING:
    import httpx

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

    def read(self, uri: str) -> bytes:
        """All bytes of a path or URL. Raises FetchError with the reason in words, without the URI.

        Raises MissingExtraError when an object store's driver is not installed.
        """
        if is_http(uri):
            return self._opened_web().read(uri)
        if scheme(uri) in (None, "file"):
            return _read_file(local_path(uri), self._max_bytes)
        try:
            filesystem, path = objects.open_store(uri)
        except SourceError as error:
            raise FetchError(str(error)) from error
        return objects.read(filesystem, path, self._max_bytes)

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    def close(self) -> None:
        """Ends waits and connections; a `read` that is under way raises FetchError."""
        if self._web is not None:
            self._web.close()

    def _opened_web(self) -> "Web":
        with self._lock:
            if self._web is None:
                from imagefinder.sources.web import Web  # httpx: 0.1 s, not needed for folders

                self._web = Web(
                    self._max_bytes, self._timeout, self._retries, self._per_host, self._transport
                )
                weakref.finalize(self, self._web.close)
            return self._web


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
