"""Images at URLs: one over HTTP(S), or all below a prefix of an object store."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from imagefinder import objects
from imagefinder.ahead import ahead
from imagefinder.errors import FetchError, SourceError
from imagefinder.signatures import sniff
from imagefinder.sources.address import redact
from imagefinder.sources.archive import StoredBytes
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.listing import Listed, listed
from imagefinder.sources.names import HEAD, extension, is_image_name
from imagefinder.sources.presence import Presence
from imagefinder.sources.selection import EVERYTHING, Selection
from imagefinder.sources.shard import MemberRef, is_shard_name
from imagefinder.sources.shard_index import Found
from imagefinder.sources.shards import Shards
from imagefinder.types import ImageRef, Skipped

LOOKS = 16  # objects looked at together


class UrlSource:
    """One image over HTTP(S). Its id is the URL, without what must stay secret in it."""

    complete = False

    def __init__(self, url: str, *, fetcher: Fetcher) -> None:
        self._url, self._fetcher = url, fetcher
        self.root = redact(url)

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        yield ImageRef(id=self.root, path=self.root, uri=self.root)

    def read(self, ref: ImageRef) -> bytes:
        return self._fetcher.read(self._url if ref.uri == self.root else ref.uri)

    def exists(self, path: str) -> bool:
        return path == self.root

    def covers(self, path: str) -> bool:
        return path == self.root


class ObjectSource:
    """The images below a prefix of an object store, or one object of it, through fsspec.

    An object without an extension is recognised by its first bytes; the others go by their name
    alone, because looking costs a request each. An object `a.tar` is walked like a folder.
    With `part_of`, the root of a prefix around this one, the images are that one's.
    """

    def __init__(
        self,
        url: str,
        *,
        fetcher: Fetcher,
        selection: Selection = EVERYTHING,
        part_of: str | None = None,
    ) -> None:
        try:
            self._store, base = objects.open_store(url)
        except SourceError as error:
            raise SourceError(f"{redact(url)}: {error}") from error
        self._fetcher, self._selection = fetcher, selection
        self._shards = Shards(fetcher, selection)
        shown, chained, rest = redact(url).partition("::")
        self._only: str | None = None
        if not chained and (name := self._name_of_file(base, shown)):
            self._only = name
            base, shown = base.removesuffix(name), shown.removesuffix(name)
        # `zip://pictures::/home/me/a.zip`: what lies below goes before the `::`
        self._before = shown if shown.endswith("://") else shown.rstrip("/") + "/"
        self._after = chained + rest
        within = base if not base or base.endswith("/") else f"{base}/"
        self._part = ""
        if part_of is not None and self._before.startswith(part_of):
            self._part = self._before.removeprefix(part_of)
            within, self._before = within.removesuffix(self._part), part_of
        self._presence = Presence(self._store, within)
        self._within = within
        self.root = self._before + self._after
        self.complete = selection.everything and self._only is None and not self._part

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        if self._only is not None:
            yield self._one(self._part + self._only)
            return
        try:
            for some in listed(self._store, self._within + self._part, self._selection):
                yield from self._named([self._at_root(found) for found in some])
        except SourceError as error:
            raise SourceError(f"{self._uri(self._part)}: {error}") from error

    def read(self, ref: ImageRef) -> bytes:
        if isinstance(ref, MemberRef):
            return self._fetcher.read_ref(ref)
        return objects.read(self._store, self._inside(ref.path), self._fetcher.max_bytes)

    def exists(self, path: str) -> bool:
        held = None if self._after else self._shards.exists(path, self._before)
        if held is not None:
            return held
        try:
            return self._presence.of(path)
        except SourceError as error:
            raise SourceError(f"{self.root}: {error}") from error

    def covers(self, path: str) -> bool:
        if self._only is not None:
            return path == self._part + self._only
        return path.startswith(self._part) and self._selection.covers(path, self._part)

    def _name_of_file(self, base: str, shown: str) -> str | None:
        """The name of the object where the URL is one, None where it is a prefix."""
        try:
            kind = self._store.info(base)["type"]
        except FileNotFoundError as error:
            raise SourceError(f"{shown}: no such folder or object") from error
        except Exception as error:
            raise SourceError(f"{shown}: {objects.reason(error)}") from error
        return base.rpartition("/")[2] if kind == "file" else None

    def _one(self, path: str) -> ImageRef:
        try:
            info = self._store.info(self._inside(path))
        except Exception as error:  # each driver has its own errors
            raise SourceError(f"{self._uri(path)}: {objects.reason(error)}") from error
        size = info.get("size")
        return self._ref(
            Listed(path, size if isinstance(size, int) else None, objects.mtime_ns(info))
        )

    def _at_root(self, found: Listed) -> Listed:
        return replace(found, path=self._part + found.path) if self._part else found

    def _named(self, some: Sequence[Listed]) -> Iterator[ImageRef | Skipped | None]:
        """The images among some objects."""
        some = [item for item in some if self._concerns(item)]
        with closing(self._looked_at(some)) as looks:
            for found in some:
                if found.problem is not None:
                    yield Skipped(found.path, self._uri(found.path), found.problem)
                elif is_shard_name(found.name) and not self._after:
                    yield from self._shards.images(found.path, self._archive(found))
                elif is_image_name(found.name) or (not extension(found.name) and next(looks)):
                    yield self._ref(found)
                else:
                    yield None

    def _concerns(self, found: Listed) -> bool:
        if found.problem is not None or is_shard_name(found.name):
            return True
        return self._selection.wants(found.path)

    def _looked_at(self, some: Sequence[Listed]) -> Generator[bool, None, None]:
        """Whether the content of those without an extension is that of an image, several at once:
        each takes a request, in every run."""
        unclear = [found for found in some if found.problem is None and not extension(found.name)]
        return ahead(self._is_image, unclear, workers=LOOKS, window=4 * LOOKS)

    def _is_image(self, found: Listed) -> bool:
        try:
            head = objects.read_part(self._store, self._inside(found.path), 0, HEAD)
        except FetchError:  # neither its name nor its content says that it is an image
            return False
        return sniff(head) is not None

    def _archive(self, found: Listed) -> Found:
        path, size = self._inside(found.path), found.size or 0
        return Found(
            self._uri(found.path),
            size,
            found.mtime_ns,
            lambda: StoredBytes(self._store, path, size),
        )

    def _ref(self, found: Listed) -> ImageRef:
        uri = self._uri(found.path)
        return ImageRef(found.path, found.path, uri, found.size, found.mtime_ns)

    def _inside(self, path: str) -> str:
        """The path within the store of a path below the root."""
        return self._within + path

    def _uri(self, path: str) -> str:
        return self._before + path + self._after
