"""A table of images: CSV, JSON lines, Parquet or a plain list of paths and URLs."""

import os
import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from imagefinder import objects
from imagefinder.errors import SourceError
from imagefinder.sources.address import local_path, redact, scheme
from imagefinder.sources.columns import Columns, TableColumns, find_columns
from imagefinder.sources.fetch import Fetcher, is_there
from imagefinder.sources.row import BadRow, Row, clip
from imagefinder.sources.rows import read_rows
from imagefinder.sources.selection import EVERYTHING, Selection
from imagefinder.types import NO_METADATA, ImageRef, Metadata, Skipped

# What most tables hold. It needs none of the checks that others go through.
_PLAIN_URL = re.compile(r"https?://[a-zA-Z0-9.\-]+(:[0-9]+)?/[!$-.0-;=A-Z_a-z~%/]*")


class TableSource:
    """The images that the rows of a table name by path or URL; other columns become metadata.

    Paths are relative to the table's folder. A row that repeats the id and location of an earlier
    one is left out; 8 bytes a row are kept to know it (about 100 with Python's overhead).
    """

    def __init__(
        self,
        table: Path,
        *,
        fetcher: Fetcher,
        columns: TableColumns | None = None,
        selection: Selection = EVERYTHING,
    ) -> None:
        self._folder = os.path.realpath(table.parent)
        self._table = Path(self._folder, table.name)
        self.root = str(self._table)
        self.complete = selection.everything
        self._fetcher, self._selection = fetcher, selection
        self._wanted = columns or TableColumns()
        self._lock = threading.Lock()
        self._known_paths: set[int] | None = None

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        seen: set[int] = set()
        for place in self._places():
            if isinstance(place, Skipped):
                yield place
            elif self._selection.wants(place.selector):
                key = hash((place.id, place.path))
                if key not in seen:
                    seen.add(key)
                    yield self._ref(place)

    def read(self, ref: ImageRef) -> bytes:
        return self._fetcher.read(ref.address if isinstance(ref, _PrivateRef) else ref.uri)

    def exists(self, path: str) -> bool:
        """Whether a row still names it and, for a local image, the file is there."""
        with self._lock:
            if self._known_paths is None:
                paths = (place.path for place in self._places() if isinstance(place, _Place))
                self._known_paths = {hash(path) for path in paths}
        if hash(path) not in self._known_paths:
            return False
        return scheme(path) is not None or is_there(os.path.join(self._folder, path))

    def covers(self, path: str) -> bool:
        return self.exists(path)

    def _places(self) -> Iterator["_Place | Skipped"]:
        """What each row names, without a look at any image."""
        columns: Columns | None = None
        for row in self._rows():
            if isinstance(row, BadRow):
                yield self._skipped(row, row.reason)
                continue
            try:
                columns = find_columns(tuple(row.cells), self._wanted, self.root)
            except SourceError:
                if columns is None:  # no row so far had them: it is the table that is wrong
                    raise
                yield self._skipped(row, "no path or URL")
            else:
                yield self._place(row, columns)

    def _rows(self) -> Iterator[Row | BadRow]:
        return read_rows(self._table)

    def _resolved(self, address: str) -> tuple[str, str | None]:
        """A location as the table has it -> where that is, and a shorter name of it, if any. Raises
        ValueError with the problem."""
        return address, None

    def _place(self, row: Row, columns: Columns) -> "_Place | Skipped":
        address = _text(row.cells[columns.location])
        if address is None:
            return self._skipped(row, f"no path or URL in column {columns.location}")
        try:
            address, name = self._resolved(address)
        except ValueError as error:
            return self._skipped(row, f"{error}: {clip(redact(address))}")
        if remote := _PLAIN_URL.fullmatch(address) is not None:
            path = address
        else:
            address = local_path(address)
            remote = scheme(address) is not None
            if problem := problem_of(address, remote):
                return self._skipped(row, f"{problem}: {clip(redact(address))}")
            path = redact(address) if remote else self._relative(address)
        id = name or path if columns.id is None else _text(row.cells[columns.id])
        if id is None:
            return self._skipped(row, f"no id in column {columns.id}")
        used = (columns.id, columns.location)
        metadata = {
            name: value
            for name, value in row.cells.items()
            if value is not None and name not in used
        }
        return _Place(row, id, path, address if remote else None, metadata or NO_METADATA)

    def _relative(self, path: str) -> str:
        """Below the table's folder, or absolute where it leads out of it."""
        if os.sep == "/" and "\\" in path and not os.path.exists(os.path.join(self._folder, path)):
            path = path.replace("\\", "/")  # a table made on Windows
        whole = os.path.normpath(os.path.join(self._folder, os.path.expanduser(path)))
        inside = os.path.join(self._folder, "")
        return whole.removeprefix(inside).replace(os.sep, "/")

    def _ref(self, place: "_Place") -> ImageRef | Skipped:
        if place.address is not None:
            if place.path == place.address:
                return ImageRef(place.id, place.path, place.path, metadata=place.metadata)
            return _PrivateRef(
                place.id, place.path, place.path, metadata=place.metadata, address=place.address
            )
        uri = os.path.normpath(os.path.join(self._folder, place.path))
        try:
            status = os.stat(uri)
        except (FileNotFoundError, NotADirectoryError):
            return Skipped(place.id, uri, f"{place.row}: no such file")
        except (OSError, ValueError) as error:  # ValueError: a null byte
            reason = str(getattr(error, "strerror", error)).lower()
            return Skipped(place.id, uri, f"{place.row}: {reason}")
        if not stat.S_ISREG(status.st_mode):
            return Skipped(place.id, uri, f"{place.row}: not a file")
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return ImageRef(place.id, place.path, uri, size, mtime_ns, place.metadata)

    def _skipped(self, row: Row | BadRow, reason: str) -> Skipped:
        """A row that names no image: it goes by its place in the table."""
        place = row.number if row.line is None else row.line
        return Skipped(f"{self._table.name}:{place}", self.root, f"{row}: {reason}")


@dataclass(frozen=True, slots=True)
class _Place:
    """What a row names. `address` is the URL as it stands there, None for a local path."""

    row: Row
    id: str
    path: str
    address: str | None
    metadata: Metadata

    @property
    def selector(self) -> str:
        """What globs are compared with: of a URL, `host/path/name.jpg`."""
        return self.path.partition("://")[2].partition("?")[0] if self.address else self.path


@dataclass(frozen=True, slots=True)
class _PrivateRef(ImageRef):
    """An image at a URL with a secret in it, which only `read` sees."""

    address: str = field(default="", repr=False)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def problem_of(address: str, remote: bool) -> str | None:
    """Why this cannot be where an image is, as far as the text tells."""
    if not address.isprintable() and any(letter < " " for letter in address):
        return "a path or URL with control characters"
    if not remote:
        return None
    protocol = scheme(address) or ""
    if not objects.is_known(protocol):
        return f"{protocol}:// is no known kind of address"
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return "not a valid URL"
    if protocol in ("http", "https") and (not host or " " in host):
        return "not a valid URL"
    return None
