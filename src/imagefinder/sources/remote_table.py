"""A table at a URL: in an object store, or on the web."""

import os
import posixpath
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from imagefinder import objects
from imagefinder.errors import FetchError, SourceError
from imagefinder.sources.address import is_http, redact, scheme
from imagefinder.sources.columns import TableColumns
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.row import BadRow, Row
from imagefinder.sources.rows import read_rows
from imagefinder.sources.selection import EVERYTHING, Selection
from imagefinder.sources.table import TableSource

LARGEST = 5_000_000_000  # bytes of a table in an object store; on the web, what an image may have
PIECE = 4 << 20  # bytes copied at once


class RemoteTable(TableSource):
    """As a table in a file; relative locations are below the table's own prefix. It is fetched into
    a temporary file when its rows are asked for. No row names a file of this machine."""

    def __init__(
        self,
        url: str,
        *,
        fetcher: Fetcher,
        columns: TableColumns | None = None,
        selection: Selection = EVERYTHING,
    ) -> None:
        self._url, plain = url, redact(url).partition("?")[0]
        self._base, _, name = plain.rpartition("/")
        super().__init__(Path(name), fetcher=fetcher, columns=columns, selection=selection)
        self.root = redact(url)
        self._copying = threading.Lock()
        self._copied: Path | None = None

    def _rows(self) -> Iterator[Row | BadRow]:
        copy = self._copy()
        try:
            yield from read_rows(copy)
        except SourceError as error:
            raise SourceError(str(error).replace(os.fspath(copy), self.root)) from error

    def _resolved(self, address: str) -> tuple[str, str | None]:
        if scheme(address) not in (None, "file"):
            return address, None
        path = address.replace("\\", "/")
        if scheme(address) or path.startswith(("/", "~")) or path[1:2] == ":":
            raise ValueError("a path of a machine, in a table that comes from elsewhere")
        if {".", ".."} & set(path.split("/")):
            path = posixpath.normpath(path)
        name, base = path, self._base
        while path.startswith("../"):
            path, base = path.removeprefix("../"), base.rpartition("/")[0]
        if path == ".." or not base.partition("://")[2]:
            raise ValueError("leads out of where the table is")
        whole = f"{base}/{path}"
        # names of files are more than what may stand in a URL, where one may be quoted already
        return (quote(whole, safe="/:@!$&'()*+,;=-._~%?[]") if is_http(base) else whole), name

    def _copy(self) -> Path:
        """Raises SourceError."""
        with self._copying:
            if self._copied is None:
                folder = Path(tempfile.mkdtemp(prefix="imagefinder-"))
                weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
                file = folder / self._table.name
                try:
                    self._fetch(file)
                except (FetchError, SourceError) as error:
                    raise SourceError(f"{self.root}: {error}") from error
                except OSError as error:
                    reason = (error.strerror or str(error)).lower()
                    raise SourceError(f"{file}: the table cannot be kept: {reason}") from error
                self._copied = file
            return self._copied

    def _fetch(self, file: Path) -> None:
        if is_http(self._url):
            file.write_bytes(self._fetcher.read(self._url))
            return
        store, path = objects.open_store(self._url)
        with file.open("wb") as target:
            for piece in objects.pieces(store, path, PIECE):
                if target.tell() + len(piece) > LARGEST:
                    raise FetchError(
                        f"larger than {LARGEST / 1e9:g} GB; split it, or download it and index that"
                    )
                target.write(piece)
