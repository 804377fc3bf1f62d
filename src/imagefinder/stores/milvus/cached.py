"""What others may change, read anew now and then."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import Generic, TypeVar

from imagefinder.stores.milvus.freshness import newest

Value = TypeVar("Value")

FOR = 2.0  # seconds


class Cached(Generic[Value]):
    """What `read` gives, not older than FOR; asked for in every search. Safe from threads."""

    def __init__(self, read: Callable[[], Value]) -> None:
        self._read = read
        self._lock = Lock()
        self._found: tuple[float, Value] | None = None  # when it was read

    def value(self) -> Value:
        found = self._found
        if found is not None and time.monotonic() - found[0] < FOR:
            return found[1]
        return self.now()

    def now(self) -> Value:
        """Read anew; the newest there is after a change of one's own."""
        with self._lock:
            at, changed = time.monotonic(), self._found is None
            with newest() if changed else nullcontext():
                value = self._read()
            self._found = at, value
            return value

    def forget(self) -> None:
        """It has changed."""
        self._found = None
