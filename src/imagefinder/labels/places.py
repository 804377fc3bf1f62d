"""What an image that a table names may be called in a collection."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from imagefinder.sources.address import local_path, redact, scheme


def by_name(uris: Mapping[str, str]) -> dict[str, str]:
    """What an image may be called -> its id. `uris` are those of the ids."""
    ids = {uri: id for id, uri in uris.items()}
    return ids | {id: id for id in uris}


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
