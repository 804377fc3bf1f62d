"""Building the next generation of a store beside the one in use."""

import threading
from collections.abc import Callable, Iterable

from zvec import Doc

from imagefinder.ahead import chunks
from imagefinder.errors import StoreError
from imagefinder.stores.embedded_engine import check_space, check_statuses
from imagefinder.stores.embedded_generation import Generation
from imagefinder.stores.embedded_search import bucket_page, parts

__all__ = ["MAX_BATCH", "MAX_KEYS", "Build"]

MAX_BATCH = 32  # documents of one write; 4 ms in which nobody reads, and no slower than 1,000
MAX_KEYS = 1000  # that go to zvec at once where nobody waits; it takes 1,024
FEW = 100  # keys that are caught up with while writes wait; some milliseconds


class Build:
    """A copy of a generation with a new graph. What is written to the old one meanwhile is noted
    by its key, and copied again."""

    def __init__(self, old: Generation, writing: threading.Lock, go_on: Callable[[], None]) -> None:
        """`writing` is held by whoever writes to the old generation. `go_on` raises when the
        build is not wanted any more; it is asked between steps."""
        self._old, self._writing, self._go_on = old, writing, go_on
        self._changed: set[str] = set()

    def note(self, keys: Iterable[str]) -> None:
        """These were written to the old generation. Call it while you still hold `writing`."""
        self._changed.update(keys)

    def run(self) -> Generation:
        """Everything but what `finish` is for. The old generation must not close meanwhile."""
        new = self._old.next()
        try:
            for low, high in parts(self._old.count()):
                self._go_on()
                with self._writing:
                    docs = bucket_page(self._old.zvec, low, high)
                _put(new, docs)
            self._go_on()
            new.zvec.optimize()
            while len(self._changed) > FEW:
                self._go_on()
                with self._writing:
                    changes = self._changes()
                self._apply(changes, new)
        except BaseException:
            new.discard()
            raise
        return new

    def finish(self, new: Generation) -> None:
        """The last changes. Call it while you hold `writing`, and until `new` is in use."""
        try:
            self._apply(self._changes(), new)
            new.take_over()
        except BaseException:
            new.discard()
            raise

    def _changes(self) -> dict[str, Doc | None]:
        """What became of the noted keys; None: deleted."""
        keys, self._changed = list(self._changed), set()
        changes: dict[str, Doc | None] = dict.fromkeys(keys)
        for part in chunks(keys, MAX_KEYS):
            changes.update(self._old.zvec.fetch(part))
        return changes

    def _apply(self, changes: dict[str, Doc | None], new: Generation) -> None:
        gone = [key for key, doc in changes.items() if doc is None]
        for part in chunks(gone, MAX_KEYS):
            check_statuses(new.zvec.delete(part), new.folder)
        _put(new, [doc for doc in changes.values() if doc is not None])


def _put(generation: Generation, docs: list[Doc]) -> None:
    for part in chunks(docs, MAX_BATCH):
        check_space(generation.folder, 0)
        if check_statuses(generation.zvec.upsert(part), generation.folder) < len(part):
            raise StoreError(f"{generation.folder}: not every image was copied; try again")
