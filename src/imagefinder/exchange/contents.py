"""What a reader of one format hands on, before anything in it is checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.floating]  # (dim,), of any length

Columns: TypeAlias = Mapping[str, object]  # a row's cells by the name of their column

CHUNK = 1024  # rows read or written at once; 5 MB at 1280 dimensions


class RawRow(NamedTuple):
    """One row of a file. The columns are without the embedding."""

    columns: Columns
    vector: "Vector"


@dataclass(slots=True)
class Contents:
    """A file being read. `names` are the columns to find the id and the uri among; `total` is None
    where the file does not say how many rows it has."""

    names: list[str]
    rows: Iterator[RawRow]
    model: str | None = None
    total: int | None = None
    notes: list[str] = field(default_factory=list)
