"""The hits of many queries: embedded on all cores, searched for together."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from imagefinder.ahead import ahead, chunks
from imagefinder.errors import ImageError
from imagefinder.types import Hit, Skipped

if TYPE_CHECKING:
    from imagefinder.query import Queryable

Row = TypeVar("Row")  # what is searched with: an embedding, or one for each space

QUERIES = 64  # that go to the store at once


def search_many(
    queries: "Iterable[Queryable]",
    embed: "Callable[[Queryable], Row]",
    search: Callable[[Sequence[Row]], list[list[Hit]]],
    on_skipped: Callable[[Skipped], None] | None,
) -> list[list[Hit]]:
    """In order. A query that `embed` cannot read has no hits and is told; unheard, it raises."""

    def embedded(item: "tuple[int, Queryable]") -> Row | Skipped:
        number, query = item
        try:
            return embed(query)
        except ImageError as error:
            if on_skipped is None:
                raise
            return Skipped(str(number), f"query {number}", str(error))

    workers = os.cpu_count() or 1
    results: list[list[Hit]] = []
    rows = ahead(embedded, enumerate(queries), workers=workers, window=4 * workers)
    with closing(rows):
        for chunk in chunks(rows, QUERIES):
            hits = iter(search([row for row in chunk if not isinstance(row, Skipped)]))
            for row in chunk:
                if isinstance(row, Skipped):
                    on_skipped and on_skipped(row)
                    results.append([])
                else:
                    results.append(next(hits))
    return results
