"""Judged pairs: this image is right for that query, and that one is not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.errors import SourceError
from imagefinder.labels.columns import LIKED, QUERY, as_text, first_of
from imagefinder.labels.places import by_name, meant
from imagefinder.labels.reading import Where, place_at
from imagefinder.sources.columns import IDS, LOCATIONS
from imagefinder.sources.row import BadRow, Row
from imagefinder.sources.rows import read_rows

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder

YES = {"1", "+1", "1.0", "true", "yes", "y", "liked", "same"}
NO = {"0", "-1", "0.0", "-1.0", "false", "no", "n", "disliked", "different"}


@dataclass(frozen=True, slots=True)
class LikedPair:
    """Whether an image belongs to a query, which is an image of the collection, too."""

    query: str
    id: str
    liked: bool


def read_liked(finder: "ImageFinder", where: Where) -> list[LikedPair]:
    """The pairs of a table with the columns `query`, `id` (or a path or URL) and `liked`, which is
    1 or 0, yes or no, true or false. Of a pair that is judged several times the last row counts.
    Rows that name no image of the collection say nothing.

    Raises SourceError for a value that is neither, or where no row names two images.
    """
    table = place_at(where)
    names = by_name({record.id: record.uri for record in finder.images()})
    judged: dict[tuple[str, ...], LikedPair] = {}
    for row in read_rows(table):
        pair = None if isinstance(row, BadRow) else pair_of(row, table, names)
        if pair is not None:
            judged[tuple(sorted((pair.query, pair.id)))] = pair
    if not judged:
        raise SourceError(
            f"{table}: no row names two images of the collection, by id or by path; the columns are"
            f" {QUERY}, id and {LIKED}"
        )
    return list(judged.values())


def pair_of(row: Row, table: Path, names: Mapping[str, str]) -> LikedPair | None:
    """None where an image is unknown, or both are the same."""
    columns = tuple(row.cells)
    query = first_of(columns, [QUERY])
    other = other_column(columns)
    verdict = first_of(columns, [LIKED])
    if query is None or other is None or verdict is None:
        raise SourceError(
            f"{table}: pairs have the columns {QUERY}, id (or path) and {LIKED}; there is:"
            f" {', '.join(columns)}"
        )
    ids = [meant(as_text(row.cells[column]), table, names) for column in (query, other)]
    said = as_text(row.cells[verdict])
    if ids[0] is None or ids[1] is None or ids[0] == ids[1] or said is None:
        return None
    if said.lower() not in YES | NO:
        raise SourceError(f"{table}: {row}: {LIKED} is {said}; it is 1 or 0, yes or no")
    return LikedPair(ids[0], ids[1], said.lower() in YES)


def other_column(columns: Sequence[str]) -> str | None:
    """What names the image that was judged."""
    return first_of([name for name in columns if name != QUERY], [*IDS, *LOCATIONS])
