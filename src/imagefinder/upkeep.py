"""Whole collections: describe, delete, back up, restore."""

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imagefinder.collection import open_collection
from imagefinder.collection.directory import CACHE, DirectoryCollection
from imagefinder.errors import (
    CollectionError,
    CollectionFormatError,
    CollectionInUseError,
    TransferError,
)
from imagefinder.home import (
    Place,
    find_place,
    folder_bytes,
    is_cluster,
    named_collections,
    place_of,
)
from imagefinder.lock import lock
from imagefinder.marker import is_collection

SESSION_FILES = {"lock", "lock.json"}  # of the process that has the collection open


@dataclass(frozen=True, slots=True)
class Described:
    """One collection in a list; `images` is None where it cannot be opened, for `problem`."""

    name: str
    path: str
    images: int | None
    bytes: int
    problem: str = ""


def describe_collections() -> list[Described]:
    """The collections that have a name. Raises nothing for one that is in use or damaged."""
    found = []
    for place in named_collections():
        images, problem = None, ""
        try:
            images = count_images(place.name)
        except CollectionInUseError:
            problem = "in use"
        except CollectionError as error:
            problem = "newer format" if isinstance(error, CollectionFormatError) else "damaged"
        size = folder_bytes(place.path)
        found.append(Described(place.name, str(place.path), images, size, problem))
    return found


def count_images(where: str, token: str | None = None) -> int:
    """How many images a collection holds."""
    with closing(open_collection(find_place(where, token))) as collection:
        return collection.ledger.count()


def delete_collection(where: str, token: str | None = None) -> None:
    """Delete a collection for good. Raises CollectionInUseError."""
    if is_cluster(where):
        from imagefinder.collection.cluster import delete_cluster_collection

        delete_cluster_collection(where, token)
    else:
        delete_directory(place_of(where))


def delete_directory(place: Place) -> None:
    """The same for a collection of this machine."""
    place.require()
    lock(place.path, place.name).release()
    folder = place.path.resolve()  # the place may be a link to it
    # out of sight in one step: a half-deleted directory must not look like a collection
    doomed = folder.with_name(f".{folder.name}.deleted-{os.getpid()}")
    try:
        folder.rename(doomed)
        place.path.unlink(missing_ok=True)
        shutil.rmtree(doomed)
    except OSError as error:
        raise CollectionError(
            f"{place.name}: cannot be deleted ({error.strerror or error});"
            " check the permissions of the directory"
        ) from error


def backup(where: str, file: Path) -> int:
    """Write the collection to a tar file (gzipped by its name); returns the number of images.

    Raises TransferError for another kind of file or a disk that cannot be written.
    """
    mode = tar_mode(file)
    place = place_of(where)
    place.require()
    if file.resolve().is_relative_to(place.path.resolve()):
        raise TransferError(f"{file}: is inside the collection; choose another place")
    with closing(DirectoryCollection(place.path, place.name)) as collection:
        images = collection.ledger.count()
    held = lock(place.path, place.name)  # closed, so that all is in its files, and held meanwhile
    try:
        with finished_file(file) as part, tarfile.open(part, mode) as archive:
            for path in sorted(place.path.rglob("*")):
                name = path.relative_to(place.path)
                if str(name) not in SESSION_FILES and name.parts[0] != CACHE:
                    archive.add(path, arcname=str(name), recursive=False)
    except OSError as error:
        raise TransferError(
            f"{file}: the backup cannot be written ({error.strerror or error});"
            " free space, or choose another place"
        ) from error
    finally:
        held.release()
    return images


def restore(file: Path, where: str) -> int:
    """Make a collection from a backup; returns the number of its images.

    Raises TransferError for a file that is no backup, CollectionError when the name is taken.
    """
    place = place_of(where)
    if place.exists:
        raise CollectionError(
            f"{place.name}: there is a collection already; restore under another name (-c NAME),"
            f" or delete it first: imagefinder delete-collection {place.name}"
        )
    place.path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".restore-", dir=place.path.parent))
    try:
        unpack(file, folder)
        with closing(DirectoryCollection(folder, str(file))) as collection:
            images = sum(1 for _ in collection.spaces()) and collection.ledger.count()
        if place.path.exists():
            place.path.rmdir()  # empty: place_of has seen to that
        folder.rename(place.path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return images


def unpack(file: Path, folder: Path) -> None:
    """The files of a backup, and nothing outside the folder."""
    try:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.ReadError as error:
        raise TransferError(
            f"{file}: the backup cannot be read: it is no tar file, or damaged"
        ) from error
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise TransferError(f"{file}: the backup cannot be read ({error})") from error
    if not is_collection(folder):
        raise TransferError(f"{file}: this is no backup of a collection")


def tar_mode(file: Path) -> Literal["w:", "w:gz"]:
    """How to compress, by the file's name."""
    name = file.name.lower()
    if name.endswith(".tar"):
        return "w:"
    if name.endswith((".tar.gz", ".tgz")):
        return "w:gz"
    raise TransferError(f"{file}: a backup is a .tar or .tar.gz file")


@contextmanager
def finished_file(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` in one step when all went well."""
    part = file.with_name(f".{file.name}.part-{os.getpid()}")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
