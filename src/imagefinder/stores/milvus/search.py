"""Searching one Milvus collection: the right k, with filters and ties, whatever Milvus can say."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.ahead import chunks
from imagefinder.filters import Filter
from imagefinder.stores.milvus.build import current_kind
from imagefinder.stores.milvus.connection import CALL_SECONDS, Client, check_loaded
from imagefinder.stores.milvus.index import FLAT, search_parameters
from imagefinder.stores.milvus.rows import Rows
from imagefinder.stores.milvus.schema import EMBEDDING, RECORD, Row, record_of
from imagefinder.stores.vectors import scores
from imagefinder.types import Distance, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["Search", "embedding_rows", "page_size"]

MAX_PAGE = 16_384  # hits of one query; Milvus' limit
PAGE_BYTES = 16 << 20  # of an answer; about 0.3 s
RECORD_BYTES = 1000  # of one image without its embedding
ROUNDING = 1e-6  # of scores that Milvus works out in float32, as a part of the largest possible


def page_size(dim: int) -> int:
    """How many images to ask for at once."""
    return max(100, min(MAX_PAGE, PAGE_BYTES // (4 * dim + RECORD_BYTES)))


def embedding_rows(rows: Iterable[Row], dim: int) -> "Embeddings":
    """(n, dim), to the bit as they were given to Milvus."""
    found = [np.asarray(row[EMBEDDING], np.float32) for row in rows]
    return np.stack(found) if found else np.empty((0, dim), np.float32)


@dataclass(frozen=True)
class Search:
    """What is the same for every query of a call."""

    rows: Rows
    check_open: Callable[[], None]
    dim: int
    distance: Distance
    k: int
    filter: Filter | None
    where: str | None  # in Milvus' language; lets through at least what the filter does
    exact: bool

    def closest(self, queries: "Embeddings") -> list[list[Scored]]:
        """For each query the k closest, best first, ties by id. Milvus orders by float32; so it is
        asked for a few more than needed, and what comes back is scored again.

        Only a last score that is clearly below the k-th says that no tie goes on behind the page.
        """
        answers: dict[int, list[Scored]] = {}
        open_queries = list(range(len(queries)))
        largest = page_size(self.dim)
        page = self.k + 1 + self.k // 8
        while open_queries and page <= largest and (not self.exact or self._flat):
            for some in chunks(open_queries, max(1, largest // page)):
                for index, rows in zip(some, self._found(queries[some], page), strict=True):
                    hits = self._judged(queries[index], rows, page)
                    if hits is not None:
                        answers[index] = hits
            open_queries = [index for index in open_queries if index not in answers]
            page = page * 4 if page == largest else min(page * 4, largest)
        if open_queries:
            scanned = self._scanned(queries[open_queries])
            answers |= dict(zip(open_queries, scanned, strict=True))
        return [answers[index] for index in range(len(queries))]

    def _found(self, queries: "Embeddings", page: int) -> list[list[Row]]:
        self.check_open()
        parameters = search_parameters(page, filtered=self.where is not None)
        level = self.rows.connection.level()

        def search(client: Client) -> list[list[Row]]:
            found = client.search(
                self.rows.name,
                data=list(queries),
                anns_field=EMBEDDING,
                limit=page,
                filter=self.where or "",
                output_fields=[RECORD, EMBEDDING],
                search_params={"params": parameters},
                consistency_level=level,
                timeout=CALL_SECONDS,
            )
            if any(len(hits) < page for hits in found):
                check_loaded(client, self.rows.name)
            return [[hit["entity"] for hit in hits] for hits in found]

        return self.rows.connection.call(search, collection=self.rows.name)

    def _judged(self, query: "Embedding", rows: list[Row], page: int) -> list[Scored] | None:
        """The answer, or None where the page does not give it."""
        embeddings = embedding_rows(rows, self.dim)
        scored = scores(embeddings, query, self.distance)
        hits = self._matching(rows, scored)
        if len(rows) < page:
            complete = self._flat or len(rows) >= self._admitted
            return hits[: self.k] if complete else None
        if len(hits) < self.k:
            return None
        length = float(np.linalg.norm(embeddings, axis=1).max() * np.linalg.norm(query))
        largest = abs(scored[-1]) if self.distance == "euclidean" else length
        clear = hits[self.k - 1].score > scored[-1] + ROUNDING * largest
        return hits[: self.k] if clear else None

    def _matching(self, rows: list[Row], scored: list[float]) -> list[Scored]:
        hits = [Scored(record_of(row), score) for row, score in zip(rows, scored, strict=True)]
        if self.filter is not None:
            hits = [hit for hit in hits if self.filter.matches(hit.record)]
        return sorted(hits, key=_rank)

    @cached_property
    def _flat(self) -> bool:
        """Whether the index compares every embedding."""
        return current_kind(self.rows.connection, self.rows.name) == FLAT

    @cached_property
    def _admitted(self) -> int:
        """How many images the expression lets through."""
        return self.rows.count(self.where)

    def _scanned(self, queries: "Embeddings") -> list[list[Scored]]:
        """The same by looking at everything that the filter may let through."""
        best: list[list[Scored]] = [[] for _ in queries]
        pages = self.rows.pages([RECORD, EMBEDDING], page_size(self.dim), where=self.where)
        for page in pages:
            self.check_open()
            rows = embedding_rows(page, self.dim)
            for index, query in enumerate(queries):
                found = best[index] + self._matching(page, scores(rows, query, self.distance))
                best[index] = heapq.nsmallest(self.k, found, key=_rank)
        return best


def _rank(hit: Scored) -> tuple[float, str]:
    return -hit.score, hit.record.id
