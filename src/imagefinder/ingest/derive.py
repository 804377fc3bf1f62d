"""A space of an adapted model, made of its base model's embeddings: no image is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np

from imagefinder.arrays import Embeddings
from imagefinder.collection import Collection
from imagefinder.ingest.run import no_one

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Deriver:
    """Fills `space` with what `project` makes of the rows of `base`. What the base lacks is left
    for `Filler`. A run that is cut off goes on where it was."""

    collection: Collection
    space: str
    base: str
    project: Callable[[Embeddings], Embeddings]
    stop: Event | None = None
    on_progress: Callable[[int, int | None], None] = no_one

    def all(self) -> int:
        """Every image that it lacks and the base has; how many those were."""
        total = self.collection.ledger.spaces.behind_count(self.space)
        added = 0
        for ids in self._lacking():
            if self.stop is not None and self.stop.is_set():
                break
            added += self.some(ids)
            self.on_progress(added, total)
        return added

    def some(self, ids: Sequence[str]) -> int:
        """Those of these images."""
        spaces = self.collection.ledger.spaces
        with self.collection.holding(ids):
            lacking = sorted(spaces.lacking(self.space, ids))
            records, _ = self.collection.records_in(self.base, lacking)
            found = self.collection.store(self.base).embeddings(list(records))
            if not found:
                return 0
            rows = self.project(np.stack(list(found.values())))
            lengths = np.linalg.norm(rows, axis=1)
            usable = np.isfinite(lengths) & (lengths > 0)
            made = [id for id, use in zip(found, usable.tolist(), strict=True) if use]
            if made:
                store = self.collection.store(self.space)
                store.upsert([records[id] for id in made], rows[usable])
                spaces.caught_up(self.space, made, {})
        return len(made)

    def _lacking(self) -> Iterator[list[str]]:
        after, spaces = "", self.collection.ledger.spaces
        while ids := spaces.behind(self.space, after=after, limit=AT_ONCE, failed=True):
            yield ids
            after = ids[-1]
