"""Whether objects are still there, asked one after the other."""

import threading
from typing import TYPE_CHECKING

from imagefinder import objects
from imagefinder.errors import SourceError
from imagefinder.sources.listing import is_s3, page_of_s3

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem


class Presence:
    """Of objects below a prefix. For several threads at once.

    `--prune` asks for what is gone in the order of paths, mostly. S3 answers the first of them, and
    along with it what comes next: the paths up to there need no request.
    """

    def __init__(self, store: "AbstractFileSystem", prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._lock = threading.Lock()
        self._from, self._to = "", ""  # of what is known, in the order of UTF-8
        self._there: set[str] = set()

    def of(self, path: str) -> bool:
        """Raises SourceError where it cannot be told."""
        with self._lock:
            if self._from <= path <= self._to:
                return path in self._there
        if not is_s3(self._store, self._prefix):
            return self._asked(path)
        if self._asked_s3(path):
            return True
        found, token = page_of_s3(self._store, self._prefix, StartAfter=path)
        paths = [item.path for item in found]
        with self._lock:
            self._from, self._there = path, set(paths)
            self._to = "\U0010ffff" if token is None else max([path, *paths[-1:]])
        return False

    def _asked(self, path: str) -> bool:
        try:
            return bool(self._store.exists(self._prefix + path))
        except Exception as error:  # each driver has its own errors
            raise SourceError(objects.reason(error)) from error

    def _asked_s3(self, path: str) -> bool:
        bucket, _, key = (self._prefix + path).partition("/")
        try:
            self._store.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            return False
        except Exception as error:  # botocore has its own errors
            raise SourceError(objects.reason(error)) from error
        return True
