"""A collection, and the models that it needs, as files that go into a registered model."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from imagefinder._version import __version__
from imagefinder.client import open_finder as open_service
from imagefinder.collection import Collection, open_collection
from imagefinder.decode import DEFAULT_LIMITS
from imagefinder.errors import UsageError
from imagefinder.home import Place, find_place
from imagefinder.models import AdaptedModel, Model, NetworkModel, find_model
from imagefinder.sources.address import is_http, redact
from imagefinder.tracking.contents import BACKED_UP, BACKUP, MODELS, Contents
from imagefinder.upkeep import backup


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was written, an `example` of an id, the `extras` that a server needs, and `notes`: what
    a user has to know."""

    contents: Contents
    example: str | None
    extras: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Needs:
    """What is found while looking through the spaces."""

    models: dict[str, str] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(where: str, token: str | None, folder: Path) -> Gathered:
    """Write what the collection `where` is made of into an empty folder: a backup, and the folders
    of its models; of a cluster or a service only the address, without secrets. `token` is what
    lets in.

    Raises UsageError, CollectionError as where it is in use, TransferError."""
    if is_http(where):
        gathered = of_service(where, token)
    else:
        place = find_place(where, token)
        if isinstance(place, Place):
            place.require()
        with closing(open_collection(place)) as collection:
            needs = Needs()
            for space, model in models_of(collection, needs):
                put(space, model, place, folder, needs)
            gathered = described(collection, place.title, place.shown, needs)
        if isinstance(place, Place):
            backup(where, folder / BACKUP)
    gathered.contents.write(folder)
    return gathered


def of_service(where: str, token: str | None) -> Gathered:
    """The address of a service."""
    with open_service(
        where, model=None, embedder=None, limits=DEFAULT_LIMITS, api_key=token
    ) as finder:
        status = finder.status()
        first = next(iter(finder.images()), None)
    title, address = status.collection, redact(where)
    contents = Contents(title, status.images, status.model, "", __version__, address)
    return Gathered(contents, None if first is None else first.id)


def described(collection: Collection, title: str, shown: str, needs: Needs) -> Gathered:
    """What is known of it while it is open. Raises UsageError of an empty one."""
    ledger = collection.ledger
    space = ledger.spaces.in_use
    if space is None or not ledger.count():
        raise UsageError(f"{title}: there is no image in it; imagefinder index FOLDER -c {title}")
    contents = Contents(
        title=title,
        images=ledger.count(),
        space=space,
        fingerprint=ledger.spaces.entries()[space].fingerprint,
        version=__version__,
        address=shown if shown.startswith("milvus://") else None,
        models=needs.models,
    )
    extras = ["milvus"] if contents.address else []
    ids = ledger.ids(limit=1)
    return Gathered(contents, ids[0], (*extras, *sorted({*needs.extras})), (*needs.notes,))


def models_of(collection: Collection, needs: Needs) -> Iterator[tuple[str, Model]]:
    """Each space's model, and those that adapted ones were made of."""
    entries: Mapping[str, str] = {
        entry.name: entry.model for entry in collection.ledger.spaces.entries().values()
    }
    for space, reference in entries.items():
        if reference:
            try:
                yield from ((space, model) for model in chain_of(reference))
            except UsageError:
                needs.notes.append(
                    f"{space}: its model ({reference}) is not here, so in this space images can be"
                    " searched for by their ids only"
                )


def chain_of(reference: str) -> Iterator[Model]:
    """A model, and what it was made of. Raises UsageError where one is not here."""
    model = find_model(reference)
    yield model
    if isinstance(model, AdaptedModel):
        yield from chain_of(model.description.base)


def put(space: str, model: Model, place: object, folder: Path, needs: Needs) -> None:
    """Copy the folder of a model, if it is one, unless the backup has it."""
    if isinstance(model, NetworkModel):
        needs.extras.append("torch")
    path = Path(model.reference)
    if model.reference in needs.models or not path.is_dir():
        return
    if not isinstance(place, Place):
        needs.notes.append(
            f"{space}: its model is a folder of this machine, {path}; other machines need one by"
            " the same path, or search by ids only"
        )
        return
    own = place.path.resolve()
    if path.is_relative_to(own):
        needs.models[model.reference] = BACKED_UP + path.relative_to(own).as_posix()
        return
    target = Path(MODELS, str(len(needs.models)), path.name)
    shutil.copytree(path, folder / target)
    needs.models[model.reference] = target.as_posix()
