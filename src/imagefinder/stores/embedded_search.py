"""Searching one zvec collection: the right k, with filters and ties, whatever zvec can say."""

import heapq
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from zvec import Collection, Doc, HnswQueryParam, Query

from imagefinder.filters import Filter
from imagefinder.stores.embedded_schema import BUCKET, EMBEDDING, RECORD, TOKENS
from imagefinder.stores.ids import BUCKETS
from imagefinder.stores.record_json import from_json
from imagefinder.stores.vectors import scores
from imagefinder.types import Distance, ImageRecord, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["Search", "bucket_page", "images_of", "parts"]

GRAPH = HnswQueryParam(ef=128)  # recall 0.997 at 1,000,000 x 256; 0.935 at 64
LINEAR = HnswQueryParam(is_linear=True)

MAX_PAGE = 10_000  # hits of one query; 0.1 s
SCAN_PAGE = 1_000  # images of one step of a scan
MAX_TOPK = 100_000  # zvec's limit


@dataclass(frozen=True, slots=True)
class Search:
    """What is the same for every query of a call."""

    inside: Callable[[], AbstractContextManager[Collection]]  # nobody writes meanwhile
    distance: Distance
    k: int
    filter: Filter | None
    where: str | None  # in zvec's language; lets through at least what the filter does
    exact: bool
    count: int  # of images

    def closest(self, query: "Embedding") -> list[Scored]:
        """The k closest, best first, ties by id.

        It fetches one more than it needs: only a last score below the k-th says that no tie goes
        on behind the page. The graph may miss members of a tie, and matches of a narrow filter;
        then a linear search decides.
        """
        linear, page = self.exact, self.k + 1
        while page <= MAX_PAGE:
            docs = self._fetch(query, page, linear)
            hits = self._verified(docs)
            if len(docs) < page:
                if linear:
                    return hits[: self.k]
                linear = True
                continue
            if len(hits) >= self.k:
                if hits[self.k - 1].score > self._score(docs[-1]):
                    return hits[: self.k]
                linear = True
            page = page * 4 if page == MAX_PAGE else min(page * 4, MAX_PAGE)
        return self._scanned(query)

    def _fetch(self, query: "Embedding", page: int, linear: bool) -> list[Doc]:
        with self.inside() as zvec:
            return zvec.query(
                Query(EMBEDDING, vector=query, param=LINEAR if linear else GRAPH),
                topk=page,
                filter=self.where,
                output_fields=[RECORD],
            )

    def _verified(self, docs: list[Doc]) -> list[Scored]:
        hits = [Scored(from_json(doc.fields[RECORD]), self._score(doc)) for doc in docs]
        if self.filter is not None:
            hits = [hit for hit in hits if self.filter.matches(hit.record)]
        return sorted(hits, key=_rank)

    def _scanned(self, query: "Embedding") -> list[Scored]:
        """The same by looking at everything that the filter may let through."""
        best: list[Scored] = []
        for low, high in parts(self.count):
            with self.inside() as zvec:
                docs = bucket_page(zvec, low, high, self.where)
            records, rows = images_of(docs)
            scored = map(Scored, records, scores(rows, query, self.distance))
            matching = [h for h in scored if self.filter is None or self.filter.matches(h.record)]
            best = heapq.nsmallest(self.k, best + matching, key=_rank)
        return best

    def _score(self, doc: Doc) -> float:
        """Of what zvec gives, in float32: the dot product, good to 2e-7 of the product of the
        lengths; the sum of the squared differences, good to 5e-7 of it, and 0 of an image from
        itself; the cosine distance, of an image from itself up to 2e-7 below 0."""
        given = doc.score or 0.0
        match self.distance:
            case "dot":
                return given
            case "euclidean":
                return 0.0 - math.sqrt(given)  # 0.0 -: never -0.0; equal only for equal squares
            case "cosine":
                return min(1.0, max(-1.0, 1.0 - given))


def parts(count: int) -> Iterator[tuple[int, int]]:
    """Ranges of buckets that hold about SCAN_PAGE images each."""
    pages = count // SCAN_PAGE + 1
    for page in range(pages):
        yield page * BUCKETS // pages, (page + 1) * BUCKETS // pages


def bucket_page(zvec: Collection, low: int, high: int, where: str | None = None) -> list[Doc]:
    """The documents of the buckets from `low` to below `high`, with their embeddings.

    Not zvec's own iterator, because no other maintenance can run beside it, and each leaves a
    small segment behind.
    """
    within = f"{BUCKET} >= {low} and {BUCKET} < {high}"
    return zvec.query(
        topk=MAX_TOPK,
        filter=within if where is None else f"{within} and {where}",
        # Of what it filters by zvec wants to have all; else "mismatching schema size" may come.
        output_fields=[RECORD, BUCKET, TOKENS],
        include_vector=True,
    )


def images_of(docs: list[Doc]) -> tuple[list[ImageRecord], "Embeddings"]:
    rows = np.array([doc.vectors[EMBEDDING] for doc in docs], dtype=np.float32)
    return [from_json(doc.fields[RECORD]) for doc in docs], rows


def _rank(hit: Scored) -> tuple[float, str]:
    return -hit.score, hit.record.id
