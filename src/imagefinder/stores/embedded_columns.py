"""Which metadata key has which numeric column."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from imagefinder.errors import CollectionDamagedError
from imagefinder.filters import OWN_FIELDS, as_number
from imagefinder.types import ImageRecord

__all__ = ["SPARE_COLUMNS", "NumberColumns"]

# Made with the schema: zvec's `add_column` refuses to run beside documents that are still in
# memory. Keys beyond these are filtered without an index.
SPARE_COLUMNS = tuple(f"number{index}" for index in range(32))


class NumberColumns:
    """A key gets the next spare column when its first number or date arrives, and keeps it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._columns = _read(file)

    @property
    def columns(self) -> Mapping[str, str]:
        return self._columns

    def assign(self, records: Iterable[ImageRecord]) -> None:
        """Gives the new numeric keys of these records a column. On disk when it returns, so that
        no record is written under a column that a crash could give to another key."""
        if len(self._columns) == len(SPARE_COLUMNS):
            return
        columns = dict(self._columns)
        for record in records:
            for key, value in record.metadata.items():
                if key in columns or key in OWN_FIELDS or as_number(value) is None:
                    continue
                if len(columns) < len(SPARE_COLUMNS):
                    columns[key] = SPARE_COLUMNS[len(columns)]
        if len(columns) > len(self._columns):
            _write(self._file, columns)
            self._columns = columns


def _read(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:  # no number has come yet
        return {}
    try:
        columns = {str(key): str(column) for key, column in json.loads(text).items()}
    except (ValueError, AttributeError) as error:
        raise _damaged(file) from error
    if list(columns.values()) != list(SPARE_COLUMNS[: len(columns)]):
        raise _damaged(file)
    return columns


def _damaged(file: Path) -> CollectionDamagedError:
    return CollectionDamagedError(
        f"{file} cannot be read; restore a backup, or delete the collection and index again"
    )


def _write(file: Path, columns: Mapping[str, str]) -> None:
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as out:
        json.dump(columns, out)
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
