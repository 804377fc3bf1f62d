"""What an image that a table names may be called in a collection."""

import os
from collections.abc import Iterator
from pathlib import Path

from imagefinder.sources.address import local_path, redact, scheme


def names_of(text: str, table: Path) -> Iterator[str]:
    """An id as it stands, and what it is as a path below the table's folder, or as a URL."""
    yield text
    if scheme(text) not in (None, "file"):
        yield redact(text)
        return
    path = os.path.expanduser(local_path(text))
    yield os.path.normpath(os.path.join(os.path.realpath(table.parent), path))
