"""Images at URLs: one over HTTP(S), or all below a prefix of an object store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from imagefinder.errors import FetchError, SourceError
from imagefinder.signatures import sniff
from imagefinder.sources import objects
from imagefinder.sources.address import redact
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.names import HEAD, extension, is_hidden, is_image_name
from imagefinder.sources.selection import EVERYTHING, Selection
from imagefinder.types import ImageRef, Skipped


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


@dataclass(frozen=True, slots=True)
class _Object:
    """One line of a listing; `path` is below the root."""

    name: str
    path: str
    is_folder: bool
    size: int | None
    mtime_ns: int | None


class ObjectSource:
    """The images below a prefix of an object store, or one object of it, through fsspec.

    An object without an extension is recognised by its first bytes; the others go by their name
    alone, because looking costs a request each.
    """

    def __init__(self, url: str, *, fetcher: Fetcher, selection: Selection = EVERYTHING) -> None:
        self._store, base = objects.open_store(url)
        self._fetcher, self._selection = fetcher, selection
        shown, chained, rest = redact(url).partition("::")
        self._only: str | None = None
        if not chained and (name := self._name_of_file(base, shown)):
            self._only = name
            base, shown = base.removesuffix(name), shown.removesuffix(name)
        self._within = base if not base or base.endswith("/") else f"{base}/"
        # `zip://pictures::/home/me/a.zip`: what lies below goes before the `::`
        self._before = shown if shown.endswith("://") else shown.rstrip("/") + "/"
        self._after = chained + rest
        self.root = self._before + self._after
        self.complete = selection.everything and self._only is None

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        if self._only is None:
            yield from self._walk()
        else:
            try:
                info = self._store.info(self._inside(self._only))
            except Exception as error:  # each driver has its own errors
                raise SourceError(f"{self.root}{self._only}: {objects.reason(error)}") from error
            yield self._ref(_object(info, self._only))

    def read(self, ref: ImageRef) -> bytes:
        return objects.read(self._store, self._inside(ref.path), self._fetcher.max_bytes)

    def exists(self, path: str) -> bool:
        try:
            return bool(self._store.exists(self._inside(path)))
        except Exception as error:
            raise SourceError(f"{self.root}: {objects.reason(error)}") from error

    def covers(self, path: str) -> bool:
        if self._only is not None:
            return path == self._only
        return self._selection.covers(path)

    def _name_of_file(self, base: str, shown: str) -> str | None:
        """The name of the object where the URL is one, None where it is a prefix."""
        try:
            kind = self._store.info(base)["type"]
        except FileNotFoundError as error:
            raise SourceError(f"{shown}: no such folder or object") from error
        except Exception as error:
            raise SourceError(f"{shown}: {objects.reason(error)}") from error
        return base.rpartition("/")[2] if kind == "file" else None

    def _walk(self) -> Iterator[ImageRef | Skipped | None]:
        stack = [iter(self._listing(""))]
        while stack:
            for found in stack[-1]:
                if is_hidden(found.name):
                    continue
                if found.is_folder:
                    if self._selection.enters(found.path):
                        below = self._folder(found)
                        if isinstance(below, Skipped):
                            yield below
                        else:
                            stack.append(iter(below))
                            break
                elif self._selection.wants(found.path):
                    yield self._ref(found) if self._is_image(found) else None
            else:
                stack.pop()

    def _folder(self, found: _Object) -> list[_Object] | Skipped:
        try:
            return self._listing(found.path)
        except SourceError as error:  # one folder of many
            reason = str(error).rpartition(": ")[2]
            return Skipped(found.path, self._uri(found.path), f"folder cannot be read: {reason}")

    def _listing(self, path: str) -> list[_Object]:
        folder = self._inside(path)
        try:
            infos = self._store.ls(folder, detail=True)
        except FileNotFoundError as error:
            raise SourceError(f"{self._uri(path)}: no such folder or object") from error
        except Exception as error:
            raise SourceError(f"{self._uri(path)}: {objects.reason(error)}") from error
        prefix = f"{path}/" if path else ""
        names = ((info, info["name"].rstrip("/").rpartition("/")[2]) for info in infos)
        # S3 consoles mark a folder with an empty object of its name, which is listed within it.
        within = [
            _object(info, prefix + name)
            for info, name in names
            if info["name"].strip("/") != folder.strip("/")
        ]
        return sorted(within, key=lambda found: found.name)

    def _ref(self, found: _Object) -> ImageRef:
        uri = self._uri(found.path)
        return ImageRef(found.path, found.path, uri, found.size, found.mtime_ns)

    def _is_image(self, found: _Object) -> bool:
        if extension(found.name):
            return is_image_name(found.name)
        try:
            head = objects.read_head(self._store, self._inside(found.path), HEAD)
        except FetchError:  # neither its name nor its content says that it is an image
            return False
        return sniff(head) is not None

    def _inside(self, path: str) -> str:
        """The path within the store of a path below the root."""
        whole = self._within + path
        return whole.rstrip("/") or whole  # a root may be `/`, or nothing

    def _uri(self, path: str) -> str:
        return self._before + path + self._after


def _object(info: Mapping[str, object], path: str) -> _Object:
    size = info.get("size")
    return _Object(
        name=path.rpartition("/")[2],
        path=path,
        is_folder=info.get("type") == "directory",
        size=size if isinstance(size, int) else None,
        mtime_ns=_mtime_ns(info),
    )


def _mtime_ns(info: Mapping[str, object]) -> int | None:
    """When the object was written; each driver has a name and a type of its own for it."""
    names = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
    value = next((info[name] for name in names if info.get(name) is not None), None)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return round(value * 1e9) if isinstance(value, int | float) else None
