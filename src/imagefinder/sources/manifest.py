"""The manifest that `download` leaves in a folder: which file holds the image of which id.

One JSON object a line, appended as files complete; the last line of an id or a file counts. A line
that a crash cut short is passed over.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal, Self

from imagefinder.types import ImageRef, Metadata

_OUTWARD = re.compile(r"^/|(^|/)\.\.(/|$)|[:\\]")
_TYPES = (str, str, str, str, int, dict)  # of an entry's fields
_DECODER = json.JSONDecoder()  # json.loads guesses the encoding of each line anew


@dataclass(frozen=True, slots=True)
class Entry:
    """One downloaded file. `file` is its path below the manifest's folder, `url` has no secrets."""

    id: str
    file: str
    url: str
    sha256: str
    size: int
    metadata: Metadata


class Manifest:
    """A manifest to look entries up in by their file or id; it maps the file while it is open.

    In memory are only the keys and the places of their lines.
    """

    def __init__(self, path: Path, by: Literal["file", "id"]) -> None:
        self._places = {getattr(entry, by): place for place, entry in _entries(path)}
        self._lines: mmap | None = None
        if self._places:
            with path.open("rb") as file:
                self._lines = mmap(file.fileno(), 0, access=ACCESS_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()

    def get(self, key: str) -> Entry | None:
        place = self._places.get(key)
        if place is None or self._lines is None:
            return None
        end = self._lines.find(b"\n", place)
        fields = _DECODER.decode(self._lines[place : end if end >= 0 else None].decode())
        return Entry(
            *[fields[name] for name in Entry.__slots__]
        )  # it was checked when it was found

    def named(self, ref: ImageRef) -> ImageRef:
        """The same file under the id and with the metadata that the manifest has for it."""
        entry = self.get(ref.path)
        if entry is None:
            return ref
        return ImageRef(entry.id, ref.path, ref.uri, ref.size, ref.mtime_ns, entry.metadata)


def read_manifest(path: Path) -> Iterator[Entry]:
    """Every entry, also those that later ones replace."""
    return (entry for _, entry in _entries(path))


class ManifestWriter:
    """Appends entries; each is in the file when `add` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._end_torn_line()

    def add(self, entry: Entry) -> None:
        fields = asdict(replace(entry, metadata=dict(entry.metadata)))
        self._file.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _end_torn_line(self) -> None:
        """What comes next must not be glued to half a line that a crash left."""
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")


def _entries(path: Path) -> Iterator[tuple[int, Entry]]:
    """Each entry with the place of its line in the file."""
    if not path.is_file():
        return
    place = 0
    with path.open("rb") as lines:
        for line in lines:
            if entry := _parsed(line):
                yield place, entry
            place += len(line)


def _parsed(line: bytes) -> Entry | None:
    try:
        fields = _DECODER.decode(line.decode())
        values = [fields[name] for name in Entry.__slots__]
    except (ValueError, TypeError, KeyError):
        return None
    if not all(map(isinstance, values, _TYPES)):
        return None
    entry = Entry(*values)
    # A manifest may come from anywhere and must not lead out of its folder, on no system.
    return None if _OUTWARD.search(entry.file) else entry
