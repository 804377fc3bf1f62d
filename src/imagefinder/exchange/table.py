"""CSV: one row an image, the embedding as a JSON list in one column.

Values of metadata are written as they are where they read back as they were, and as JSON otherwise,
so that the text "7" and the number 7 stay apart.
"""

import csv
import json
import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from imagefinder.errors import TransferError
from imagefinder.exchange import vectors
from imagefinder.exchange.columns import (
    Roles,
    find_dimensions,
    find_embedding,
    find_roles,
    listed,
    without,
)
from imagefinder.exchange.contents import Contents, RawRow
from imagefinder.exchange.records import (
    FACTS,
    MODEL_COLUMN,
    OWN_COLUMNS,
    facts_of,
    metadata_of,
    plain,
)
from imagefinder.types import ImageRecord, MetadataValue

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding

MAX_CELL = 16 * 2**20  # characters; csv stops at 131,072, which 10,000 numbers can exceed
_TEXT_COLUMNS = {"id", "uri", *FACTS, MODEL_COLUMN}  # not JSON


def write(path: Path, rows: "Iterator[tuple[ImageRecord, Embedding]]", model: str, dim: int) -> int:
    """The metadata columns are known only after the last row, so the rows pass through a file of
    their own and not through memory."""
    names: dict[str, None] = {}  # a set that keeps the order
    count = 0
    draft = path.with_name("rows")
    with draft.open("w+", encoding="utf-8", newline="") as lines:
        for record, embedding in rows:
            metadata = {name: _cell(value) for name, value in metadata_of(record).items()}
            names |= dict.fromkeys(metadata)
            facts = [_fact(value) for value in facts_of(record).values()]
            lines.write(json.dumps([facts, metadata, vectors.to_text(embedding)]) + "\n")
            count += 1
        lines.seek(0)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*OWN_COLUMNS, *names, MODEL_COLUMN, "embedding"])
            for line in lines:
                facts, metadata, embedding_text = json.loads(line)
                cells = [metadata.get(name, "") for name in names]
                writer.writerow([*facts, *cells, model, embedding_text])
    draft.unlink()
    return count


def _fact(value: str | float | date | None) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)


def _cell(value: MetadataValue) -> str:
    if isinstance(value, str) and value and _value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _value(cell: str) -> MetadataValue:
    """What a cell of a metadata column holds: a number, true, false, a list, or else its text."""
    if not cell:
        return None
    if cell[0] not in '-0123456789tfn["':
        return cell
    try:
        value = json.loads(cell, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return cell
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        return cell
    return plain(value)


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are not JSON


def read(path: Path, ids: Path | None) -> Contents:
    if ids is not None:
        raise TransferError("holds its ids itself; leave the file of ids out")
    rows = _rows(path)
    header = next(rows, None)
    if header is None:
        raise TransferError("holds no embeddings, the file is empty")
    names = _unique(header)
    column = find_embedding(names)
    dimensions = [] if column else find_dimensions(names)
    if column is None and not dimensions:
        raise TransferError(
            f"no column of embeddings among {listed(names)}; call it embedding, or the columns of "
            "single numbers f0, f1, f2 and so on"
        )
    kept = [name for name in names if name != column and name not in dimensions]
    return Contents(names=kept, rows=_raw_rows(names, rows, column, dimensions, find_roles(kept)))


def _rows(path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, delimiter=_delimiter(file), strict=True)
    except UnicodeDecodeError as error:
        raise TransferError("is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TransferError(f"is no CSV that can be read: {error}") from error


def _delimiter(file: TextIO) -> str:
    """The sign that stands most often in the first line."""
    line = file.readline(MAX_CELL)
    file.seek(0)
    return max(",;\t|", key=line.count)


def _unique(header: list[str]) -> list[str]:
    repeated = [name for name in header if name and header.count(name) > 1]
    if repeated:
        raise TransferError(f"two columns are called {listed(repeated[:1])}; rename one")
    return header


def _raw_rows(
    names: list[str],
    rows: Iterator[list[str]],
    column: str | None,
    dimensions: list[str],
    roles: Roles,
) -> Iterator[RawRow]:
    import numpy as np

    texts = {*_TEXT_COLUMNS, roles.id, roles.uri}
    number = 0
    for cells in rows:
        if not cells:  # an empty line
            continue
        number += 1
        if len(cells) != len(names):
            raise TransferError(
                f"row {number}: {len(cells)} cells, the first line names {len(names)} columns"
            )
        row = dict(zip(names, cells, strict=True))
        try:
            if column is not None:
                vector = vectors.from_text(row.pop(column))
            else:
                vector = np.array([float(row[name]) for name in dimensions])
        except TransferError as error:
            raise TransferError(f"row {number}: {error}") from error
        except ValueError as error:
            raise TransferError(
                f"row {number}: the embedding is not all numbers: {error}"
            ) from error
        cells_left = without(row, dimensions).items()
        yield RawRow(
            {n: (cell or None) if n in texts else _value(cell) for n, cell in cells_left}, vector
        )
