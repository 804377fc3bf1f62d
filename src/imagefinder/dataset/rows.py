"""A table row by row: what each names, or why it names nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from imagefinder.errors import SourceError
from imagefinder.sources import Fetcher, TableColumns
from imagefinder.sources.columns import find_columns
from imagefinder.sources.row import BadRow, Row
from imagefinder.sources.table import TableSource
from imagefinder.types import ImageRef, Skipped

Kind: TypeAlias = Literal[
    "malformed", "missing", "dead", "same location", "same id", "same content"
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that names an image."""

    row: Row
    ref: ImageRef


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that is of no use: its number (from 1, without the header), its line in a text file,
    and why."""

    row: int
    line: int | None
    kind: Kind
    reason: str

    @classmethod
    def of(cls, row: Row | BadRow, kind: Kind, reason: str) -> "Dropped":
        """The reason may begin with the row, as those of skipped images do."""
        return cls(row.number, row.line, kind, reason.removeprefix(f"{row}: "))


class TableRows(TableSource):
    """The images of a table with the rows that they come from, none left out for being there
    twice. One thread may read them at a time."""

    def __init__(self, table: Path, fetcher: Fetcher, columns: TableColumns | None = None) -> None:
        super().__init__(table, fetcher=fetcher, columns=columns)
        self._current: Row | BadRow | None = None

    def outcomes(self) -> Iterator[Candidate | Dropped]:
        """One for each row, in order. Raises SourceError."""
        for place in self._places():
            row = self._current  # rows are read as they are asked for
            if row is None:
                continue
            if isinstance(place, Skipped) or isinstance(row, BadRow):
                yield Dropped.of(row, "malformed", getattr(place, "reason", ""))
                continue
            found = self._ref(place)
            if isinstance(found, Skipped):
                yield Dropped.of(row, "missing", found.reason)
            else:
                yield Candidate(row, found)

    def location_column(self) -> str:
        """The column of paths and URLs. Raises SourceError."""
        for row in super()._rows():
            if isinstance(row, Row):
                return find_columns(tuple(row.cells), self._wanted, self.root).location
        raise SourceError(f"{self.root}: has no row that can be read")

    def _rows(self) -> Iterator[Row | BadRow]:
        for row in super()._rows():
            self._current = row
            yield row
