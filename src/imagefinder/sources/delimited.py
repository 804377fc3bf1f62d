"""CSV, TSV and plain lists, as they come: any usual delimiter, with a header or not, damaged."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagefinder.errors import SourceError
from imagefinder.sources.address import redact_within, scheme
from imagefinder.sources.names import is_image_name
from imagefinder.sources.row import LOCATION, BadRow, Row, clip
from imagefinder.sources.text import open_text

DELIMITERS = ",;\t|"
EXACT = 2**53  # from here on a float, which numeric columns hold, no longer tells integers apart
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DIGITS = frozenset("0123456789")
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")


def read_delimited(table: Path) -> Iterator[Row | BadRow]:
    """The rows of a CSV or TSV file; the delimiter is the commonest of the first line."""
    with open_text(table) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=lines.delimiter, skipinitialspace=True)
        records = _records(reader, lines)
        _, header = next(records, (0, None))
        if header is None:
            raise SourceError(
                f"{table}: empty; expected a line of column names and a line an image"
            )
        if isinstance(header, csv.Error):
            raise SourceError(f"{table}: not a table: {header}")
        columns = _columns(header)
        if _is_data(header):
            lines.give_back(0)
        for number, (line, fields) in enumerate(records, start=1):
            yield _row(number, line, columns, fields, lines)


def read_list(table: Path) -> Iterator[Row | BadRow]:
    """A path or URL a line; `#` begins a comment."""
    with open_text(table) as lines:
        number = 0
        for line, text in enumerate(lines, start=1):
            location = text.strip()
            if not location or location.startswith("#"):
                continue
            if number == 0 and not _is_location(location, table.parent):
                raise SourceError(
                    f"{table}: not a list of images; its first line is neither a path nor a URL"
                )
            number += 1
            yield Row(number, line, {LOCATION: location})


class _Lines:
    """The lines of a file, of which those of the last record can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._back = lines, deque[str]()
        self.taken: list[str] = []  # for the record being read
        self.number = 0  # of the line taken last, from 1
        self.delimiter = self._find_delimiter()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        self.number += 1
        return line

    def give_back(self, kept: int) -> None:
        """All lines of the record but the first `kept` will be read again."""
        again = self.taken[kept:]
        self._back.extendleft(reversed(again))
        self.number -= len(again)
        del self.taken[kept:]

    def _find_delimiter(self) -> str:
        first = next(self, "")
        if found := _SEP.fullmatch(first):  # Excel's own way to say it
            return found[1]
        self.give_back(0)
        outside = _QUOTED.sub("", first)
        return max(DELIMITERS, key=outside.count)


def _records(
    reader: Iterator[list[str]], lines: _Lines
) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The fields of each record and the line that it begins at, without blank lines."""
    while True:
        lines.taken.clear()
        line = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
        else:
            if fields:
                yield line, fields


def _row(
    number: int, line: int, columns: Sequence[str], fields: list[str] | csv.Error, lines: _Lines
) -> Row | BadRow:
    if not isinstance(fields, csv.Error):
        while len(fields) > len(columns) and not fields[-1].strip():
            fields.pop()  # spreadsheets leave delimiters at the end
        if len(fields) == len(columns):
            return Row(number, line, dict(zip(columns, map(_value, fields), strict=True)))
        some = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        problem = f"{some} where the header has {len(columns)}"
    else:
        problem = f"cannot be read: {fields}"
    # A quote that is never closed swallows the rows that follow: only its own line is lost.
    text = lines.taken[0]
    lines.give_back(1)
    return BadRow(number, line, f"{problem}: {clip(redact_within(text))}")


def _columns(header: Sequence[str]) -> list[str]:
    """Their names; made up where they have none."""
    names = [field.strip() or f"column_{place}" for place, field in enumerate(header, start=1)]
    if _is_data(header):
        urls = [place for place, field in enumerate(header) if scheme(field.strip())]
        files = [place for place, field in enumerate(header) if is_image_name(field.strip())]
        place = (urls + files)[0]
        names = [f"column_{number}" for number in range(1, len(header) + 1)]
        names[place] = LOCATION
    unique: dict[str, None] = {}
    for name in names:
        count = 2
        candidate = name
        while candidate in unique:
            candidate, count = f"{name}_{count}", count + 1
        unique[candidate] = None
    return list(unique)


def _is_data(header: Sequence[str]) -> bool:
    """Whether the first line names an image already, and not columns."""
    return any(scheme(field.strip()) or is_image_name(field.strip()) for field in header)


def _value(field: str) -> str | int | float | None:
    """A number where the text is just how that number is written: `007` and `1e5` stay text."""
    text = field.strip()
    if not text or text[-1] not in _DIGITS:
        return text or None
    if _INTEGER.fullmatch(text) and abs(int(text)) < EXACT:
        return int(text)
    if _DECIMAL.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


def _is_location(text: str, folder: Path) -> bool:
    return bool(scheme(text)) or is_image_name(text) or (folder / text).is_file()
