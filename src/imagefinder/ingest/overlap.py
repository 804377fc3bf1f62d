"""Folders within folders: a file has one id in a collection, however many of its folders are named.

A folder inside one that is indexed already is a part of it. A folder around one that is indexed
already takes that one's images over, under the ids that they have in the larger folder.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from imagefinder.collection import Collection
from imagefinder.errors import SourceError
from imagefinder.places import Places, base_of, below
from imagefinder.protocols import Source, VectorStore
from imagefinder.stores.ledger import ImageEntry, Ledger

log = logging.getLogger("imagefinder")


def as_parts(
    sources: Mapping[str, Source], opening: Callable[..., Source], ledger: Ledger
) -> list[Source]:
    """The sources by what the user called them; a folder inside one that is indexed already is
    opened anew, as the part that it is."""
    return [
        opening(where, part_of=outer) if (outer := holder(ledger, source)) else source
        for where, source in sources.items()
    ]


def holder(ledger: Ledger, source: Source) -> str | None:
    """The root of the folder that holds images of this source's folder; None where none does."""
    place = base_of(source.root)
    if not is_folder(source.root, place):
        return None
    for number, (outer, base) in ledger.sources().items():
        folder = below(base, place.rstrip("/"))
        if folder and is_folder(outer, base) and any(ledger.below(number, folder)):
            return outer
    return None


def absorb(collection: Collection, source: Source, number: int, id_prefix: str = "") -> None:
    """Make the images of folders inside this source its own, as far as it covers them. Their
    embeddings are kept.

    Raises SourceError where ids come from a table: they would be lost."""
    ledger = collection.ledger
    root, place = ledger.sources()[number]
    for inner, (inner_root, base) in list(ledger.sources().items()):
        folder = below(place, base.rstrip("/"))
        if not folder or not is_folder(root, place) or not is_folder(inner_root, base):
            continue
        moved = 0
        for some in ledger.below(inner):
            entries = [entry for entry in some if source.covers(f"{folder}/{entry.path}")]
            check_ids(entries, base, folder)
            move(collection, number, entries, folder, id_prefix)
            moved += len(entries)
        if not ledger.count(inner):
            ledger.drop_source(inner)
        if moved:
            log.warning("%s joins %s: the ids of %s images change", base, place, moved)


def is_folder(root: str, base: str) -> bool:
    """Whether a source is what lies in a folder or below a prefix, and not what a table says."""
    return root.replace(os.sep, "/") == base and ("://" not in root or root.endswith("/"))


def check_ids(entries: Sequence[ImageEntry], base: str, folder: str) -> None:
    """Raises SourceError for an id that is not made of the path."""
    for entry in entries:
        if not entry.id.endswith(entry.path):
            raise SourceError(
                f"{base}: is indexed with ids of a table, such as {entry.id}, that would be lost;"
                f" leave it out here: --exclude '/{folder}/'"
            )


def move(
    collection: Collection, number: int, entries: Sequence[ImageEntry], folder: str, id_prefix: str
) -> None:
    """Make images of a folder the source's.

    An image whose new id is taken only loses its old one: the run over the source that follows
    meets its file, and says what becomes of it."""
    new = {entry.id: in_folder(entry, number, folder, id_prefix) for entry in entries}
    with collection.holding([*new, *(entry.id for entry in new.values())]):
        taken = collection.ledger.images([entry.id for entry in new.values()])
        new = {id: entry for id, entry in new.items() if entry.id == id or entry.id not in taken}
        gone = [
            entry.id for entry in entries if entry.id not in new or new[entry.id].id != entry.id
        ]
        doubtful = [entry.id for entry in new.values()]
        held: dict[str, list[str]] = {}
        with collection.storing(new.values(), doubtful=doubtful, gone=gone, held=held):
            for space in collection.spaces():
                moved = rename(collection.store(space), new, collection.places())
                lacking = collection.ledger.spaces.lacking(space, moved)
                held[space] = [new[id].id for id in moved if id not in lacking]


def in_folder(entry: ImageEntry, number: int, folder: str, id_prefix: str) -> ImageEntry:
    """The same image, named by the source around its folder."""
    path = f"{folder}/{entry.path}"
    return replace(entry, id=id_prefix + path, source=number, path=path)


def rename(store: VectorStore, new: Mapping[str, ImageEntry], places: Places) -> list[str]:
    """Write what a store has of these images under their new ids, too; the old ids of these."""
    records, rows = store.get(list(new)), store.embeddings(list(new))
    here = [id for id in new if id in records and id in rows]
    if here:
        renamed = [
            replace(
                records[id],
                id=new[id].id,
                uri=places.portable(places.locate(records[id].uri), new[id].source),
            )
            for id in here
        ]
        store.upsert(renamed, np.stack([rows[id] for id in here]))
    return here
