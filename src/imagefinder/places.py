"""Where images are: uris as they are stored, and as they are now.

A stored uri of a local image is `NUMBER:PATH`, its source's number in the ledger and the path below
that source's base folder, so that the folder can be moved. Every other uri is stored as it is.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """`base`: source number -> folder that its local images are below, with forward slashes; None
    for what is no source's number."""

    base: Callable[[int], str | None]

    def portable(self, uri: str, source: int) -> str:
        """The uri to store for an image that was read from `uri`."""
        path = below(self.folder(source), uri.replace(os.sep, "/"))
        return uri if path is None else f"{source}:{path}"

    def folder(self, source: int) -> str:
        """The base of a source that is there. Raises KeyError of another."""
        base = self.base(source)
        if base is None:
            raise KeyError(source)
        return base

    def locate(self, uri: str) -> str:
        """Where a stored uri is now: an absolute path or a URL."""
        base, path = self._apart(uri)
        return uri if base is None else f"{base.rstrip('/')}/{path}"

    def within(self, uri: str) -> str:
        """The same for eyes that need not know this machine's folders: a URL, or the path below the
        base folder; of an image that its source names by an absolute path, the file's name."""
        if "://" in uri:
            return uri
        base, path = self._apart(uri)
        return uri.replace(os.sep, "/").rpartition("/")[2] if base is None else path

    def _apart(self, uri: str) -> tuple[str | None, str]:
        """The base of a stored uri and the path below it; no base where it is stored as it is."""
        number, colon, path = uri.partition(":")
        known = bool(colon) and number.isdecimal()
        return (self.base(int(number)) if known else None), path


def base_of(root: str) -> str:
    """The folder or URL that a source's images are below: the root, or a table's own folder."""
    base = root if "://" in root or os.path.isdir(root) else os.path.dirname(root)
    return base.replace(os.sep, "/")


def below(folder: str, place: str) -> str | None:
    """The path of a place below a folder, None where it is not below it."""
    start = folder.rstrip("/") + "/"
    return place[len(start) :] if place.startswith(start) else None


def stored(path: str, source: int) -> str:
    """The uri to store for an image at such a path of its source."""
    return path if "://" in path or os.path.isabs(path) else f"{source}:{path}"


def joined(base: str, path: str) -> str:
    """Where a source's image is: a path below the base, or what is absolute already."""
    return path if "://" in path or os.path.isabs(path) else f"{base.rstrip('/')}/{path}"
