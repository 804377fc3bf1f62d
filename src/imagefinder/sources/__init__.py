"""Where images come from: `open_source` makes a Source of whatever a user names."""

import os
from collections.abc import Sequence
from pathlib import Path

from imagefinder.errors import SourceError, UsageError
from imagefinder.protocols import Source
from imagefinder.sources.address import is_http, local_path, scheme
from imagefinder.sources.columns import TableColumns
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.folder import FileSource, FolderSource, is_image_content
from imagefinder.sources.names import TABLE_EXTENSIONS, extension, is_image_name
from imagefinder.sources.selection import EVERYTHING, Sample, Selection
from imagefinder.sources.shard_source import open_shards
from imagefinder.sources.table import TableSource

__all__ = ["Fetcher", "TableColumns", "open_source"]

ACCEPTED = (
    "a folder, an image, a table (.csv, .tsv, .jsonl, .json, .parquet), "
    "a list of paths or URLs (.txt), a tar archive or several (shard-{000..099}.tar), or a URL"
)


def open_source(
    where: str | Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    sample: int | None = None,
    columns: TableColumns | None = None,
    fetcher: Fetcher | None = None,
    part_of: str | None = None,
) -> Source:
    """The images of a folder, a file, a table, tar archives, a URL or an object store.

    `include` and `exclude` are globs as in a .gitignore file, compared with the path below the root
    without regard to case; of a URL in a table with `host/path`. `sample` takes that many images,
    the same ones at every run. `columns` names a table's columns that have unusual names.
    `part_of` is the root of a source around this folder, file or prefix, of which it is a part.

    Raises SourceError when there is nothing there, or nothing that can be a source; UsageError for
    an option that is wrong.
    """
    fetcher = fetcher or Fetcher()
    selection = Selection(include, exclude) if include or exclude else EVERYTHING
    source = _opened(where, selection, columns, fetcher, part_of)
    return source if sample is None else Sample(source, sample)


def _opened(
    where: str | Path,
    selection: Selection,
    columns: TableColumns | None,
    fetcher: Fetcher,
    part_of: str | None,
) -> Source:
    shards = open_shards(where, fetcher=fetcher, selection=selection, part_of=part_of)
    if shards is not None:
        return shards
    if isinstance(where, str) and scheme(where) not in (None, "file"):
        return _remote(where, selection, columns, fetcher, part_of)
    path = _path(where)
    if path.is_dir():
        return FolderSource(path, fetcher=fetcher, selection=selection, part_of=part_of)
    if is_image_name(path.name) or is_image_content(os.fspath(path)):
        return FileSource(path, fetcher=fetcher, part_of=part_of)
    if extension(path.name) in TABLE_EXTENSIONS:
        return TableSource(path, fetcher=fetcher, columns=columns, selection=selection)
    raise SourceError(f"{path}: not an image, and not a table; a source is {ACCEPTED}")


def _remote(
    url: str,
    selection: Selection,
    columns: TableColumns | None,
    fetcher: Fetcher,
    part_of: str | None,
) -> Source:
    if extension(url.partition("?")[0]) in TABLE_EXTENSIONS:
        from imagefinder.sources.remote_table import RemoteTable

        return RemoteTable(url, fetcher=fetcher, columns=columns, selection=selection)
    from imagefinder.sources.remote import ObjectSource, UrlSource

    if is_http(url):
        return UrlSource(url, fetcher=fetcher)
    return ObjectSource(url, fetcher=fetcher, selection=selection, part_of=part_of)


def _path(where: str | Path) -> Path:
    """Raises SourceError when there is no such file or folder."""
    text = local_path(os.fspath(where))
    if not text:
        raise UsageError(f"an empty path; a source is {ACCEPTED}")
    try:
        path = Path(text).expanduser()
        if path.is_dir() or path.is_file():
            return path
        exists = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a null byte, a ~user who is unknown
        raise SourceError(f"{text!r}: {error}") from error
    if exists:
        raise SourceError(f"{path}: neither a file nor a folder; a source is {ACCEPTED}")
    if path.is_symlink():
        raise SourceError(f"{path}: a link to something that is not there")
    raise SourceError(f"{path}: no such file or folder")
