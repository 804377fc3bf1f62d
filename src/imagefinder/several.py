"""Searching in one space, or in several at once whose rankings become one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagefinder.arrays import Embedding
from imagefinder.filters import Filter
from imagefinder.fuse import depth, fused
from imagefinder.many import search_many
from imagefinder.query import Query, as_query
from imagefinder.same import search_others
from imagefinder.search import Searcher, check_k
from imagefinder.types import Hit, Skipped

if TYPE_CHECKING:
    from imagefinder.query import Queryable


@dataclass(frozen=True, slots=True)
class Several:
    """A searcher for each space."""

    searchers: Sequence[Searcher]
    filter: Filter | None
    exact: bool

    def hits(self, query: Query, k: int, *, exclude_same: bool) -> list[Hit]:
        """The k closest."""
        check_k(k)
        find = self._others if exclude_same else self._all
        rankings = [find(searcher, query, self._depth(k)) for searcher in self.searchers]
        return self._one(rankings, k)

    def hits_of_each(
        self,
        queries: "Iterable[Queryable]",
        k: int,
        on_skipped: Callable[[Skipped], None] | None,
    ) -> list[list[Hit]]:
        """The k closest of each query, in order."""
        check_k(k)

        def embed(query: "Queryable") -> list[Embedding]:
            asked = as_query(query)
            return [searcher.embed(asked) for searcher in self.searchers]

        def search(rows: Sequence[list[Embedding]]) -> list[list[Hit]]:
            found = [
                searcher.search(own, self._depth(k), filter=self.filter, exact=self.exact)
                for searcher, own in zip(self.searchers, zip(*rows, strict=True), strict=True)
            ]
            return [self._one(rankings, k) for rankings in zip(*found, strict=True)]

        return search_many(queries, embed, lambda rows: search(rows) if rows else [], on_skipped)

    def _all(self, searcher: Searcher, query: Query, k: int) -> list[Hit]:
        rows = [searcher.embed(query)]
        return searcher.search(rows, k, filter=self.filter, exact=self.exact)[0]

    def _others(self, searcher: Searcher, query: Query, k: int) -> list[Hit]:
        return search_others(searcher, query, k, filter=self.filter, exact=self.exact)

    def _depth(self, k: int) -> int:
        return k if len(self.searchers) == 1 else depth(k)

    def _one(self, rankings: Sequence[list[Hit]], k: int) -> list[Hit]:
        return rankings[0] if len(rankings) == 1 else fused(rankings, k)
