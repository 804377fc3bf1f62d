"""Queries -> what a collection answers, through the search that everyone uses."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.ahead import chunks
from imagefinder.errors import ImageNotFoundError
from imagefinder.query import IdPart, Query
from imagefinder.search import MAX_K

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements
    from imagefinder.types import Hit

Scores: TypeAlias = NDArray[np.float32]  # (hits,)

QUERIES = 64  # that are searched for together
SPARE = 8  # hits for the query and its copies, which are left out
DEEPER = 4  # so many times as many hits are asked for where too few are left


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found, best first: the ids and their scores."""

    ids: tuple[str, ...]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Ranker:
    """Ranks the images of a collection by one space, or by `a,b` as fused; None: the one in use.

    A ranking has no images but those that are judged, and neither the query nor exact copies of it;
    `depth` images at most."""

    finder: "ImageFinder"
    judgements: "Judgements"
    space: str | None
    depth: int

    def rank(
        self, queries: Sequence[str], on_progress: Callable[[int], None]
    ) -> list[Ranking | None]:
        """The ranking of each query; None where the space does not have the image. `on_progress`
        gets the number of queries done."""
        found: list[Ranking | None] = []
        for batch in chunks(iter(queries), QUERIES):
            found += self._batch(batch)
            on_progress(len(found))
        return found

    def _batch(self, queries: Sequence[str]) -> list[Ranking | None]:
        images = len(self.finder)
        most = min(MAX_K, max(images, 1))
        # so that enough are left when what is not judged is left out
        k = min(most, math.ceil((self.depth + SPARE) * images / max(len(self.judgements), 1)))
        rankings: dict[str, Ranking | None] = {}
        asking = list(queries)
        while asking:
            answers = dict(zip(asking, self._answers(asking, k), strict=True))
            rankings |= {
                query: None if hits is None else self._condensed(query, hits)
                for query, hits in answers.items()
            }
            asking = [query for query in asking if k < most and self._is_short(rankings[query])]
            k = min(DEEPER * k, most)
        return [rankings[query] for query in queries]

    def _is_short(self, ranking: Ranking | None) -> bool:
        return ranking is not None and len(ranking.ids) < self.depth

    def _condensed(self, query: str, hits: "Sequence[Hit]") -> Ranking:
        copies = self.judgements.copies(query)
        kept = [hit for hit in hits if hit.id in self.judgements and hit.id not in copies]
        kept = kept[: self.depth]
        scores = np.array([hit.score for hit in kept], dtype=np.float32)
        return Ranking(tuple(intern(hit.id) for hit in kept), scores)

    def _answers(self, queries: Sequence[str], k: int) -> "list[list[Hit] | None]":
        """The hits of each; one by one where the space lacks one of them."""
        try:
            return [*self._search(queries, k)]
        except ImageNotFoundError:
            if len(queries) == 1:
                return [None]
        return [hits for query in queries for hits in self._answers([query], k)]

    def _search(self, queries: Sequence[str], k: int) -> "list[list[Hit]]":
        asked = [Query((IdPart(query),)) for query in queries]
        return self.finder.search_many(asked, k, space=self.space, exact=True)
