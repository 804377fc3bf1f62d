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
from imagefinder.errors import TransferError
from imagefinder.exchange import Imported, read
from imagefinder.models import CATALOG
from imagefinder.places import Places, base_of, joined
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger import ImageEntry
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
    name, fingerprint = space_for(file, imported, space)
    target = collection()
    target.settle()
    store = space_store(target, name, fingerprint, imported.dim)
    root = os.path.join(os.path.realpath(file.parent), file.name)
    number = target.ledger.source(root, base_of(root))
    places = target.places()
    report = ImportReport(name)
    for rows in chunks(imported.rows, AT_ONCE):
        with target.writing:
            add(rows, target, store, number, places, report)
        on_progress(report.added + report.updated + report.skipped, imported.total)
    report.notes += imported.notes
    if report.skipped:
        report.notes.append(
            f"{report.skipped} ids belong to other images of the space already and were left out"
        )
    return report


def space_for(file: Path, imported: Imported, space: str | None) -> tuple[str, str]:
    """Name and fingerprint of the space. Only the very model that made embeddings may add more."""
    model = (imported.model or "").partition(":")[0]
    if space is None and model in CATALOG and CATALOG[model].fingerprint == imported.model:
        return model, CATALOG[model].fingerprint
    name = space or re.sub(r"[^\w.-]+", "-", file.stem).strip("-._") or "imported"
    if name in CATALOG:
        raise TransferError(
            f"{name}: that is the name of a model, and the file does not say that this version of"
            " it made the embeddings; give the space another name with --space"
        )
    if not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise TransferError(
            f"{name!r}: a space's name begins with a letter or digit, and has letters, digits, '-',"
            " '_' and '.' only; give another one with --space"
        )
    return name, f"imported:{imported.model or name}"


def space_store(collection: Collection, name: str, fingerprint: str, dim: int) -> EmbeddedStore:
    """The space's store, new when there is none."""
    spaces = collection.ledger.spaces()
    if name not in spaces:
        return collection.add_space(name, fingerprint, dim)
    if spaces[name] != (fingerprint, dim):
        raise TransferError(
            f"{collection.name}: the embeddings of its space {name} are of another model"
            f" ({spaces[name][0]}, {spaces[name][1]} dimensions); give another name with --space"
        )
    return collection.store(name)


def add(
    rows: list[Row],
    collection: Collection,
    store: EmbeddedStore,
    number: int,
    places: Places,
    report: ImportReport,
) -> None:
    """Write some rows; an id that another image of the space has is left out."""
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
    with collection.storing(entries, doubtful=[record.id for record in records]):
        store.upsert(records, np.stack([row for _, row in fresh]))
    report.updated += sum(record.id in stored for record in records)
    report.added += sum(record.id not in stored for record in records)


def stored_uri(uri: str, number: int, places: Places) -> str:
    """Relative uris are below the file's folder; a file of embeddings alone names none."""
    return uri and places.portable(joined(places.bases[number], uri), number)


def entry_of(record: ImageRecord, number: int) -> ImageEntry:
    """What the ledger keeps of an image whose file was not looked at."""
    return ImageEntry(record.id, number, record.uri, None, None, record.sha256, "")
