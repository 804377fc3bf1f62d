"""The rows of a table file, whatever its format."""

import codecs
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TypeAlias

from imagefinder.errors import MissingExtraError, SourceError
from imagefinder.sources.names import extension
from imagefinder.types import MetadataValue, Scalar

Cells: TypeAlias = Mapping[str, MetadataValue]

LOCATION = "location"  # the column that rows without column names get
AT_ONCE = 1024  # Parquet rows decoded in one go
LISTS = ("images", "data", "items", "records", "rows")  # where JSON files keep their list

_log = logging.getLogger(__name__)


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


def read_rows(table: Path) -> Iterator[Row | BadRow]:
    """The rows in their order, read as they are asked for (`.json` is read as a whole).

    Raises SourceError when the file as a whole is no such table.
    """
    from imagefinder.sources.delimited import read_delimited, read_list

    readers = {
        ".csv": read_delimited,
        ".tsv": read_delimited,
        ".txt": read_list,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".json": _read_json,
        ".parquet": _read_parquet,
    }
    try:
        yield from readers[extension(table.name)](table)
    except OSError as error:
        raise SourceError(f"{table}: {(error.strerror or str(error)).lower()}") from error


def open_text(table: Path) -> IO[str]:
    """UTF-8, UTF-16 where a byte order mark says so, else Latin-1, in which no byte is wrong."""
    with table.open("rb") as file:
        head = file.read(4096)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif b"\0" in head:
            raise SourceError(f"{table}: not a text file, although its name says table")
        else:
            file.seek(0)
            encoding = "utf-8-sig" if _is_utf8(file) else "latin-1"
    if encoding == "latin-1":
        _log.warning("%s: not UTF-8, read as Latin-1", table)
    return table.open(encoding=encoding, errors="replace", newline="")


def _is_utf8(file: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1 << 20):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _read_json_lines(table: Path) -> Iterator[Row | BadRow]:
    number = 0
    with open_text(table) as lines:
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            number += 1
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                yield BadRow(number, line, f"not JSON: {clip(text)}")
            else:
                yield _json_row(number, line, value)


def _read_json(table: Path) -> Iterator[Row | BadRow]:
    with open_text(table) as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{table}: not JSON: {error}") from error
    if isinstance(content, dict):
        content = next((content[key] for key in LISTS if key in content), None)
    if not isinstance(content, list):
        raise SourceError(f"{table}: holds no list of images; expected [{{...}}, {{...}}]")
    for number, value in enumerate(content, start=1):
        yield _json_row(number, None, value)


def _json_row(number: int, line: int | None, value: object) -> Row | BadRow:
    if isinstance(value, str):
        return Row(number, line, {LOCATION: _whole(value)})
    if not isinstance(value, dict):
        return BadRow(number, line, f"neither an object nor a text: {clip(json.dumps(value))}")
    return Row(number, line, dict(_flat(value)))


def _read_parquet(table: Path) -> Iterator[Row | BadRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Parquet tables", "parquet") from error
    number = 0
    try:
        with parquet.ParquetFile(os.fspath(table)) as file:
            for batch in file.iter_batches(batch_size=AT_ONCE):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(number, None, dict(_flat(value)))
    except pyarrow.ArrowException as error:
        raise SourceError(f"{table}: not a Parquet file: {clip(str(error))}") from error


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, MetadataValue]]:
    """Nested objects as `outer.inner`; None for what no filter could use."""
    for key, inner in value.items():
        name = prefix + (key if key.isascii() else _whole(key))
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.")
        elif isinstance(inner, list | tuple):
            scalars = [scalar for scalar in map(_scalar, inner) if scalar is not None]
            yield name, scalars if scalars and len(scalars) == len(inner) else None
        else:
            yield name, _scalar(inner)


def _scalar(value: object) -> Scalar | None:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value - value != 0:  # infinite or not a number
        return None
    if isinstance(value, str):
        return value if value.isascii() else _whole(value)
    if isinstance(value, bool | int | float):
        return value
    return value.isoformat() if isinstance(value, datetime | date) else None


def _whole(text: str) -> str:
    """Without the halves of letters that JSON can write (`\\ud800`) and nothing can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clip(text: str, length: int = 80) -> str:
    """On one line and not longer than a message bears."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."
