"""Builds search indexes in the background, while searches and writes go on."""

import logging
from collections.abc import Sequence
from threading import Lock, Thread

from imagefinder.errors import CollectionError
from imagefinder.protocols import VectorStore

log = logging.getLogger("imagefinder")


class Optimizer:
    """At most one build at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False

    def poke(self, *stores: VectorStore, after_run: bool = False) -> None:
        """Start to build those that want it, unless a build runs."""
        with self._lock:
            if self._closed or self.busy:
                return
            wanting = [store for store in stores if store.needs_optimize(after_run=after_run)]
            if wanting:
                # no daemon: Python must not end while the thread is inside zvec, which would abort
                self._thread = Thread(target=build, args=(wanting,), name="optimize")
                self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a build runs now."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wait(self) -> None:
        """Until the running build, if any, is done."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """Wait for the running build; no other begins."""
        with self._lock:
            self._closed = True
        self.wait()


def build(stores: Sequence[VectorStore]) -> None:
    """A failed build loses nothing: searches stay right, only slower; the next one retries."""
    for store in stores:
        try:
            store.optimize()
        except CollectionError as error:
            log.warning("the search index could not be built: %s", error)
