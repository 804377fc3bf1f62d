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
from imagefinder.decode import DecodeLimits
from imagefinder.distributed.elsewhere import elsewhere
from imagefinder.errors import FetchError, ImageNotFoundError, UsageError
from imagefinder.filters import Filter, parse_filter
from imagefinder.finder import ImageFinder, Where
from imagefinder.home import find_place
from imagefinder.hosted import Hosted
from imagefinder.ingest import (
    Adder,
    IndexOptions,
    as_parts,
    check_whole,
    index_source,
    no_one,
)
from imagefinder.models import OnFetch, nobody
from imagefinder.places import stored
from imagefinder.protocols import Embedder
from imagefinder.query import as_query
from imagefinder.relocate import relocate
from imagefinder.search import Computing, Searcher
from imagefinder.session import Session
from imagefinder.several import Several
from imagefinder.sources import Fetcher, TableColumns, open_source
from imagefinder.sources.address import redact
from imagefinder.spaces import Spaces
from imagefinder.takeover import take_over
from imagefinder.types import (
    UPLOADS,
    AddReport,
    Distance,
    FillReport,
    Hit,
    ImageRecord,
    ImportReport,
    IndexReport,
    Metadata,
    Skipped,
    SpaceStatus,
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
    device: str = "auto",
    on_fetch: OnFetch | None = None,
) -> "LocalFinder":
    """`ImageFinder.open` for a name or a directory."""
    at = find_place(where if isinstance(where, str) else Path(where), api_key)
    session = Session(at, model, embedder, device=device, on_fetch=on_fetch or nobody)
    return LocalFinder(session, limits)


class LocalFinder(Hosted, ImageFinder):
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
        ray: str | None = None,
        distance: Distance | None = None,
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
        wheres = [os.fspath(source) for source in sources]
        opened = [opening(where) for where in wheres]
        check_whole(opened, prune)
        report = IndexReport()
        with self._indexing, elsewhere(self._session, self._limits, ray, wheres) as workers_for:
            collection = self._session.collection(create=True)
            opened = as_parts(dict(zip(wheres, opened, strict=True)), opening, collection.ledger)
            check_whole(opened, prune)
            space = self._session.space_to_fill(distance)
            embedder, store = self._session.embedder(space), self._session.store(space)
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
            examined = workers_for(space, workers)
            for source in opened:
                index_source(source, collection, space, embedder, options, report, examined)
                if report.interrupted:
                    break
            else:
                report.spaces = self._spaces().keep_up(fetch=True, stop=stop)
                report.interrupted = any(filled.interrupted for filled in report.spaces)
            stores = map(self._session.store, collection.spaces())
            self._session.optimizer.poke(*stores, after_run=True)
        return report

    def add(self, uploads: Sequence[Upload], *, source: str = UPLOADS) -> AddReport:
        collection = self._session.collection(create=True)
        with collection.writing:  # several threads may want the first space
            space = self._session.space_to_fill(None)
        embedder = self._session.embedder(space)
        add = Adder(collection, space, embedder, source, self._limits, self._computing)
        report = add(uploads)
        self._session.optimizer.poke(self._session.store(space))
        self._spaces().keep_up(report.added + report.updated, fetch=False)
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
        space: str | Sequence[str] | None = None,
    ) -> list[Hit]:
        several = self._several(space, filter, exact)
        return several.hits(as_query(query), k, exclude_same=exclude_same)

    def search_many(
        self,
        queries: "Iterable[Queryable]",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
        space: str | Sequence[str] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> list[list[Hit]]:
        return self._several(space, filter, exact).hits_of_each(queries, k, on_skipped)

    def embed(self, query: "Queryable", *, space: str | None = None) -> Embedding:
        (name,) = self._session.named(None if space is None else [space])
        return self._searcher(name).embed(as_query(query))

    # what is in the collection

    def status(self) -> Status:
        session = self._session
        ledger = session.collection().ledger
        spaces, space = ledger.spaces.entries(), session.space()
        return Status(
            collection=session.place.name,
            path=session.place.shown,
            model=space,
            dim=session.dim(space),
            images=ledger.count(),
            skipped=ledger.skipped_count(),
            spaces=tuple(spaces),
            sources=tuple(root for root, _ in ledger.sources().values()),
            disk_bytes=session.collection().disk_bytes(),
        )

    def spaces(self) -> list[SpaceStatus]:
        return self._spaces().states()

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
        space = self._session.space()
        store = self._session.store(space)
        lacking = partial(self._session.collection().ledger.spaces.lacking, space)
        for records in chunks(self.images(), PAGE):
            rows = store.embeddings([record.id for record in records])
            late = lacking(list(rows))  # has perhaps an embedding of what the image was before
            yield from (
                (record, rows[record.id])
                for record in records
                if record.id in rows and record.id not in late
            )

    def embeddings(
        self, ids: Sequence[str], *, space: str | None = None
    ) -> Mapping[str, Embedding]:
        """Those that the space has."""
        (name,) = self._session.named(None if space is None else [space])
        return self._session.store(name).embeddings(ids)

    def skipped(self) -> list[Skipped]:
        return [
            Skipped(entry.id, self._session.locate(stored(entry.path, entry.source)), entry.reason)
            for entry in self._session.collection().ledger.skipped()
        ]

    # upkeep

    def update_metadata(self, id: str, changes: Metadata) -> ImageRecord:
        collection = self._session.collection()
        with collection.holding([id]):
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
        entry = self._session.entry(self._session.space())
        if entry.distance == "euclidean" and Path(file).suffix == ".faiss":
            raise UsageError(
                f"{file}: our FAISS files compare by dot product, and {entry.name} by Euclidean"
                " distance; export it to a .npz file"
            )
        return exchange.write(Path(file), self.embedded(), model=entry.fingerprint, dim=entry.dim)

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
            store = self._session.collection().store(report.space)
            self._session.optimizer.poke(store, after_run=True)
        return report

    def add_space(
        self,
        model: str,
        *,
        distance: Distance | None = None,
        stop: Event | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> FillReport:
        with self._indexing:
            return self._spaces().add(
                model,
                distance,
                stop=stop,
                on_progress=on_progress or no_one,
                on_skipped=on_skipped or no_one,
            )

    def use_space(self, name: str) -> None:
        self._spaces().use(name)

    def drop_space(self, name: str) -> None:
        with self._indexing:
            self._spaces().drop(name)

    def optimize(self) -> None:
        self._session.optimizer.wait()
        for space in self._session.collection().spaces():
            self._session.store(space).optimize()

    @property
    def optimizing(self) -> bool:
        return self._session.optimizer.busy

    def close(self) -> None:
        self._fetcher.close()
        self._session.close()

    def _several(
        self, spaces: str | Sequence[str] | None, filter: str | None, exact: bool
    ) -> Several:
        searchers = [self._searcher(name) for name in self._session.named(spaces)]
        return Several(searchers, self._filter(filter), exact)

    def _searcher(self, space: str) -> Searcher:
        session = self._session
        return Searcher(
            store=session.store(space),
            embedder=partial(session.embedder, space),
            read=self._fetcher.read,
            content=self.read,
            computing=self._computing,
            locate=session.locate,
            calibration=session.calibration(space),
            text_hint=session.text_hint,
            missing=partial(session.missing, space),
            limits=self._limits,
        )

    def _spaces(self) -> Spaces:
        return Spaces(self._session, self._fetcher.read, self._limits, self._computing)

    def _record(self, id: str) -> ImageRecord:
        record = self._session.collection().records([id]).get(id)
        if record is None:
            raise ImageNotFoundError.of(id)
        return record

    def _shown(self, record: ImageRecord) -> ImageRecord:
        return replace(record, uri=self._session.locate(record.uri))

    def _filter(self, expression: str | None) -> Filter | None:
        if expression is None:
            return None
        return replace(parse_filter(expression), locate=self._session.locate)
