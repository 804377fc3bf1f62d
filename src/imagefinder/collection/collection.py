"""What every collection is, whatever keeps it: a ledger, a vector store for each space, media."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import RLock

from imagefinder.places import Places
from imagefinder.protocols import MediaStore, VectorStore
from imagefinder.stores.ledger import Held, ImageEntry, Ledger, SkippedEntry, SpaceEntry
from imagefinder.stores.media import FOLDER
from imagefinder.types import ImageRecord, Metadata


class Collection(ABC):
    """An open collection. Who changes images in stores and ledger holds them meanwhile (`holding`);
    who changes the collection as a whole has `writing`, which is this process's alone."""

    name: str
    ledger: Ledger
    media: MediaStore

    def __init__(self) -> None:
        self.writing = RLock()
        self._updates = 0  # of records, which the ledger does not see

    # what it is made of

    @abstractmethod
    def store(self, space: str) -> VectorStore:
        """The open store of a space that exists."""

    @abstractmethod
    def add_space(self, entry: SpaceEntry) -> VectorStore:
        """A new, empty space. Raises CollectionError where there is one of this name."""

    @abstractmethod
    def drop_space(self, name: str) -> None:
        """Delete a space and its embeddings for good."""

    @property
    @abstractmethod
    def media_base(self) -> str:
        """The folder or URL that uploads' bytes are below."""

    @property
    @abstractmethod
    def cache(self) -> Path:
        """The folder of what can be made again at any time; it may not be there."""

    @abstractmethod
    def disk_bytes(self) -> int | None:
        """What it takes on disk; None where nobody tells."""

    @abstractmethod
    def announce(self, address: str) -> None:
        """Tell other processes that want the collection at which URL a service answers for it."""

    @abstractmethod
    def close(self) -> None:
        """Close everything and let other processes in."""

    def spaces(self) -> list[str]:
        """The names of the spaces, in the order they were added."""
        return list(self.ledger.spaces.entries())

    def places(self) -> Places:
        """Where the local images of each source are now."""
        return Places(self._base)

    def _base(self, source: int) -> str | None:
        _, base = self.ledger.sources().get(source, ("", None))
        return self.media_base if base == FOLDER else base

    @property
    def changes(self) -> int:
        """Another one after every change, and now and then without."""
        return self.ledger.changes + self._updates

    # what is known of images

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

    def only_in(self, space: str) -> Iterator[list[str]]:
        """The images that no other space has as they are now, some at once."""
        others, after = [other for other in self.spaces() if other != space], ""
        while ids := self.ledger.ids(after=after):
            found = {id for other in others for id in self.records_in(other, ids)[0]}
            if alone := [id for id in ids if id not in found]:
                yield alone
            after = ids[-1]

    # changing images

    @abstractmethod
    def holding(
        self, ids: Iterable[str], contents: Iterable[str] = ()
    ) -> AbstractContextManager[None]:
        """Keep others from changing these images, and uploads of these contents (SHA-256),
        meanwhile. Within it, what is read is what is there."""

    @contextmanager
    def holding_uploads(
        self, ids: Sequence[str], contents: Iterable[str] = ()
    ) -> Iterator[Mapping[str, ImageEntry]]:
        """The same, and also the contents of those of these images that are uploads; gives the
        entries of the images, which stay so meanwhile."""
        wanted = {*contents, *self._uploaded(self.ledger.images(ids))}
        while True:
            with self.holding(ids, wanted):
                entries = self.ledger.images(ids)
                others = self._uploaded(entries) - wanted
                if not others:
                    yield entries
                    return
            wanted |= others  # one was replaced before it was held

    @abstractmethod
    def settle(self) -> None:
        """After a crash, or a write that failed: put right whatever is in doubt."""

    @abstractmethod
    def storing(
        self,
        images: Iterable[ImageEntry],
        *,
        doubtful: Sequence[str],
        skipped: Iterable[SkippedEntry] = (),
        gone: Sequence[str] = (),
        held: Held | None = None,
    ) -> AbstractContextManager[None]:
        """Write to the stores inside, in the one order that makes a crash harmless:

        1. it is noted which ids' store entries are about to change (they are in doubt)
        2. the stores are written: idempotent
        3. the ledger records what came of it: this is the acknowledgement
        4. what is gone, as under an old id, is deleted from the stores

        After a crash, `settle` deletes from the stores what is in doubt and not in the ledger.
        `held` may be filled inside: which spaces have the embeddings of new contents. All these ids
        are held (`holding`)."""

    def update_metadata(self, id: str, changes: Metadata) -> None:
        """Merge these values into an image's metadata in every space; None takes one out."""
        with self.holding([id]):
            # what else the spaces know of an image need not be the same
            for store in map(self.store, self.spaces()):
                found = store.get([id]).values()
                store.update([changed(record, changes) for record in found])
            self._updates += 1

    def delete(self, ids: Sequence[str]) -> None:
        """Take images out of the ledger and every space; finished by `settle` after a crash."""
        with self.holding_uploads(ids) as entries:
            uploads = list(filter(self.is_upload, entries.values()))
            with self.media.changing() if uploads else nullcontext():
                self._doubt()
                self.ledger.forget(ids)
                self.discard(ids)
                self.discard_media(uploads)

    def discard_media(self, entries: Iterable[ImageEntry]) -> None:
        """Delete the bytes of uploads that are gone, unless another image has the same. Their
        contents are held."""
        for entry in filter(self.is_upload, entries):
            if not self.ledger.has_upload(entry.path):
                self.media.discard(entry.path)

    def discard(self, ids: Sequence[str]) -> None:
        """Take out of every space what the ledger has forgotten already."""
        for space in self.spaces():
            self.store(space).delete(ids)
        self.ledger.settled(ids)

    def is_upload(self, entry: ImageEntry) -> bool:
        """Whether the collection keeps the image's bytes itself."""
        _, base = self.ledger.sources()[entry.source]
        return base == FOLDER

    @abstractmethod
    def _doubt(self) -> None:
        """What this thread holds has to be settled, should it not end well."""

    def _uploaded(self, entries: Mapping[str, ImageEntry]) -> set[str]:
        """The contents of those that are uploads."""
        return {entry.sha256 for entry in filter(self.is_upload, entries.values())}

    def _uploads(self, ids: Sequence[str]) -> list[ImageEntry]:
        return list(filter(self.is_upload, self.ledger.images(ids).values()))

    def _settle(self, indexed: Sequence[str], gone: Sequence[str]) -> None:
        """Put ids in doubt right: take out of the stores what the ledger never acknowledged, and
        have indexed images looked at again that the stores may be ahead of; uploads nobody would
        look at again."""
        uploads = self._uploads(indexed)
        if uploads:
            self._settle_uploads(uploads)
        self.ledger.look_again(set(indexed) - {entry.id for entry in uploads})
        if gone:
            self.discard(gone)

    @abstractmethod
    def _settle_uploads(self, uploads: Sequence[ImageEntry]) -> None:
        """Make ledger and stores agree about uploads whose stores may be ahead."""


@contextmanager
def acknowledging(
    collection: Collection,
    images: Iterable[ImageEntry],
    skipped: Iterable[SkippedEntry],
    gone: Sequence[str],
    held: Held | None,
) -> Iterator[None]:
    """Steps 2 to 4 of `storing`."""
    yield
    collection.ledger.acknowledge(images, skipped, gone, held)
    if gone:
        collection.discard(gone)


def changed(record: ImageRecord, changes: Metadata) -> ImageRecord:
    """The record with these values in its metadata, without those that are None."""
    merged = {**record.metadata, **changes}
    return replace(record, metadata={k: value for k, value in merged.items() if value is not None})
