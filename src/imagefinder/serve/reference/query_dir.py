"""Query images that clients name by path, below the one directory that the operator allows."""

import os
from pathlib import Path

from imagefinder.errors import FetchError
from imagefinder.sources import Fetcher


def read_below(folder: Path | None, name: str, max_bytes: int) -> bytes:
    """The bytes of a file whose path, with every link followed, is below the folder.

    Raises FetchError."""
    if folder is None:
        raise FetchError("no directory is allowed")
    # As it is written it must be below, too, so that nothing outside is even looked at.
    path = os.path.abspath(folder / name)
    try:
        bases = os.path.abspath(folder), os.path.realpath(folder, strict=True)
        if not any(Path(path).is_relative_to(base) for base in bases):
            raise FetchError("outside of the allowed directory")
        found = os.path.realpath(path, strict=True)
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise FetchError("no such file") from error
    if not Path(found).is_relative_to(bases[1]):
        raise FetchError("outside of the allowed directory")
    return Fetcher(max_bytes=max_bytes).read(found)
