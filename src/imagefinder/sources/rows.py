"""The rows of a table file, whatever its format."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from imagefinder.errors import MissingExtraError, SourceError
from imagefinder.sources.delimited import read_delimited, read_list
from imagefinder.sources.names import extension
from imagefinder.sources.row import LOCATION, BadRow, Row, clip
from imagefinder.sources.text import open_text
from imagefinder.types import MetadataValue, Scalar

AT_ONCE = 1024  # Parquet rows decoded in one go
LISTS = ("images", "data", "items", "records", "rows")  # where JSON files keep their list


def read_rows(table: Path) -> Iterator[Row | BadRow]:
    """The rows in their order, read as they are asked for (`.json` is read as a whole).

    Raises SourceError when the file as a whole is no such table.
    """
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
