"""Builds search indexes in the background, while searches and writes go on."""

import logging
from threading import Lock, Thread

from imagefinder.errors import StoreError
from imagefinder.stores.embedded import EmbeddedStore

log = logging.getLogger("imagefinder")


class Optimizer:
    """At most one build at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: Thread | None = None

    def poke(self, store: EmbeddedStore) -> None:
        """Start a build when the store wants one and none runs."""
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and store.needs_optimize():
                self._thread = Thread(target=build, args=(store,), name="optimize", daemon=True)
                self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a build runs now."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        """Until the running build, if any, is done."""
        thread = self._thread
        if thread is not None:
            thread.join()


def build(store: EmbeddedStore) -> None:
    """A failed build loses nothing: searches stay right, only slower; the next one retries."""
    try:
        store.optimize()
    except StoreError as error:
        log.warning("the search index could not be built: %s", error)
