"""Building the next generation of a store beside the one in use."""

import threading
from collections.abc import Callable, Iterable

from zvec import Doc

from imagefinder.errors import StoreError
from imagefinder.stores.embedded_engine import check_space, check_statuses
from imagefinder.stores.embedded_generation import Generation
from imagefinder.stores.embedded_search import bucket_page, parts

__all__ = ["Build"]

MAX_BATCH = 1000  # documents of one write; zvec takes 1,024
FEW = 100  # keys that are caught up with while writes wait; some milliseconds


class Build:
    """A copy of a generation with a new graph. What is written to the old one meanwhile is noted
    by its key, and copied again."""

    def __init__(self, old: Generation, go_on: Callable[[], None]) -> None:
        """`go_on` raises when the build is not wanted any more; asked between steps."""
        self._old, self._go_on = old, go_on
        self._changed: set[str] = set()
        self._lock = threading.Lock()

    def note(self, keys: Iterable[str]) -> None:
        """These were written to the old generation, or may have been."""
        with self._lock:
            self._changed.update(keys)

    def run(self) -> Generation:
        """Everything but what `finish` is for. The old generation must not close meanwhile."""
        new = self._old.next()
        try:
            for low, high in parts(self._old.count()):
                self._go_on()
                _put(new, bucket_page(self._old.zvec, low, high))
            self._go_on()
            new.zvec.optimize()
            while len(self._changed) > FEW:
                self._go_on()
                self._catch_up(new)
        except BaseException:
            new.discard()
            raise
        return new

    def finish(self, new: Generation) -> None:
        """The last changes, while nothing is written to the old generation."""
        try:
            self._catch_up(new)
            new.take_over()
        except BaseException:
            new.discard()
            raise

    def _catch_up(self, new: Generation) -> None:
        with self._lock:
            keys, self._changed = list(self._changed), set()
        for start in range(0, len(keys), MAX_BATCH):
            part = keys[start : start + MAX_BATCH]
            docs = self._old.zvec.fetch(part)
            check_statuses(new.zvec.delete([key for key in part if key not in docs]), new.folder)
            _put(new, list(docs.values()))


def _put(generation: Generation, docs: list[Doc]) -> None:
    for start in range(0, len(docs), MAX_BATCH):
        part = docs[start : start + MAX_BATCH]
        check_space(generation.folder, 0)
        if check_statuses(generation.zvec.upsert(part), generation.folder) < len(part):
            raise StoreError(f"{generation.folder}: not every image was copied; try again")
