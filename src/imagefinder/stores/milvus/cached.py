"""What others may change, read anew now and then."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from threading import Lock
from typing import Generic, TypeVar

from imagefinder.stores.milvus.freshness import newest

Key = TypeVar("Key")
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


class Known(Generic[Key, Value]):
    """A table that others add to. A key that is not in what was read is looked for among the newest
    there is, once in FOR seconds."""

    def __init__(self, read: Callable[[], Mapping[Key, Value]]) -> None:
        self._cached = Cached(read)
        self._absent: dict[Key, float] = {}  # when each was looked for

    def entries(self) -> Mapping[Key, Value]:
        return Looking(self._cached.value(), self._newest)

    def now(self) -> Mapping[Key, Value]:
        return self._cached.now()

    def forget(self) -> None:
        self._cached.forget()
        self._absent.clear()

    def _newest(self, key: Key) -> Value:
        found = self._cached.value()
        looked = self._absent.get(key)
        if key not in found and (looked is None or time.monotonic() - looked > FOR):
            self._cached.forget()
            found = self._cached.now()
            if key not in found:
                self._absent[key] = time.monotonic()
        return found[key]


class Looking(Mapping[Key, Value]):
    """What was known at one moment; a key that is not in it is looked for."""

    def __init__(self, known: Mapping[Key, Value], look: Callable[[Key], Value]) -> None:
        self._known, self._look = known, look

    def __getitem__(self, key: Key) -> Value:
        return self._known[key] if key in self._known else self._look(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
