"""The rows of a table file, whatever its format."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from imagefinder.errors import MissingExtraError, SourceError
from imagefinder.sources.delimited import read_delimited, read_list
from imagefinder.sources.names import extension
from imagefinder.sources.row import LOCATION, BadRow, Row, clip
from imagefinder.sources.text import open_text
from imagefinder.sources.values import flat, whole

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
        return Row(number, line, {LOCATION: whole(value)})
    if not isinstance(value, dict):
        return BadRow(number, line, f"neither an object nor a text: {clip(json.dumps(value))}")
    return Row(number, line, dict(flat(value)))


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
                    yield Row(number, None, dict(flat(value)))
    except pyarrow.ArrowException as error:
        raise SourceError(f"{table}: not a Parquet file: {clip(str(error))}") from error
