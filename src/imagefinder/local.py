"""A collection in a directory of this machine."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock
from typing import TYPE_CHECKING

from imagefinder import exchange
from imagefinder.ahead import chunks
from imagefinder.arrays import Embedding
from imagefinder.collection import Collection
from imagefinder.decode import DecodeLimits
from imagefinder.errors import FetchError, ImageNotFoundError, UsageError
from imagefinder.filters import Filter, parse_filter
from imagefinder.finder import ImageFinder, Where
from imagefinder.home import folder_bytes, place_of
from imagefinder.ingest import Adder, IndexOptions, check_whole, holder, index_source, no_one
from imagefinder.many import search_many
from imagefinder.models import model_spec
from imagefinder.places import stored
from imagefinder.protocols import Embedder
from imagefinder.query import as_query
from imagefinder.relocate import relocate
from imagefinder.same import search_others
from imagefinder.search import Computing, Searcher
from imagefinder.session import Session
from imagefinder.sources import Fetcher, TableColumns, open_source
from imagefinder.sources.address import redact
from imagefinder.takeover import take_over
from imagefinder.types import (
    UPLOADS,
    AddReport,
    Hit,
    ImageRecord,
    ImportReport,
    IndexReport,
    Metadata,
    Skipped,
    Status,
    Upload,
)

if TYPE_CHECKING:
    from imagefinder.query import Queryable

PAGE = 500  # records read from the store at once


def open_finder(
    where: Where,
    *,
    model: str | None,
    embedder: Embedder | None,
    limits: DecodeLimits,
    api_key: str | None,
) -> "LocalFinder":
    """`ImageFinder.open` for a name or a directory."""
    if api_key is not None:
        raise UsageError(f"{where}: an API key is for a running service, http://host:port")
    if model is not None:
        model_spec(model)
    place = place_of(where if isinstance(where, str) else Path(where))
    return LocalFinder(Session(place, model, embedder), limits)


class LocalFinder(ImageFinder):
    """`ImageFinder` on a directory, which this process alone has open."""

    def __init__(self, session: Session, limits: DecodeLimits) -> None:
        self._session, self._limits = session, limits
        self._fetcher = Fetcher()
        self._indexing = Lock()
        # more at once would take memory and no less time
        self._computing: Computing = BoundedSemaphore(os.cpu_count() or 1)

    def index(
        self,
        *sources: Where,
        prune: bool | str = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        sample: int | None = None,
        columns: TableColumns | None = None,
        id_prefix: str = "",
        retry_skipped: bool = False,
        workers: int | None = None,
        stop: Event | None = None,
        on_progress: Callable[[IndexReport], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        if prune not in (True, False, "force"):
            raise UsageError(f'prune={prune!r}: it is True, False or "force"')
        if not sources:
            raise UsageError("nothing to index; name a folder, a file, a table or a URL")
        opening = partial(
            open_source,
            include=include,
            exclude=exclude,
            sample=sample,
            columns=columns,
            fetcher=self._fetcher,
        )
        opened = [opening(os.fspath(source)) for source in sources]
        check_whole(opened, prune)
        report = IndexReport()
        with self._indexing:
            collection = self._session.collection(create=True)
            opened = [
                opening(os.fspath(where), part_of=outer)
                if (outer := holder(collection.ledger, source))
                else source
                for where, source in zip(sources, opened, strict=True)
            ]
            check_whole(opened, prune)
            embedder = self._session.embedder()
            store = collection.store_for(embedder.spec)
            options = IndexOptions(
                prune="force" if prune == "force" else "yes" if prune else "no",
                id_prefix=id_prefix,
                retry_skipped=retry_skipped,
                workers=workers,
                limits=self._limits,
                stop=stop,
                on_progress=on_progress or no_one,
                on_skipped=on_skipped or no_one,
                on_commit=lambda: self._session.optimizer.poke(store),
            )
            for source in opened:
                index_source(source, collection, store, embedder, options, report)
                if report.interrupted:
                    break
        return report

    def add(self, uploads: Sequence[Upload], *, source: str = UPLOADS) -> AddReport:
        collection = self._session.collection(create=True)
        embedder = self._session.embedder()
        with collection.writing:  # several threads may want the first space
            store = collection.store_for(embedder.spec)
        add = Adder(collection, store, embedder, source, self._limits, self._computing)
        report = add(uploads)
        self._session.optimizer.poke(store)
        return report

    # searching

    def search(
        self,
        query: "Queryable",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
        exclude_same: bool = False,
    ) -> list[Hit]:
        if exclude_same:
            wanted = self._filter(filter)
            return search_others(self._searcher(), as_query(query), k, filter=wanted, exact=exact)
        return self._search([self.embed(query)], k, filter, exact)[0]

    def search_many(
        self,
        queries: "Iterable[Queryable]",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> list[list[Hit]]:
        def search(rows: Sequence[Embedding]) -> list[list[Hit]]:
            return self._search(rows, k, filter, exact)

        return search_many(queries, self.embed, search, on_skipped)

    def embed(self, query: "Queryable") -> Embedding:
        return self._searcher().embed(as_query(query))

    # what is in the collection

    def status(self) -> Status:
        session = self._session
        ledger = session.collection().ledger
        spaces, space, spec = ledger.spaces(), session.space(), session.spec()
        return Status(
            collection=session.place.name,
            path=str(session.place.path),
            model=space,
            dim=spaces[space][1] if space in spaces else spec.dim if spec else 0,
            images=ledger.count(),
            skipped=ledger.skipped_count(),
            spaces=tuple(spaces),
            sources=tuple(root for root, _ in ledger.sources().values()),
            disk_bytes=folder_bytes(session.place.path),
        )

    def __len__(self) -> int:
        return self._session.collection().ledger.count()

    def __contains__(self, id: str) -> bool:
        return id in self._session.collection().ledger.images([id])

    def get(self, id: str) -> ImageRecord:
        return self._shown(self._record(id))

    def read(self, id: str) -> bytes:
        collection = self._session.collection()
        uri = collection.places().locate(self._record(id).uri)
        try:
            return self._fetcher.read(uri)
        except FetchError as error:
            raise FetchError(f"{redact(uri)}: {error}") from error

    def images(self, *, after: str = "", filter: str | None = None) -> Iterator[ImageRecord]:
        collection = self._session.collection()
        wanted = self._filter(filter)
        while ids := collection.ledger.ids(after=after, limit=PAGE):
            records = collection.records(ids)
            for id in ids:
                record = records.get(id)
                if record is not None and (wanted is None or wanted.matches(record)):
                    yield self._shown(record)
            after = ids[-1]

    def embedded(self) -> Iterator[tuple[ImageRecord, Embedding]]:
        store = self._session.store()
        for records in chunks(self.images(), PAGE):
            rows = store.embeddings([record.id for record in records])
            yield from ((record, rows[record.id]) for record in records if record.id in rows)

    def embeddings(self, ids: Sequence[str]) -> Mapping[str, Embedding]:
        """Those that the space has."""
        return self._session.store().embeddings(ids)

    def skipped(self) -> list[Skipped]:
        return [
            Skipped(entry.id, self._session.locate(stored(entry.path, entry.source)), entry.reason)
            for entry in self._session.collection().ledger.skipped()
        ]

    # upkeep

    def update_metadata(self, id: str, changes: Metadata) -> ImageRecord:
        collection = self._session.collection()
        with collection.writing:
            self._record(id)
            collection.update_metadata(id, changes)
            return self.get(id)

    def remove(self, ids: Sequence[str]) -> int:
        collection = self._session.collection()
        known = list(collection.ledger.images(ids))
        for some in chunks(known, PAGE):
            collection.delete(some)
        for space in collection.spaces():
            self._session.optimizer.poke(collection.store(space))
        return len(known)

    def relocate(self, old: Where, new: Where) -> int:
        with self._indexing:
            return relocate(self._session.collection(), os.fspath(old), os.fspath(new))

    def export(self, file: Where) -> int:
        self._session.store()  # says so where the model has none
        space = self._session.space()
        fingerprint, dim = self._session.collection().ledger.spaces()[space]
        return exchange.write(Path(file), self.embedded(), model=fingerprint, dim=dim)

    def import_embeddings(
        self,
        file: Where,
        *,
        space: str | None = None,
        ids: Where | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        with self._indexing:
            report = take_over(
                Path(file),
                partial(self._session.collection, create=True),
                space=space,
                ids=None if ids is None else Path(ids),
                on_progress=on_progress or no_one,
            )
            self._session.optimizer.poke(self._session.collection().store(report.space))
        return report

    def optimize(self) -> None:
        self._session.optimizer.wait()
        self._session.store().optimize()

    @property
    def optimizing(self) -> bool:
        return self._session.optimizer.busy

    def close(self) -> None:
        self._fetcher.close()
        self._session.close()

    # for a service

    def serve(
        self,
        through: Callable[[Embedder], Embedder],
        *,
        computing: Computing,
        full_paths: bool,
    ) -> None:
        """From now on every image is embedded by `through(model)`; `computing` is held meanwhile,
        but for that, by whoever decodes or searches; and unless `full_paths`, uris of local images
        are the paths below their sources' folders."""
        self._computing = computing
        self._session.serve(through, full_paths=full_paths)

    def announce(self, address: str) -> None:
        """Tell other processes that want the collection at which URL it can be reached."""
        self._session.collection().announce(address)

    def space(self) -> str:
        """The space that searches use."""
        return self._session.space()

    def understands_text(self) -> bool:
        """Whether words can be searched with; loads the model."""
        return self._session.understands_text()

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The SHA-256 of the bytes of those images that exist."""
        entries = self._session.collection().ledger.images(ids)
        return {id: entry.sha256 for id, entry in entries.items()}

    @property
    def limits(self) -> DecodeLimits:
        """How large an image may be."""
        return self._limits

    @property
    def collection(self) -> Collection:
        """For what looks at all of it at once; to read only."""
        return self._session.collection()

    def create(self) -> None:
        """Make the collection, empty, where there is none."""
        self._session.collection(create=True)

    def _searcher(self) -> Searcher:
        session = self._session
        return Searcher(
            store=session.store(),
            embedder=session.embedder,
            read=self._fetcher.read,
            content=self.read,
            computing=self._computing,
            locate=session.locate,
            spec=session.spec(),
            limits=self._limits,
        )

    def _record(self, id: str) -> ImageRecord:
        record = self._session.collection().records([id]).get(id)
        if record is None:
            raise ImageNotFoundError.of(id)
        return record

    def _shown(self, record: ImageRecord) -> ImageRecord:
        return replace(record, uri=self._session.locate(record.uri))

    def _search(
        self, rows: Sequence[Embedding], k: int, filter: str | None, exact: bool
    ) -> list[list[Hit]]:
        return self._searcher().search(rows, k, filter=self._filter(filter), exact=exact)

    def _filter(self, expression: str | None) -> Filter | None:
        if expression is None:
            return None
        return replace(parse_filter(expression), locate=self._session.locate)
