"""The `metadata.jsonl` of each part of an export, as `datasets` takes them: every part has the same
columns, and a column has values of one type."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from imagefinder.types import Metadata, MetadataValue

METADATA, PARTIAL = "metadata.jsonl", ".imagefinder-metadata"
TEXT = "str"


class MetadataTables:
    """Rows are noted as they come, and written when all columns are known."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, IO[str]] = {}  # part -> the rows so far
        self._kinds: defaultdict[str, set[str]] = defaultdict(set)  # column -> types in it
        self._filled: defaultdict[str, set[str]] = defaultdict(set)  # column -> parts with a value

    def add(self, part: str, row: Metadata) -> None:
        """Note a row; the folder of the part is there."""
        if part not in self._files:
            path = self._directory / part / PARTIAL
            self._files[part] = path.open("w", encoding="utf-8")
        self._files[part].write(json.dumps(dict(row), default=list) + "\n")
        for name, value in row.items():
            if kinds := kinds_of(value):
                self._kinds[name] |= kinds
                self._filled[name].add(part)

    def close(self) -> None:
        """Whatever happened."""
        for file in self._files.values():
            file.close()

    def finish(self) -> None:
        """Write the tables."""
        self.close()
        everywhere = {
            name for name, parts in self._filled.items() if len(parts) == len(self._files)
        }
        # A column without any value in one part would have no type there, and all are to have the
        # same: so it becomes text, which can be empty.
        kinds = {
            name: usual(each) if name in everywhere else TEXT for name, each in self._kinds.items()
        }
        for part in self._files:
            folder = self._directory / part
            with (
                (folder / PARTIAL).open(encoding="utf-8") as rows,
                (folder / METADATA).open("w", encoding="utf-8", newline="") as file,
            ):
                for line in rows:
                    row = typed(json.loads(line), kinds)
                    row = {
                        name: "" if value is None and name not in everywhere else value
                        for name, value in row.items()
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            (folder / PARTIAL).unlink()


def kinds_of(value: MetadataValue) -> set[str]:
    """The type of a value, as a column knows it; none for none."""
    if value is None:
        return set()
    if isinstance(value, (list, tuple)):
        return {f"list of {kind}" for each in value for kind in kinds_of(each)}
    return {type(value).__name__}


def usual(kinds: set[str]) -> str:
    """The type that can hold all of these."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds <= {"int", "float"} else TEXT


def typed(row: Metadata, kinds: Mapping[str, str]) -> dict[str, MetadataValue]:
    """The row with every column, its values of the types that the columns have."""
    return {name: as_kind(row.get(name), kind) for name, kind in kinds.items()}


def as_kind(value: MetadataValue, kind: str) -> MetadataValue:
    """A value as its column has it; none stays none."""
    if value is None:
        return None
    if kind == "float" and isinstance(value, int):
        return float(value)
    if kind == TEXT and isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value) if kind == TEXT else value
