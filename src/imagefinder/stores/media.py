"""Uploaded images, kept inside the collection under the name of their content."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from imagefinder.errors import StoreError

FOLDER = "media"  # of a collection; the base of the sources whose images are kept here


class Media:
    """Files `ab/abcdef….jpg`. The same bytes are one file, however often they are put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes, sha256: str, format: str) -> str:
        """Keep the bytes; returns their path below the folder. Raises StoreError."""
        path = f"{sha256[:2]}/{sha256}.{format}"
        file = self._folder / path
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, data)
        except OSError as error:
            raise StoreError(
                f"{file}: the image cannot be kept ({error.strerror or error});"
                " free space or check the permissions, then add it again"
            ) from error
        return path

    def discard(self, path: str) -> None:
        """Forget the bytes at a path. What cannot be deleted stays, and harms nothing."""
        with suppress(OSError):
            (self._folder / path).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """So that a power cut does not take a new name either; Windows has no way to ask for it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_whole(file: Path, data: bytes) -> None:
    """All of it or nothing, also after a crash: a half-written file must not pass for the image."""
    handle, part = tempfile.mkstemp(prefix=".part-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
        sync_folder(file.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
