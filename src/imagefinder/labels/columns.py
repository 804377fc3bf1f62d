"""Which column of a table, or of metadata, holds what."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from imagefinder.sources.columns import plain_name
from imagefinder.types import MetadataValue

LABELS = ("label", "class", "category", "target", "breed")  # the first that there is
QUERY, RELEVANT, RELEVANCE = "query", "relevant", "relevance"  # of a ground truth
LIKED = "liked"  # of pairs: whether an image belongs to a query

Cell: TypeAlias = MetadataValue


def label_column(names: Sequence[str], wanted: str | None) -> str | None:
    """The column of labels: the one that is wanted, else the first of the usual names."""
    return first_of(names, LABELS if wanted is None else [wanted])


def is_truth(names: Sequence[str]) -> bool:
    """Whether a table with these columns is a ground truth: queries and their right answers."""
    return all(first_of(names, [name]) is not None for name in (QUERY, RELEVANT))


def is_liked(names: Sequence[str]) -> bool:
    """Whether a table with these columns holds judged pairs."""
    return all(first_of(names, [name]) is not None for name in (QUERY, LIKED))


def first_of(names: Sequence[str], usual: Iterable[str]) -> str | None:
    """The first of the usual names that is there, whatever its capitals and separators."""
    found = {plain_name(name): name for name in reversed(names)}
    return next((found[plain_name(name)] for name in usual if plain_name(name) in found), None)


def as_text(cell: Cell) -> str | None:
    """A label or an id of a cell; None where it is empty, or a list."""
    if cell is None or isinstance(cell, (list, tuple)):
        return None
    return str(cell).strip() or None
