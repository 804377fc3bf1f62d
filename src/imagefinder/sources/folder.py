"""A folder of images, or one image file of it. A tar archive is read as a folder."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imagefinder.errors import FetchError, SourceError
from imagefinder.signatures import sniff
from imagefinder.sources.fetch import Fetcher, is_there
from imagefinder.sources.manifest import Manifest
from imagefinder.sources.names import (
    HEAD,
    IMAGE_EXTENSIONS,
    MANIFEST_NAME,
    is_hidden,
    is_image_name,
)
from imagefinder.sources.selection import EVERYTHING, Selection
from imagefinder.sources.shard import is_shard_name
from imagefinder.sources.shard_index import find_shard
from imagefinder.sources.shards import Shards
from imagefinder.types import NO_METADATA, ImageRef, Skipped, is_text

# How often links may lead into one folder. Folders full of links to each other would otherwise be
# walked in every possible order, which has no end in practice.
LINKS_INTO_ONE_FOLDER = 16

_Inode = tuple[int, int]


class FolderSource:
    """The images below a folder, folder by folder in the order of their names.

    Symbolic links are followed, except back into a folder that the path already goes through.
    Hidden files and folders are left out; pipes, sockets and devices are never opened. A file
    `a.tar` is walked like a folder of this name.
    With `part_of`, a folder that this one is in, the images are that one's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fetcher: Fetcher,
        selection: Selection = EVERYTHING,
        part_of: str | None = None,
    ):
        self.root, self._part = root_and_part(folder, part_of)
        self.complete = selection.everything and not self._part
        self._fetcher, self._selection = fetcher, selection
        self._shards = Shards(fetcher, selection)

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        folder = os.path.join(self.root, self._part)
        try:
            entries = _sorted_entries(folder)
            inode = _inode(folder)
        except OSError as error:
            raise SourceError(f"{folder}: {_words(error)}") from error
        items = self._walk(entries, inode)
        manifest = Path(self.root, MANIFEST_NAME)
        return _named(items, manifest) if manifest.is_file() else items

    def read(self, ref: ImageRef) -> bytes:
        return self._fetcher.read_ref(ref)

    def exists(self, path: str) -> bool:
        held = self._shards.exists(path, os.path.join(self.root, ""))
        return is_there(os.path.join(self.root, path)) if held is None else held

    def covers(self, path: str) -> bool:
        return path.startswith(self._part) and self._selection.covers(path, self._part)

    def _walk(
        self, entries: Iterator[os.DirEntry[str]], inode: _Inode
    ) -> Iterator[ImageRef | Skipped | None]:
        # A stack and not recursion: trees may be deeper than Python's limit.
        stack = [(entries, self._part, inode)]
        links = _Links()
        wants = None if self._selection.everything else self._selection.wants
        while stack:
            entries, prefix, _ = stack[-1]
            for entry in entries:
                name = entry.name
                if is_hidden(name):
                    continue
                path = prefix + name
                if not name.isascii() and not is_text(name):
                    yield _misnamed(entry, prefix)
                elif _is_dir(entry):
                    below = self._enter(entry, path, [level[2] for level in stack], links)
                    if isinstance(below, Skipped):
                        yield below
                    elif below is not None:
                        stack.append((below[0], path + "/", below[1]))
                        break
                elif is_shard_name(name):
                    yield from self._in_shard(entry, path)
                elif wants is None or wants(path):
                    item = _file_item(entry, path)
                    if item is not _VANISHED:
                        yield item
            else:
                stack.pop()

    def _in_shard(self, entry: os.DirEntry[str], path: str) -> Iterator[ImageRef | Skipped | None]:
        try:
            found = find_shard(entry.path)
        except FetchError as error:
            yield Skipped(path, entry.path, str(error))
        else:
            if found is not None:
                yield from self._shards.images(path, found)
            elif entry.is_symlink():
                yield Skipped(path, entry.path, "broken link")

    def _enter(
        self, entry: os.DirEntry[str], path: str, above: list[_Inode], links: "_Links"
    ) -> tuple[Iterator[os.DirEntry[str]], _Inode] | Skipped | None:
        """The entries of a folder; None where it is not to be entered."""
        if not self._selection.enters(path):
            return None
        try:
            inode = _inode(entry.path)
            if inode in above:
                return None
            if entry.is_symlink() and not links.may_follow(inode):
                reason = f"link not followed: {LINKS_INTO_ONE_FOLDER} others led to its folder"
                return Skipped(path, entry.path, reason)
            return _sorted_entries(entry.path), inode
        except FileNotFoundError:  # removed since its parent was listed
            return None
        except OSError as error:
            return Skipped(path, entry.path, f"folder cannot be read: {_words(error)}")


class FileSource:
    """One image file: its folder is the root, its name the path and the id."""

    complete = False

    def __init__(self, file: Path, *, fetcher: Fetcher, part_of: str | None = None) -> None:
        # The folder is resolved and the file is not: a link's own name is what the user gave.
        self.root, part = root_and_part(file.parent, part_of)
        self._path, self._fetcher = part + file.name, fetcher

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        uri = os.path.join(self.root, self._path)
        try:
            status = os.stat(uri)
        except OSError as error:
            raise SourceError(f"{uri}: {_words(error)}") from error
        ref = ImageRef(self._path, self._path, uri, status.st_size, status.st_mtime_ns)
        yield from _named(iter([ref]), Path(self.root, MANIFEST_NAME))

    def read(self, ref: ImageRef) -> bytes:
        return self._fetcher.read(ref.uri)

    def exists(self, path: str) -> bool:
        return is_there(os.path.join(self.root, path))

    def covers(self, path: str) -> bool:
        return path == self._path


def _named(
    items: Iterator[ImageRef | Skipped | None], manifest: Path
) -> Iterator[ImageRef | Skipped | None]:
    """The items with the ids and metadata of the manifest that `download` left."""
    with Manifest(manifest, by="file") as entries:
        for item in items:
            yield entries.named(item) if isinstance(item, ImageRef) else item


class _Links:
    """Counts how often links led into each folder."""

    def __init__(self) -> None:
        self._followed: dict[_Inode, int] = {}

    def may_follow(self, inode: _Inode) -> bool:
        count = self._followed.get(inode, 0)
        self._followed[inode] = count + 1
        return count < LINKS_INTO_ONE_FOLDER


# A file that was removed between listing and looking: as if it had never been there.
_VANISHED = Skipped("", "", "")


def _file_item(entry: os.DirEntry[str], path: str) -> ImageRef | Skipped | None:
    name = entry.name
    named_image = name[name.rfind(".") :].lower() in IMAGE_EXTENSIONS
    try:
        status = entry.stat()
    except FileNotFoundError:
        if not entry.is_symlink():
            return _VANISHED
        return Skipped(path, entry.path, "broken link") if named_image else None
    except OSError as error:
        return Skipped(path, entry.path, _words(error)) if named_image else None
    if not stat.S_ISREG(status.st_mode):
        return Skipped(path, entry.path, "not a regular file") if named_image else None
    if not named_image and not is_image_content(entry.path):
        return None
    return ImageRef(path, path, entry.path, status.st_size, status.st_mtime_ns, NO_METADATA)


def is_image_content(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False  # neither its name nor its content says that it is an image


def looks_like_image(file: Path) -> bool:
    return is_image_name(file.name) or is_image_content(os.fspath(file))


def _root(folder: Path) -> str:
    root = os.path.realpath(folder)
    if not is_text(root):
        shown = os.fsencode(root).decode("utf-8", "backslashreplace")
        raise SourceError(f"{shown}: the path is not valid UTF-8; rename the folder to index it")
    return root


def root_and_part(folder: Path, part_of: str | None) -> tuple[str, str]:
    """The root, and what comes before the names below `folder` in the paths below the root."""
    root = _root(folder)
    if part_of is None:
        return root, ""
    return part_of, Path(root).relative_to(part_of).as_posix() + "/"


def _sorted_entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return iter(sorted(entries, key=_name))


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _inode(folder: str) -> _Inode:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _misnamed(entry: os.DirEntry[str], prefix: str) -> Skipped | None:
    """A name that is no text cannot be an id, nor be stored or shown."""
    if not (_is_dir(entry) or is_image_name(entry.name) or is_image_content(entry.path)):
        return None
    path = os.fsencode(entry.path).decode("utf-8", "backslashreplace")
    name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
    return Skipped(
        prefix + name, path, f"its name is not valid UTF-8: {name}; rename it to index it"
    )


def _words(error: OSError) -> str:
    """`permission denied`, and not `[Errno 13] Permission denied: '/x'`."""
    return (error.strerror or str(error)).lower()
