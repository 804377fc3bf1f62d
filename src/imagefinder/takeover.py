"""Embeddings that exist already, taken over from a file into a space."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from imagefinder.ahead import chunks
from imagefinder.arrays import Embedding
from imagefinder.collection import Collection
from imagefinder.errors import ImageFinderError, TransferError
from imagefinder.exchange import Imported, read
from imagefinder.models import catalog, find_model
from imagefinder.places import Places, base_of, joined
from imagefinder.protocols import VectorStore
from imagefinder.stores.ledger import IMPORTED, ImageEntry, SpaceEntry
from imagefinder.types import ImageRecord, ImportReport

AT_ONCE = 500  # rows written in one step

Row = tuple[ImageRecord, Embedding]


def take_over(
    file: Path,
    collection: Callable[[], Collection],
    *,
    space: str | None,
    ids: Path | None,
    on_progress: Callable[[int, int | None], None],
) -> ImportReport:
    """Add every row of the file to a space: the one of the model that the file names where that is
    installed, else `space` or one named after the file. `collection` is called, and so made where
    there is none, once the file turns out to be readable.

    Raises TransferError; what was written until then stays, and the same import goes on from it.
    """
    imported = read(file, ids=ids)
    target = collection()
    target.settle()
    entry = space_for(file, imported, space, target)
    space_store(target, entry)
    root = os.path.join(os.path.realpath(file.parent), file.name)
    number = target.ledger.source(root, base_of(root))
    places = target.places()
    report = ImportReport(entry.name)
    for rows in chunks(imported.rows, AT_ONCE):
        with target.holding([record.id for record, _ in rows]):
            add(rows, target, entry.name, number, places, report)
        on_progress(report.added + report.updated + report.skipped, imported.total)
    report.notes += imported.notes
    if report.skipped:
        report.notes.append(
            f"{report.skipped} ids belong to other images of the space already and were left out"
        )
    return report


def space_for(file: Path, imported: Imported, space: str | None, target: Collection) -> SpaceEntry:
    """What the space is. Only the very model that made embeddings may add more."""
    entry = model_space(imported, target)
    if entry is not None and space in (None, entry.name):
        return entry
    name = space or re.sub(r"[^\w.-]+", "-", file.stem).strip("-._") or "imported"
    if name in catalog():
        raise TransferError(
            f"{name}: that is the name of a model, and the file does not say that this version of"
            " it made the embeddings; give the space another name with --space"
        )
    if problem := name_problem(name, "--space"):
        raise TransferError(problem)
    return SpaceEntry(name, f"{IMPORTED}{imported.model or name}", imported.dim, "")


def name_problem(name: str, option: str) -> str:
    """What is wrong with a space's name; `option` gives another. Empty for a good one."""
    if re.fullmatch(r"[^\W_][\w.-]*", name):
        return ""
    return (
        f"{name!r}: a space's name begins with a letter or digit, and has letters, digits, '-',"
        f" '_' and '.' only; give another one with {option}"
    )


def model_space(imported: Imported, target: Collection) -> SpaceEntry | None:
    """The space of the model that made the embeddings, where that very version is known: to the
    collection, or here on this machine."""
    fingerprint = imported.model or ""
    for entry in target.ledger.spaces.entries().values():
        if entry.fingerprint == fingerprint and entry.distance == "cosine":
            return entry
    try:
        model = find_model(fingerprint.rpartition(":")[0])
        spec = model.spec or (model.load(fetch=False).spec if model.present else None)
    except ImageFinderError:  # another program's word for its model, or one that cannot be loaded
        return None
    if spec is None or spec.fingerprint != fingerprint:
        return None
    return SpaceEntry(model.name, fingerprint, spec.dim, model.reference)


def space_store(collection: Collection, wanted: SpaceEntry) -> VectorStore:
    """The space's store, new when there is none."""
    known = collection.ledger.spaces.entries().get(wanted.name)
    if known is None:
        return collection.add_space(wanted)
    if (known.fingerprint, known.dim) != (wanted.fingerprint, wanted.dim):
        raise TransferError(
            f"{collection.name}: the embeddings of its space {known.name} are of another model"
            f" ({known.fingerprint}, {known.dim} dimensions); give another name with --space"
        )
    return collection.store(known.name)


def add(
    rows: list[Row],
    collection: Collection,
    space: str,
    number: int,
    places: Places,
    report: ImportReport,
) -> None:
    """Write some rows; an id that another image of the space has is left out."""
    store = collection.store(space)
    ids = [record.id for record, _ in rows]
    owners = collection.ledger.images(ids)
    stored = store.get(ids)
    fresh = [
        (replace(record, uri=stored_uri(record.uri, number, places)), row)
        for record, row in rows
        if record.id not in stored or owners[record.id].source == number
    ]
    report.skipped += len(rows) - len(fresh)
    if not fresh:
        return
    records = [record for record, _ in fresh]
    entries = [owners.get(record.id) or entry_of(record, number) for record in records]
    ids = [record.id for record in records]
    with collection.storing(entries, doubtful=ids, held={space: ids}):
        store.upsert(records, np.stack([row for _, row in fresh]))
    # of the image as it is; another's embedding is made anew by the model
    now = {entry.id: entry.sha256 for entry in entries}
    same = [record.id for record in records if record.sha256 == now[record.id]]
    collection.ledger.spaces.caught_up(space, same, {})
    report.updated += sum(record.id in stored for record in records)
    report.added += sum(record.id not in stored for record in records)


def stored_uri(uri: str, number: int, places: Places) -> str:
    """Relative uris are below the file's folder; a file of embeddings alone names none."""
    return uri and places.portable(joined(places.folder(number), uri), number)


def entry_of(record: ImageRecord, number: int) -> ImageEntry:
    """What the ledger keeps of an image whose file was not looked at."""
    return ImageEntry(record.id, number, record.uri, None, None, record.sha256, "")
