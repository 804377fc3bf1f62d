"""What an image that a table names may be called in a collection."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.sources.address import local_path, redact, scheme

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder


def by_name(finder: "ImageFinder") -> dict[str, str]:
    """What an image of the collection may be called -> its id."""
    ids = {record.uri: record.id for record in finder.images()}
    return ids | {id: id for id in ids.values()}


def meant(text: str | None, table: Path, ids: Mapping[str, str]) -> str | None:
    """The id of the image that a table means, of those `by_name`."""
    if text is None:
        return None
    return next((ids[name] for name in names_of(text, table) if name in ids), None)


def names_of(text: str, table: Path) -> Iterator[str]:
    """An id as it stands, and what it is as a path below the table's folder, or as a URL."""
    yield text
    if scheme(text) not in (None, "file"):
        yield redact(text)
        return
    path = os.path.expanduser(local_path(text))
    yield os.path.normpath(os.path.join(os.path.realpath(table.parent), path))
