"""A collection in a directory that holds a ledger and, for each space, a vector store.

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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from imagefinder.collection.collection import Collection, acknowledging
from imagefinder.errors import (
    CollectionDamagedError,
    CollectionError,
    CollectionNotFoundError,
    StoreError,
    UsageError,
)
from imagefinder.home import folder_bytes
from imagefinder.lock import lock
from imagefinder.marker import FORMAT, is_collection, is_occupied, upgrade, write_marker
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger import Held, ImageEntry, SkippedEntry, SpaceEntry
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.stores.media import FOLDER, Media
from imagefinder.types import ImageRecord

CACHE = "cache"


class DirectoryCollection(Collection):
    """An open directory; this process alone holds it until `close`."""

    def __init__(self, path: Path, name: str, *, create: bool = False) -> None:
        super().__init__()
        self.path, self.name = path, name
        if not is_collection(path):
            if not create:
                raise CollectionNotFoundError(f"{self.name}: there is no such collection")
            make(path, self.name)
        self._lock = lock(path, self.name)
        try:
            upgrade(path, self.name)
            self.ledger: SqliteLedger = open_ledger(path, self.name)
        except BaseException:
            self._lock.release()
            raise
        self._stores: dict[str, EmbeddedStore] = {}
        self._opening = Lock()
        self.media: Media = Media(path / FOLDER)
        try:
            self.settle()
            if self._lock.in_doubt:
                self.reconcile()
                self._lock.looked()
        except BaseException:
            self.close()
            raise

    def store(self, space: str) -> EmbeddedStore:
        with self._opening:
            if space not in self._stores:
                self._stores[space] = EmbeddedStore.open(self._folder(space))
            return self._stores[space]

    def add_space(self, entry: SpaceEntry) -> EmbeddedStore:
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
        with self.writing, self._opening:
            store = self._stores.pop(name, None)
            if store is not None:
                store.close()
            self.ledger.spaces.drop(name)  # first: a folder alone is nothing
            shutil.rmtree(self._folder(name), ignore_errors=True)

    @property
    def media_base(self) -> str:
        return (self.path / FOLDER).as_posix()

    @property
    def cache(self) -> Path:
        return self.path / CACHE

    def disk_bytes(self) -> int:
        return folder_bytes(self.path)

    def announce(self, address: str) -> None:
        self._lock.announce(address)

    @contextmanager
    def holding(self, ids: Iterable[str], contents: Iterable[str] = ()) -> Iterator[None]:
        with self.writing:  # no other process is here
            yield

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
        with self.writing:
            if doubtful:
                self.ledger.doubt(doubtful)
            with acknowledging(self, images, skipped, gone, held):
                yield

    def settle(self) -> None:
        with self.writing:
            self._settle(*self.ledger.unsettled())
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
        with self.writing, ExitStack() as closing:
            closing.callback(self._lock.release)
            closing.callback(self.ledger.close)
            for store in self._stores.values():
                closing.callback(store.close)

    def _doubt(self) -> None:
        """The ledger notes it, in the transaction that changes it."""

    def _settle_uploads(self, uploads: Sequence[ImageEntry]) -> None:
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


def open_ledger(path: Path, name: str) -> SqliteLedger:
    """The ledger, a new one only where nothing can have been indexed yet."""
    file = path / "ledger.sqlite"
    if not file.exists() and (path / "spaces").exists():
        raise CollectionDamagedError(
            f"{name}: {file.name} is missing; restore a backup,"
            " or delete the collection and index again"
        )
    return SqliteLedger(file)
