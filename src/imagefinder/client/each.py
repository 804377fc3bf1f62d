"""Many searches at a service, some at once."""

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from imagefinder.ahead import ahead
from imagefinder.errors import ImageError
from imagefinder.types import Hit, Skipped

if TYPE_CHECKING:
    from imagefinder.query import Queryable

SEARCHES = 8  # at once: what a service of a few cores embeds together


def search_each(
    queries: "Iterable[Queryable]",
    search: "Callable[[Queryable], list[Hit]]",
    on_skipped: Callable[[Skipped], None] | None,
) -> list[list[Hit]]:
    """In order. A query that cannot be read has no hits and is told; unheard, it raises."""

    def found(item: "tuple[int, Queryable]") -> list[Hit] | Skipped:
        number, query = item
        try:
            return search(query)
        except ImageError as error:
            if on_skipped is None:
                raise
            return Skipped(str(number), f"query {number}", str(error))

    results: list[list[Hit]] = []
    with closing(
        ahead(found, enumerate(queries), workers=SEARCHES, window=2 * SEARCHES)
    ) as answers:
        for hits in answers:
            if isinstance(hits, Skipped):
                on_skipped and on_skipped(hits)
                results.append([])
            else:
                results.append(hits)
    return results
