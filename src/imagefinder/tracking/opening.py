"""A registered collection as an `ImageFinder`: `models:/shop/1`, `models:/shop@champion`."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from imagefinder.client.connection import Connection
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.errors import ImageFinderError, UsageError
from imagefinder.finder import ImageFinder, Where
from imagefinder.home import ClusterPlace, Place, find_place
from imagefinder.models import OnFetch, nobody
from imagefinder.models.description import DESCRIPTION, is_adapted, read_description
from imagefinder.protocols import Embedder
from imagefinder.session import Session
from imagefinder.sources.address import is_http
from imagefinder.tracking.contents import BACKED_UP, BACKUP, FOLDER, Contents, read_contents
from imagefinder.tracking.read_only import RegisteredFinder, RegisteredService
from imagefinder.tracking.server import Server, connect, in_our_words, patient
from imagefinder.upkeep import restore

# What lets in where a collection is on a service or a cluster, for those who give no `api_key`.
SERVICE_KEY, CLUSTER_TOKEN = "IMAGEFINDER_API_KEY", "IMAGEFINDER_MILVUS_TOKEN"


@dataclass(frozen=True, slots=True)
class Opening:
    """The arguments of `ImageFinder.open`."""

    model: str | None = None
    embedder: Embedder | None = None
    limits: DecodeLimits = DEFAULT_LIMITS
    api_key: str | None = field(default=None, repr=False)
    device: str = "auto"
    on_fetch: OnFetch = nobody


USUAL = Opening()


def open_finder(
    where: Where,
    *,
    model: str | None = None,
    embedder: Embedder | None = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
    api_key: str | None = None,
    device: str = "auto",
    on_fetch: OnFetch | None = None,
) -> ImageFinder:
    """`ImageFinder.open` for the name of a registered model: what it holds is fetched from the
    MLflow that the environment names (MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI), and unpacked for
    this opening, until it is closed. It does not change.

    Raises UsageError for what is no registered collection, ImageFinderError."""
    name = os.fspath(where)
    fetched = TemporaryDirectory(prefix="imagefinder-")
    try:
        folder = fetch(name, connect(), Path(fetched.name))
        finder = open_folder(
            folder,
            name,
            Opening(model, embedder, limits, api_key, device, on_fetch or nobody),
            unpacked=fetched,
        )
    except BaseException:
        fetched.cleanup()
        raise
    return finder


def fetch(name: str, server: Server, folder: Path) -> Path:
    """Fetch a registered model; where what we know it by is."""
    from mlflow.artifacts import download_artifacts

    with patient(retries=3, seconds=120), in_our_words(f"{name} of {server.shown}", server.uri):
        found = download_artifacts(
            artifact_uri=name,
            dst_path=str(folder),
            tracking_uri=server.uri,
            registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"),
        )
    return Path(found, "artifacts", FOLDER)


def open_folder(
    folder: Path,
    name: str,
    options: Opening = USUAL,
    *,
    unpacked: "TemporaryDirectory[str] | None" = None,
) -> "RegisteredFinder | RegisteredService":
    """What such a folder holds, which stays as it is. `name` is what messages call it. It is
    unpacked into `unpacked`, which is deleted at close, or else a new folder."""
    contents = read_contents(folder, name)
    if contents.address is not None and is_http(contents.address):
        if options != Opening(options.model, api_key=options.api_key, on_fetch=options.on_fetch):
            raise UsageError(f"{name}: a service has its own model, limits and device")
        connection = Connection(contents.address, options.api_key or os.environ.get(SERVICE_KEY))
        return RegisteredService(connection, options.model)
    own = unpacked or TemporaryDirectory(prefix="imagefinder-")
    try:
        place = place_of(contents, folder, name, Path(own.name), options.api_key)
        session = Session(
            place,
            options.model,
            options.embedder,
            device=options.device,
            on_fetch=options.on_fetch,
        )
    except BaseException:
        own.cleanup()
        raise
    finder = RegisteredFinder(session, options.limits)
    finder.at_close = own.cleanup
    return finder


def place_of(
    contents: Contents, folder: Path, name: str, own: Path, api_key: str | None
) -> Place | ClusterPlace:
    """Where the collection is, unpacked where it was backed up."""
    if contents.address is not None:
        found = find_place(contents.address, api_key or os.environ.get(CLUSTER_TOKEN))
        if not isinstance(found, ClusterPlace):
            raise UsageError(f"{name}: {contents.address} is the address of no collection")
        return found
    if api_key is not None:
        raise UsageError(f"{name}: an API key is for a running service or a cluster")
    unpacked = own / "collection" / "registered"
    restore(folder / BACKUP, str(unpacked))
    found_at = settled(contents, folder, unpacked, own / "models")
    with closing(DirectoryCollection(unpacked, name)) as collection:
        spaces = collection.ledger.spaces
        for entry in list(spaces.entries().values()):
            if entry.model in found_at:
                spaces.moved(entry.name, str(found_at[entry.model]))
    return Place(name, unpacked)


def settled(contents: Contents, folder: Path, unpacked: Path, own: Path) -> dict[str, Path]:
    """Where each model is now that was a folder. An adapted one says where the model is that it
    was made of, so it has to be a copy that can be written."""
    found: dict[str, Path] = {}
    for reference, place in contents.models.items():
        if place.startswith(BACKED_UP):
            found[reference] = unpacked / place.removeprefix(BACKED_UP)
            continue
        found[reference] = folder / place
        if is_adapted(folder / place):
            found[reference] = own / place
            shutil.copytree(folder / place, own / place)
    for path in found.values():
        if is_adapted(path):
            tell_base(path, found)
    return found


def tell_base(adapted: Path, found: Mapping[str, Path]) -> None:
    """Let an adapted model find the one that it was made of. Raises ImageFinderError."""
    base = read_description(adapted).base
    if base not in found:
        return
    file = adapted / DESCRIPTION
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**said, "base": str(found[base])}), encoding="utf-8")
    except OSError as error:
        raise ImageFinderError(f"{file}: cannot be written ({error.strerror or error})") from error
