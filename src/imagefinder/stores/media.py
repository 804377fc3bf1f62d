"""Uploaded images, kept inside the collection under the name of their content."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagefinder.errors import StoreError

FOLDER = "media"  # of a collection; the base of the sources whose images are kept here
CHANGING = ".changing"  # in the folder while files and ledger may differ, and after a crash


class Media:
    """Files `ab/abcdef….jpg`. The same bytes are one file, however often they are put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Held while files are put or discarded and the ledger is told. What ends in the middle, by
        a crash or an error, leaves a note, and `sweep` has to be called. Raises StoreError."""
        note = self._folder / CHANGING
        try:
            self._folder.mkdir(exist_ok=True)
            note.touch()
        except OSError as error:
            raise not_kept(self._folder, error) from error
        yield
        with suppress(OSError):  # then there is a sweep more than needed
            note.unlink()

    @property
    def in_doubt(self) -> bool:
        """Whether there may be files that no image has."""
        return (self._folder / CHANGING).exists()

    def sweep(self, wanted: Callable[[str], bool]) -> None:
        """Delete every file but those at wanted paths."""
        for file in self._folder.rglob("*"):
            path = file.relative_to(self._folder).as_posix()
            if file.is_file() and path != CHANGING and not wanted(path):
                self.discard(path)
        with suppress(OSError):
            (self._folder / CHANGING).unlink()

    def put(self, data: bytes, sha256: str, format: str) -> str:
        """Keep the bytes; returns their path below the folder. Raises StoreError."""
        path = f"{sha256[:2]}/{sha256}.{format}"
        file = self._folder / path
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, data)
        except OSError as error:
            raise not_kept(file, error) from error
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


def not_kept(file: Path, error: OSError) -> StoreError:
    """What a person can do about it."""
    return StoreError(
        f"{file}: the image cannot be kept ({error.strerror or error});"
        " free space or check the permissions, then add it again"
    )


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
