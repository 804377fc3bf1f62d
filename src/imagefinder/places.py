"""Where images are: uris as they are stored, and as they are now.

A stored uri of a local image is `NUMBER:PATH`, its source's number in the ledger and the path below
that source's base folder, so that the folder can be moved. Every other uri is stored as it is.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """`bases`: source number -> folder that its local images are below, with forward slashes."""

    bases: Mapping[int, str]

    def portable(self, uri: str, source: int) -> str:
        """The uri to store for an image that was read from `uri`."""
        path = below(self.bases[source], uri.replace(os.sep, "/"))
        return uri if path is None else f"{source}:{path}"

    def locate(self, uri: str) -> str:
        """Where a stored uri is now: an absolute path or a URL."""
        number, colon, path = uri.partition(":")
        if colon and number.isdecimal() and int(number) in self.bases:
            return self.bases[int(number)].rstrip("/") + "/" + path
        return uri

    def within(self, uri: str) -> str:
        """The same for eyes that need not know this machine's folders: a URL, or the path below the
        base folder; of an image that its source names by an absolute path, the file's name."""
        if "://" in uri:
            return uri
        number, colon, path = uri.partition(":")
        if colon and number.isdecimal() and int(number) in self.bases:
            return path
        return uri.replace(os.sep, "/").rpartition("/")[2]


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
