"""A local collection: a directory that holds a ledger and, for each space, a vector store.

photos/
    collection.json   the format's version; its presence makes the directory a collection
    ledger.sqlite     files, outcomes, sources, spaces
    spaces/NAME/      the embeddings of one model with the image records
    media/            the bytes of uploaded images
    cache/            what can be made again at any time
    lock              held by the process that has the collection open, and names it
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock, RLock
from urllib.parse import quote

from imagefinder.errors import (
    CollectionDamagedError,
    CollectionError,
    CollectionNotFoundError,
    StoreError,
    UsageError,
)
from imagefinder.lock import lock
from imagefinder.marker import FORMAT, is_collection, is_occupied, upgrade, write_marker
from imagefinder.places import Places
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger import ImageEntry, Ledger, SkippedEntry
from imagefinder.stores.ledger_spaces import Held, SpaceEntry
from imagefinder.stores.media import FOLDER, Media
from imagefinder.types import ImageRecord, Metadata

CACHE = "cache"


class Collection:
    """An open local collection; this process alone holds it until `close`.

    Who changes stores and ledger together holds `writing` meanwhile.
    """

    def __init__(self, path: Path, name: str, *, create: bool = False) -> None:
        self.path, self.name = path, name
        if not is_collection(path):
            if not create:
                raise CollectionNotFoundError(f"{self.name}: there is no such collection")
            make(path, self.name)
        self._lock = lock(path, self.name)
        try:
            upgrade(path, self.name)
            self.ledger = open_ledger(path, self.name)
        except BaseException:
            self._lock.release()
            raise
        self._stores: dict[str, EmbeddedStore] = {}
        self._updates = 0  # of records, which the ledger does not see
        self._opening = Lock()
        self.writing = RLock()
        self.media = Media(path / FOLDER)
        try:
            self.settle()
            if self._lock.in_doubt:
                self.reconcile()
                self._lock.looked()
        except BaseException:
            self.close()
            raise

    def spaces(self) -> list[str]:
        """The names of the spaces, in the order they were added."""
        return list(self.ledger.spaces.entries())

    def store(self, space: str) -> EmbeddedStore:
        """The open store of a space that exists."""
        with self._opening:
            if space not in self._stores:
                self._stores[space] = EmbeddedStore.open(self._folder(space))
            return self._stores[space]

    def add_space(self, entry: SpaceEntry) -> EmbeddedStore:
        """A new, empty space. Raises CollectionError where there is one of this name."""
        with self.writing:  # several threads may want it
            if entry.name in self.ledger.spaces.entries():
                raise CollectionError(
                    f"{self.name}: has a space {entry.name} already; choose another name"
                )
            folder = self._folder(entry.name)
            if folder.exists():  # a crash came between the store and the ledger
                shutil.rmtree(folder)
            folder.parent.mkdir(exist_ok=True)
            self._stores[entry.name] = EmbeddedStore.create(folder, entry.dim, entry.distance)
            self.ledger.spaces.add(entry)
        return self.store(entry.name)

    def drop_space(self, name: str) -> None:
        """Delete a space and its embeddings for good."""
        with self.writing, self._opening:
            store = self._stores.pop(name, None)
            if store is not None:
                store.close()
            self.ledger.spaces.drop(name)  # first: a folder alone is nothing
            shutil.rmtree(self._folder(name), ignore_errors=True)

    def only_in(self, space: str) -> Iterator[list[str]]:
        """The images that no other space has as they are now, some at once."""
        others, after = [other for other in self.spaces() if other != space], ""
        while ids := self.ledger.ids(after=after):
            found = {id for other in others for id in self.records_in(other, ids)[0]}
            if alone := [id for id in ids if id not in found]:
                yield alone
            after = ids[-1]

    def places(self) -> Places:
        """Where the local images of each source are now."""
        media = (self.path / FOLDER).as_posix()
        return Places(
            {
                number: media if base == FOLDER else base
                for number, (_, base) in self.ledger.sources().items()
            }
        )

    def records(self, ids: Sequence[str]) -> dict[str, ImageRecord]:
        """The records of those ids that exist, from a space that knows the image as it is now: what
        was changed may be behind in another, and an import may know nothing of the file."""
        found: dict[str, ImageRecord] = {}
        old: dict[str, ImageRecord] = {}
        for entry in sorted(self.ledger.spaces.entries().values(), key=lambda one: one.imported):
            if missing := [id for id in ids if id not in found]:
                known, late = self.records_in(entry.name, missing)
                found |= known
                old = late | old
        return old | found

    def records_in(
        self, space: str, ids: Sequence[str]
    ) -> tuple[dict[str, ImageRecord], dict[str, ImageRecord]]:
        """The records that a space has of these images as they are now, and as they were before."""
        known = self.store(space).get(ids)
        lacking = self.ledger.spaces.lacking(space, list(known))
        now = {id: record for id, record in known.items() if id not in lacking}
        return now, {id: known[id] for id in lacking}

    @property
    def changes(self) -> int:
        """Grows with every change that is made through this object, and now and then without."""
        return self.ledger.changes + self._updates

    @property
    def cache(self) -> Path:
        """The folder of what can be made again at any time; it may not be there."""
        return self.path / CACHE

    def update_metadata(self, id: str, changes: Metadata) -> None:
        """Merge these values into an image's metadata in every space; None takes one out."""
        with self.writing:
            # what else the spaces know of an image need not be the same
            for store in map(self.store, self.spaces()):
                found = store.get([id]).values()
                store.update([changed(record, changes) for record in found])
            self._updates += 1

    def delete(self, ids: Sequence[str]) -> None:
        """Take images out of the ledger and every space; finished by `settle` after a crash."""
        with self.writing:
            entries = list(self.ledger.images(ids).values())
            with self.media.changing() if any(map(self._is_upload, entries)) else nullcontext():
                self.ledger.forget(ids)
                self.discard(ids)
                self.discard_media(entries)

    def discard_media(self, entries: Iterable[ImageEntry]) -> None:
        """Delete the bytes of uploads that are gone, unless another image has the same."""
        for entry in entries:
            if self._is_upload(entry) and not self.ledger.has_upload(entry.path):
                self.media.discard(entry.path)

    def discard(self, ids: Sequence[str]) -> None:
        """Take out of every space what the ledger has forgotten already."""
        for space in self.spaces():
            self.store(space).delete(ids)
        self.ledger.settled(ids)

    @contextmanager
    def storing(
        self,
        images: Iterable[ImageEntry],
        *,
        doubtful: Sequence[str],
        skipped: Iterable[SkippedEntry] = (),
        gone: Sequence[str] = (),
        held: Held | None = None,
    ) -> Iterator[None]:
        """Write to the stores inside, in the one order that makes a crash harmless:

        1. the ledger notes the ids whose store entries are about to change (in doubt)
        2. the stores are written: idempotent
        3. the ledger records what came of it in one step: this is the acknowledgement
        4. what is gone, as under an old id, is deleted from the stores

        After a crash, `settle` deletes from the stores what is in doubt and not in the ledger.
        `held` may be filled inside: which spaces have the embeddings of new contents."""
        with self.writing:
            if doubtful:
                self.ledger.doubt(doubtful)
            yield
            self.ledger.acknowledge(images, skipped, gone, held)
            if gone:
                self.discard(gone)

    def announce(self, address: str) -> None:
        """Tell other processes that want the collection at which URL a service answers for it."""
        self._lock.announce(address)

    def settle(self) -> None:
        """After a crash, or a write that failed: take out of the stores what the ledger never
        acknowledged, and have indexed images looked at again that the stores are ahead of. Uploads
        nobody would look at again: what the store says of them counts, and the bytes are there."""
        with self.writing:
            indexed, gone = self.ledger.unsettled()
            uploads = list(filter(self._is_upload, self.ledger.images(indexed).values()))
            if uploads:
                self._believe_stores(uploads)
            self.ledger.look_again(set(indexed) - {entry.id for entry in uploads})
            if gone:
                self.discard(gone)
            if self.media.in_doubt:
                self.media.sweep(self.ledger.has_upload)

    def reconcile(self) -> None:
        """After the machine itself went down, the ledger may speak of images that no store has:
        forget them, so that the next run over their source brings them back."""
        after = ""
        while ids := self.ledger.ids(after=after):
            found = self.records(ids)
            lost = [id for id in ids if id not in found]
            self.ledger.forget(lost)
            self.ledger.settled(lost)
            after = ids[-1]
            for space, entry in self.ledger.spaces.entries().items():
                if not entry.imported:
                    self.ledger.spaces.lost(space, self._not_in(space, list(found)))

    def _not_in(self, space: str, ids: Sequence[str]) -> list[str]:
        """Which of these a store lacks, or has with contents of before."""
        known, entries = self.store(space).get(ids), self.ledger.images(ids)
        return [
            id for id in ids if id not in known or entries[id].sha256 not in ("", known[id].sha256)
        ]

    def close(self) -> None:
        """Close everything and let other processes in."""
        with self.writing, ExitStack() as closing:
            closing.callback(self._lock.release)
            closing.callback(self.ledger.close)
            for store in self._stores.values():
                closing.callback(store.close)

    def _is_upload(self, entry: ImageEntry) -> bool:
        _, base = self.ledger.sources()[entry.source]
        return base == FOLDER

    def _believe_stores(self, uploads: Sequence[ImageEntry]) -> None:
        """What the stores say of them counts, first of all where one is ahead of the ledger; not
        those that are behind: the bytes of what they have are gone."""
        entries = {entry.id: entry for entry in uploads}
        stored: dict[str, tuple[str, ImageEntry]] = {}  # an image lost in a power cut is in none
        for space in self.spaces():
            for id, record in self.records_in(space, list(entries))[0].items():
                if id not in stored or record.sha256 != entries[id].sha256:
                    stored[id] = space, as_stored(entries[id], record)
        for space in {space for space, _ in stored.values()}:
            here = [entry for where, entry in stored.values() if where == space]
            self.ledger.acknowledge(here, held={space: [entry.id for entry in here]})

    def _folder(self, space: str) -> Path:
        if not space.strip("."):  # `..` would be the collection itself
            raise UsageError(f"{space!r}: a space or model cannot have this name; use letters")
        return self.path / "spaces" / quote(space, safe="")


def as_stored(entry: ImageEntry, record: ImageRecord) -> ImageEntry:
    """What the ledger is to say of an upload whose record is this."""
    path = record.uri.partition(":")[2]
    # no metadata has this digest: who adds the image again is believed
    return replace(entry, path=path, size=record.size, sha256=record.sha256, metadata="unknown")


def changed(record: ImageRecord, changes: Metadata) -> ImageRecord:
    """The record with these values in its metadata, without those that are None."""
    merged = {**record.metadata, **changes}
    return replace(record, metadata={k: value for k, value in merged.items() if value is not None})


def make(path: Path, name: str) -> None:
    """An empty collection. Refuses a directory that holds anything else."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if is_occupied(path):
            raise CollectionError(
                f"{name}: the directory is neither empty nor a collection; choose another place"
            )
        write_marker(path, FORMAT)
    except OSError as error:
        raise StoreError(
            f"{name}: a collection cannot be made there ({error.strerror or error});"
            " choose a place that can be written"
        ) from error


def open_ledger(path: Path, name: str) -> Ledger:
    """The ledger, a new one only where nothing can have been indexed yet."""
    file = path / "ledger.sqlite"
    if not file.exists() and (path / "spaces").exists():
        raise CollectionDamagedError(
            f"{name}: {file.name} is missing; restore a backup,"
            " or delete the collection and index again"
        )
    return Ledger(file)
