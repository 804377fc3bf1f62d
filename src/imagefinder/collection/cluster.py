"""A collection in Milvus: any number of processes read it and write to it at once.

NAME__images, NAME__notes   the ledger
NAME__space_...             the embeddings of one model with the image records
media                       the bytes of uploaded images, at a URL that all processes reach
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock

import platformdirs

from imagefinder.collection.collection import Collection
from imagefinder.errors import (
    CollectionError,
    CollectionFormatError,
    CollectionNotFoundError,
    UsageError,
)
from imagefinder.home import ClusterPlace
from imagefinder.sources.address import redact
from imagefinder.stores.ids import possible
from imagefinder.stores.ledger import Held, ImageEntry, SkippedEntry, SpaceEntry
from imagefinder.stores.media import FOLDER
from imagefinder.stores.media_objects import NoMedia, ObjectMedia
from imagefinder.stores.milvus.address import parse_address
from imagefinder.stores.milvus.claims import CONTENT, ID, SPACE, Claims
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.ledger import IMAGES, NOTES, MilvusLedger
from imagefinder.stores.milvus.names import family, physical
from imagefinder.stores.milvus.spaces import note_row
from imagefinder.stores.milvus.store import MilvusStore
from imagefinder.stores.milvus.table import Table, create_tables, drop, names

FORMAT = 1
ABOUT = "collection"  # the note that says what it is


class ClusterCollection(Collection):
    """An open collection of a cluster."""

    def __init__(self, place: ClusterPlace, *, create: bool = False) -> None:
        super().__init__()
        self.place, self.name = place, place.name
        address = place.address
        self._connection = Connection(address)
        self._stores: dict[str, MilvusStore] = {}
        self._opening = Lock()
        try:
            images = Table(self._connection, physical(address.name, "images"), IMAGES)
            self._notes = Table(self._connection, physical(address.name, "notes"), NOTES)
            if not self._notes.exists():
                if not create:
                    raise missing(self._connection, self.name)
                create_tables([images, self._notes])  # the notes last: they make the collection one
            self.ledger: MilvusLedger = MilvusLedger(images, self._notes, self.store)
            self._claims = Claims(self._notes, self._settle_names, place.owner)
            self._media_url = self._introduced()
        except BaseException:
            self._connection.close()
            raise
        self.media = ObjectMedia(self._media_url) if self._media_url else NoMedia(self.name)

    def store(self, space: str) -> MilvusStore:
        with self._opening:
            if space not in self._stores:
                self._stores[space] = MilvusStore.open(self._connection, self._physical(space))
            return self._stores[space]

    def add_space(self, entry: SpaceEntry) -> MilvusStore:
        """Where another process has made the very same meanwhile, it is that one."""
        with self._claims.held([SPACE + entry.name]):
            known = self.ledger.spaces.now().get(entry.name)
            if known is None:
                name = self._physical(entry.name)
                drop(self._connection, name)  # what a crash left of a space that was dropped
                index = self.place.address.index
                MilvusStore.create(self._connection, name, entry.dim, entry.distance, index=index)
                self.ledger.spaces.add(entry)
            elif known != entry:
                raise CollectionError(
                    f"{self.name}: has a space {entry.name} already; choose another name"
                )
        return self.store(entry.name)

    def drop_space(self, name: str) -> None:
        with self._claims.held([SPACE + name]):
            with self._opening:
                store = self._stores.pop(name, None)
            if store is not None:
                store.close()
            self.ledger.spaces.drop(name)  # first: what is left then is nothing
            drop(self._connection, self._physical(name))

    @property
    def media_base(self) -> str:
        return self._media_url

    @property
    def cache(self) -> Path:
        address = self.place.address
        digest = sha256(f"{address.server}/{address.database}/{address.name}".encode()).hexdigest()
        folder = platformdirs.user_cache_path("imagefinder", appauthor=False)
        return folder / "clusters" / digest[:16]

    def disk_bytes(self) -> None:
        return None

    def announce(self, address: str) -> None:
        """Others need no service to read it."""

    @contextmanager
    def holding(self, ids: Iterable[str], contents: Iterable[str] = ()) -> Iterator[None]:
        names = [ID + id for id in ids if possible(id)] + [CONTENT + each for each in contents]
        with self._claims.held(names):
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
        if doubtful:
            self._doubt()
        yield
        self._claims.renew()
        self.ledger.acknowledge(images, skipped, gone, held)
        if gone:
            self.discard(gone)

    def settle(self) -> None:
        if names := self._claims.abandoned():
            with self._claims.held(names):
                pass

    def discard_uploads(self) -> None:
        """Delete the bytes of all uploads: for when the collection itself goes."""
        for number, (_, base) in self.ledger.sources().items():
            for entries in self.ledger.below(number) if base == FOLDER else ():
                for entry in entries:
                    self.media.discard(entry.path)

    def close(self) -> None:
        for store in self._stores.values():
            store.close()
        self.ledger.close()
        self._connection.close()

    def _doubt(self) -> None:
        self._claims.doubt()

    def _settle_names(self, names: list[str]) -> None:
        """What holders were changing who are gone."""
        ids = [name.removeprefix(ID) for name in names if name.startswith(ID)]
        indexed = self.ledger.images(ids)
        self._settle(list(indexed), [id for id in ids if id not in indexed])

    def _settle_uploads(self, uploads: Sequence[ImageEntry]) -> None:
        """The ledger's word counts: the bytes that it names are there until it lets go of them."""
        self.ledger.spaces.look_again([entry.id for entry in uploads])

    def _introduced(self) -> str:
        """The URL of the media, which is remembered."""
        given = self.place.address.media or ""
        row = self._notes.get([ABOUT]).get(ABOUT)
        about = json.loads(str(row["body"])) if row is not None else {}
        if about.get("format", FORMAT) > FORMAT:
            raise CollectionFormatError(
                f"{self.name}: has format {about['format']}, this version of imagefinder reads up"
                f" to {FORMAT}; upgrade imagefinder: pip install -U imagefinder"
            )
        known = about.get("media", "")
        if known and given and given.rstrip("/") != known:
            raise UsageError(
                f"{self.name}: its uploads are kept at {redact(known)}; leave media= out"
            )
        if row is None or (given and not known):
            known = known or given.rstrip("/")
            body = {"name": self.place.address.name, "format": FORMAT, "media": known}
            self._notes.put([note_row(ABOUT, "about", "", json.dumps(body))])
        return known or given

    def _physical(self, space: str) -> str:
        return physical(self.place.address.name, f"space {space}")


def missing(connection: Connection, name: str) -> CollectionNotFoundError:
    """An error that names the collections there are."""
    known = [each.removesuffix("__notes") for each in names(connection) if "__notes" in each]
    return CollectionNotFoundError(
        f"{name}: there is no such collection (there are: {', '.join(known) or 'none yet'});"
        f" make it with: imagefinder index FOLDER -c '{name}'"
    )


def delete_cluster_collection(where: str, token: str | None) -> None:
    """Delete a collection for good. Raises CollectionNotFoundError."""
    place = ClusterPlace(parse_address(where, token))
    with closing(ClusterCollection(place)) as collection:
        collection.discard_uploads()
    with closing(Connection(place.address)) as connection:
        notes = physical(place.address.name, "notes")
        parts = [name for name in names(connection) if name.startswith(family(place.address.name))]
        for name in sorted(parts, key=lambda name: name == notes):  # that it is one, last
            drop(connection, name)
