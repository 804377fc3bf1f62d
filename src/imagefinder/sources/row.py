"""One row of a table, good or bad."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from imagefinder.types import MetadataValue

Cells: TypeAlias = Mapping[str, MetadataValue]

LOCATION = "location"  # the column that rows without column names get


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts from 1 without the header; `line` is the place in a text file.

    `cells` has every column, with None where there is no value.
    """

    number: int
    line: int | None
    cells: Cells

    def __str__(self) -> str:
        return _place(self.number, self.line)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    line: int | None
    reason: str

    def __str__(self) -> str:
        return _place(self.number, self.line)


def _place(number: int, line: int | None) -> str:
    return f"row {number}" if line is None else f"row {number} (line {line})"


def clip(text: str, length: int = 80) -> str:
    """On one line and not longer than a message bears."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."
