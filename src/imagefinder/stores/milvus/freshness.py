"""How fresh a thread wants what it reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_THREAD = threading.local()


@contextmanager
def newest() -> Iterator[None]:
    """Within it every read from Milvus on this thread sees all that was written before, by anyone;
    each waits for it some 0.2 s."""
    before = wanted()
    _THREAD.newest = True
    try:
        yield
    finally:
        _THREAD.newest = before


def wanted() -> bool:
    """Whether this thread is within `newest`."""
    return bool(getattr(_THREAD, "newest", False))
