"""Files of ids (and metadata) for formats that hold embeddings only: text, CSV or JSON."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagefinder.errors import TransferError
from imagefinder.exchange.columns import find_roles
from imagefinder.exchange.contents import Columns


@dataclass(frozen=True, slots=True)
class IdTable:
    """A row of columns for each embedding, in order; or, where `numbers` is given, for the
    embedding that has this number in its index."""

    names: list[str]
    rows: Sequence[Columns]
    model: str | None = None
    numbers: Sequence[int] | None = None


def read_ids(path: Path, total: int) -> IdTable:
    """Raises TransferError, also when there are not `total` rows."""
    ids = read_any_ids(path)
    if len(ids.rows) != total:
        raise TransferError(f"{path.name} has {len(ids.rows):,} ids for {total:,} embeddings")
    return ids


def read_any_ids(path: Path) -> IdTable:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise TransferError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TransferError(f"{path}: is not UTF-8 text") from error
    try:
        if path.suffix.lower() == ".json":
            return _from_json(json.loads(text))
        if path.suffix.lower() == ".csv":
            rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
            return _table(rows)
    except (ValueError, RecursionError, csv.Error) as error:
        raise TransferError(f"{path}: cannot be read: {error}") from error
    except TransferError as error:
        raise TransferError(f"{path}: {error}") from error
    return _table([{"id": line} for line in text.splitlines()])


def _table(
    rows: Sequence[Columns], model: str | None = None, numbers: Sequence[int] | None = None
) -> IdTable:
    names = list(dict.fromkeys(name for row in rows for name in row))
    find_roles(names or ["id"])
    return IdTable(names or ["id"], rows, model, numbers)


def _from_json(content: object) -> IdTable:
    """A list of ids or of objects; an object with such a list under ids or records; or an object
    from the numbers of an index to ids, or from ids to numbers."""
    if isinstance(content, list):
        return _table([row if isinstance(row, dict) else {"id": row} for row in content])
    if not isinstance(content, dict):
        raise TransferError("expected a list of ids")
    for key in ("records", "ids"):
        if isinstance(content.get(key), list):
            model = content.get("model")
            rows = _from_json(content[key]).rows
            return _table(rows, model if isinstance(model, str) else None)
    if content and all(key.lstrip("-").isdigit() for key in content):
        rows = [row if isinstance(row, dict) else {"id": row} for row in content.values()]
        return _table(rows, numbers=[int(key) for key in content])
    if content and all(type(value) is int for value in content.values()):
        return _table([{"id": key} for key in content], numbers=list(content.values()))
    raise TransferError('expected a list of ids, or an object such as {"0": "a.jpg", "1": "b.jpg"}')
