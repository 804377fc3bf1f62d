"""The embeddings that a space has of images."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imagefinder.ahead import chunks
from imagefinder.arrays import Embedding

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

AT_ONCE = 1000


def rows_of(finder: "LocalFinder", ids: Iterable[str], space: str) -> dict[str, Embedding]:
    """(dim,) each, in the order of the ids; without those that the space has not."""
    found: dict[str, Embedding] = {}
    for some in chunks(iter(sorted(ids)), AT_ONCE):
        rows = finder.embeddings(some, space=space)
        found |= {id: rows[id] for id in some if id in rows}
    return found
