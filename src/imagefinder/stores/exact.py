"""The oracle: everything in memory, every search a look at every embedding."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.errors import StoreError, UsageError
from imagefinder.filters import Filter
from imagefinder.stores.ids import check_ids
from imagefinder.stores.vectors import image_rows, query_rows, scores
from imagefinder.types import Distance, ImageRecord, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["ExactStore"]


@dataclass(frozen=True, slots=True)
class _Item:
    record: ImageRecord
    embedding: "Embedding"


class ExactStore:
    """A VectorStore that every other one is compared with. Nothing outlives the process."""

    def __init__(self, dim: int, distance: Distance = "cosine") -> None:
        self._dim, self._distance = dim, distance
        self._items: dict[str, _Item] | None = {}
        self._lock = threading.Lock()

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def distance(self) -> Distance:
        return self._distance

    def upsert(self, records: Sequence[ImageRecord], embeddings: "Embeddings") -> None:
        rows = image_rows(embeddings, self._dim, len(records), self._distance)
        check_ids(record.id for record in records)
        with self._lock:
            for record, row in zip(records, rows, strict=True):
                self._open()[record.id] = _Item(record, row.copy())

    def update(self, records: Sequence[ImageRecord]) -> None:
        with self._lock:
            items = self._open()
            for record in records:
                if record.id in items:
                    items[record.id] = _Item(record, items[record.id].embedding)

    def delete(self, ids: Sequence[str]) -> int:
        with self._lock:
            items = self._open()
            return sum(items.pop(id, None) is not None for id in ids)

    def get(self, ids: Sequence[str]) -> Mapping[str, ImageRecord]:
        with self._lock:
            items = self._open()
            return {id: items[id].record for id in ids if id in items}

    def embeddings(self, ids: Sequence[str]) -> "Mapping[str, Embedding]":
        with self._lock:
            items = self._open()
            return {id: items[id].embedding.copy() for id in ids if id in items}

    def search(
        self,
        queries: "Embeddings",
        k: int,
        *,
        filter: Filter | None = None,
        exact: bool = False,
    ) -> list[list[Scored]]:
        if k < 1:
            raise UsageError(f"k is {k}; ask for at least 1 image")
        rows = query_rows(queries, self._dim, self._distance)
        items = [item for item in self._snapshot() if filter is None or filter.matches(item.record)]
        return [_closest(items, query, k, self._distance) for query in rows]

    def scan(self) -> "Iterator[tuple[ImageRecord, Embedding]]":
        for item in self._snapshot():
            yield item.record, item.embedding.copy()

    def count(self) -> int:
        with self._lock:
            return len(self._open())

    def optimize(self) -> None:
        with self._lock:
            self._open()

    def needs_optimize(self, *, after_run: bool = False) -> bool:
        with self._lock:
            self._open()
        return False

    def flush(self) -> None:
        with self._lock:
            self._open()

    def close(self) -> None:
        with self._lock:
            self._items = None

    def _snapshot(self) -> list[_Item]:
        with self._lock:
            return list(self._open().values())

    def _open(self) -> dict[str, _Item]:
        if self._items is None:
            raise StoreError("the collection is closed; open it again")
        return self._items


def _closest(items: list[_Item], query: "Embedding", k: int, distance: Distance) -> list[Scored]:
    if not items:
        return []
    rows = np.stack([item.embedding for item in items])
    found = map(Scored, [item.record for item in items], scores(rows, query, distance))
    return sorted(found, key=lambda hit: (-hit.score, hit.record.id))[:k]
