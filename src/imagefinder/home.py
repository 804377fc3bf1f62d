"""From what a user calls a collection to where it is."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from imagefinder.errors import CollectionError, CollectionNotFoundError, UsageError
from imagefinder.marker import is_collection, is_occupied

if TYPE_CHECKING:
    from imagefinder.stores.milvus.address import Address

DEFAULT_COLLECTION = "default"
NAME = re.compile(r"[^\W_]([\w .-]*[\w-])?")  # what is a safe folder name on every system


@dataclass(frozen=True, slots=True)
class Place:
    """A local collection: how the user calls it, and its directory."""

    name: str
    path: Path

    @property
    def exists(self) -> bool:
        return is_collection(self.path)

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        return str(self.path)

    @property
    def title(self) -> str:
        """What may be told to everyone: the whole path is nobody's business."""
        return self.path.name

    @property
    def models(self) -> Path:
        """Where its adapted models are; a backup has them, too."""
        return self.path / "models"

    def require(self) -> None:
        """Raises CollectionNotFoundError that names the collections there are."""
        if not self.exists:
            names = ", ".join(place.name for place in named_collections()) or "none yet"
            raise CollectionNotFoundError(
                f"{self.name}: there is no such collection (there are: {names});"
                f" make it with: imagefinder index FOLDER -c {self.name}"
            )


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """A collection in Milvus: its address. Processes that work together on one thing have one
    `owner`; without, they take each other for strangers."""

    address: "Address"
    owner: str | None = None

    @property
    def name(self) -> str:
        """How the user calls it, without secrets; a command takes it as it is."""
        return self.address.shown

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        return self.address.shown

    @property
    def title(self) -> str:
        """What may be told to everyone."""
        return self.address.name

    @property
    def models(self) -> Path:
        """Where its adapted models are: on this machine."""
        return Path(platformdirs.user_data_path("imagefinder", appauthor=False)) / "models"


def find_place(where: str | Path, token: str | None = None) -> Place | ClusterPlace:
    """Of a collection of this machine, or of a cluster, which lets in who has the `token`.

    Raises UsageError, and CollectionError for a directory that is neither empty nor a collection.
    """
    if is_cluster(where):
        from imagefinder.stores.milvus.address import parse_address

        return ClusterPlace(parse_address(os.fspath(where), token))
    if token is not None:
        raise UsageError(f"{where}: an API key is for a running service or a cluster")
    return place_of(where)


def is_cluster(where: str | Path) -> bool:
    """Whether this is the address of a collection in Milvus."""
    return os.fspath(where).lower().startswith("milvus://")


def is_registered(where: str | os.PathLike[str]) -> bool:
    """Whether this is a collection that is registered as a model of MLflow."""
    return isinstance(where, str) and where.startswith("models:/")


def place_of(where: str | Path) -> Place:
    """A bare name is in the user's data directory, anything with a separator is a directory.

    Raises UsageError, and CollectionError for a directory that is neither empty nor a collection.
    """
    text = os.fspath(where)
    if "://" in text or is_registered(where):
        raise not_here(text)
    if is_directory(text) or isinstance(where, Path):
        place = Place(text, Path(text).expanduser().absolute())
    elif NAME.fullmatch(text):
        place = Place(text, home() / text)
    else:
        raise UsageError(f"{text!r}: not a collection's name; use letters, digits, '-', '_', '.'")
    try:
        refuse_other_directories(place)
    except OSError as error:
        raise CollectionError(
            f"{place.name}: cannot be looked at ({error.strerror or error});"
            " check the permissions, or name another place"
        ) from error
    return place


def not_here(address: str) -> UsageError:
    """For what needs a collection of this machine."""
    from imagefinder.sources.address import is_http, redact

    if is_http(address):
        return UsageError(
            f"{redact(address)}: this works on the service's machine only;"
            " stop the service and run it there"
        )
    if is_cluster(address):
        return UsageError(
            f"{redact(address)}: this works on a directory only; to have the collection in one:"
            f" imagefinder migrate {redact(address)} DIRECTORY"
        )
    if is_registered(address):
        return UsageError(
            f"{address}: a registered collection does not change; do this with the collection that"
            " it was made of, and register a new version: imagefinder track register NAME"
        )
    kind = address.partition("://")[0]
    return UsageError(
        f"{kind}:// is no kind of collection; there are directories, names,"
        " milvus://host:port/name and http://host:port"
    )


def is_directory(text: str) -> bool:
    """Whether the user means a path rather than a name."""
    return "/" in text or "\\" in text or text in {".", ".."} or text.startswith("~")


def refuse_other_directories(place: Place) -> None:
    """A directory with other things in it never becomes a collection."""
    path = place.path
    if path.is_file():
        raise CollectionError(f"{place.name}: a collection is a directory, this is a file")
    if path.is_dir() and not is_collection(path) and is_occupied(path):
        raise CollectionError(
            f"{place.name}: the directory is neither empty nor a collection; name another place"
        )


def home() -> Path:
    """Where named collections live."""
    return Path(platformdirs.user_data_path("imagefinder", appauthor=False)) / "collections"


def named_collections() -> list[Place]:
    """The collections with a bare name, in order."""
    if not home().is_dir():
        return []
    return [
        Place(path.name, path)
        for path in sorted(home().iterdir())
        if NAME.fullmatch(path.name) and is_collection(path)  # not what a crash left of a restore
    ]


def folder_bytes(path: Path) -> int:
    """The size on disk of what is below a folder, which may change meanwhile."""
    total = 0
    for folder, _, files in os.walk(path):
        for file in files:
            with suppress(OSError):
                total += bytes_on_disk(os.lstat(os.path.join(folder, file)))
    return total


def bytes_on_disk(status: os.stat_result) -> int:
    """Windows does not tell blocks."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * 512
