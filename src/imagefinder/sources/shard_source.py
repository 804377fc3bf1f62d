"""Tar archives that are named themselves: one, or those that a pattern stands for."""

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imagefinder import objects
from imagefinder.errors import FetchError, SourceError
from imagefinder.sources.address import is_http, local_path, redact, scheme
from imagefinder.sources.braces import expand, is_glob, is_pattern
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.folder import root_and_part
from imagefinder.sources.selection import Selection
from imagefinder.sources.shard import is_shard_name, split_at_shards
from imagefinder.sources.shard_index import find_shard
from imagefinder.sources.shards import Shards
from imagefinder.types import ImageRef, Skipped

_COMPRESSED = re.compile(r"\.(tar\.(gz|bz2|xz|zst)|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)


class ShardSource:
    """The images of some archives of a folder or a prefix, which is the root: they have the same
    ids as when it is indexed as a whole. `names` are below the root."""

    complete = False

    def __init__(
        self, root: str, names: Sequence[str], *, fetcher: Fetcher, selection: Selection
    ) -> None:
        self.root, self._names = root, dict.fromkeys(names)
        self._before = root.rstrip("/") + "/"
        self._fetcher, self._selection = fetcher, selection
        self._shards = Shards(fetcher, selection)

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        for name in self._names:
            uri = self._before + name
            try:
                found = find_shard(uri)
            except FetchError as error:
                yield Skipped(name, uri, str(error))
            else:
                if found is None:
                    yield Skipped(name, uri, "no such file")
                else:
                    yield from self._shards.images(name, found)

    def read(self, ref: ImageRef) -> bytes:
        return self._fetcher.read_ref(ref)

    def exists(self, path: str) -> bool:
        return bool(self._shards.exists(path, self._before))

    def covers(self, path: str) -> bool:
        shards = [shard for shard, _ in split_at_shards(path) if shard in self._names]
        return any(self._selection.covers(path, shard) for shard in shards)


def open_shards(
    where: str | Path, *, fetcher: Fetcher, selection: Selection, part_of: str | None = None
) -> ShardSource | None:
    """The source where `where` names an archive or a pattern of such, else None.

    Raises SourceError where a pattern finds nothing, UsageError where it stands for too much."""
    text = os.fspath(where)
    plain = text.partition("?")[0] if is_http(text) else text
    if _COMPRESSED.search(plain):
        raise SourceError(f"{redact(text)}: compressed archives are not read; unpack it to a .tar")
    if not is_shard_name(plain):
        return None
    if is_http(text):
        raise SourceError(f"{redact(text)}: archives are read from files and stores; download it")
    if scheme(text) not in (None, "file"):
        return _stored(text, fetcher, selection)
    text = os.path.expanduser(local_path(text)).replace(os.sep, "/")
    if not os.path.isfile(text) and (os.path.lexists(text) or not is_pattern(text)):
        return None
    before = "" if os.path.isfile(text) else _before_pattern(text)
    before = before or text[: text.rfind("/") + 1]
    paths = [text] if os.path.isfile(text) else _found(text, glob_files)
    root, part = root_and_part(Path(before or "."), part_of)
    names = [part + path.removeprefix(before) for path in paths]
    return ShardSource(root, names, fetcher=fetcher, selection=selection)


def _stored(url: str, fetcher: Fetcher, selection: Selection) -> ShardSource | None:
    """The same in an object store."""
    is_one = not is_pattern(url)
    try:
        if is_one and find_shard(url) is None:
            return None
    except FetchError as error:
        raise SourceError(f"{redact(url)}: {error}") from error
    before = url[: url.rfind("/") + 1] if is_one else _before_pattern(url)
    urls = [url] if is_one else _found(url, glob_objects)
    names = [found.removeprefix(before) for found in urls]
    return ShardSource(before, names, fetcher=fetcher, selection=selection)


def _found(pattern: str, find: Callable[[str], list[str]]) -> list[str]:
    """What a pattern stands for: names that braces make may be missing, and are told then."""
    names = [
        found for name in expand(pattern) for found in (find(name) if is_glob(name) else [name])
    ]
    if not names:
        raise SourceError(f"{redact(pattern)}: no such file")
    return names


def glob_files(pattern: str) -> list[str]:
    return [path.replace(os.sep, "/") for path in sorted(glob.glob(pattern, recursive=True))]


def glob_objects(url: str) -> list[str]:
    """Raises SourceError."""
    try:
        store, path = objects.open_store(url)
        found = sorted(store.glob(path))
    except SourceError as error:
        raise SourceError(f"{redact(url)}: {error}") from error
    except Exception as error:  # each driver has its own errors
        raise SourceError(f"{redact(url)}: {objects.reason(error)}") from error
    before = url.removesuffix(path.lstrip("/"))
    return [before + name.lstrip("/") for name in found]


def _before_pattern(text: str) -> str:
    """The folder that all names are below, with a slash at its end; empty for this one."""
    plain = re.split(r"[*?\[{]", text, maxsplit=1)[0]
    return plain[: plain.rfind("/") + 1]
