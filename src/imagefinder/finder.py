"""ImageFinder: one collection, opened. The front door of the library."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imagefinder import exchange
from imagefinder.ahead import ahead, chunks
from imagefinder.arrays import Embedding
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.errors import ImageError, ImageNotFoundError, UsageError
from imagefinder.filters import Filter, parse_filter
from imagefinder.home import DEFAULT_COLLECTION, folder_bytes, place_of
from imagefinder.ingest import IndexOptions, holder, index_source, no_one
from imagefinder.models import model_spec
from imagefinder.places import joined
from imagefinder.protocols import Embedder, Source
from imagefinder.query import as_query
from imagefinder.relocate import relocate
from imagefinder.search import Searcher
from imagefinder.session import Session
from imagefinder.sources import Fetcher, TableColumns, open_source
from imagefinder.takeover import ImportReport, take_over
from imagefinder.types import Hit, ImageRecord, IndexReport, Skipped, Status

if TYPE_CHECKING:
    from imagefinder.query import Queryable

PAGE = 500  # records read from the store at once
QUERIES = 64  # queries of search_many that go to the store at once

Where = str | os.PathLike[str]


class ImageFinder:
    """One collection. Safe to call from several threads; use as a context manager, or `close`."""

    def __init__(self, session: Session, limits: DecodeLimits) -> None:
        """Use `open`."""
        self._session, self._limits = session, limits
        self._fetcher = Fetcher()
        self._indexing = Lock()

    @classmethod
    def open(
        cls,
        where: Where = DEFAULT_COLLECTION,
        *,
        model: str | None = None,
        embedder: Embedder | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> Self:
        """The collection `where`: a bare name, or a directory. Indexing makes one that does not
        exist yet; reading never does. `model` is a name of the catalogue, `embedder` a model of
        your own; without either it is the collection's, or the built-in one. `limits` says how
        large an image may be that is indexed or searched with.

        Raises UsageError for an unknown model, CollectionError for a directory of other things.
        """
        if model is not None:
            model_spec(model)
        place = place_of(where if isinstance(where, str) else Path(where))
        return cls(Session(place, model, embedder), limits)

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
        """Bring the collection up to date with folders, files, tables or URLs.

        `prune` also removes what a source no longer holds ("force": even more than half of it);
        `include` and `exclude` are globs on the path below the source; `sample` takes so many
        images at random, always the same. Setting `stop` ends the run cleanly. `on_progress` gets
        the counts so far, `on_skipped` each skipped image, both on the calling thread.

        Raises SourceError when a source is missing or holds no image, UsageError, StoreError.
        """
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

    # searching

    def search(
        self,
        query: "Queryable",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The k images that look most like the query, best first, ties by id.

        A query is a path, a URL, `id:ID`, encoded bytes, a PIL image, an array (height, width, 3),
        a `Query`, or a list of these: then the mean of their embeddings is searched for. Fewer than
        k hits come only where fewer images match the filter.

        Raises ImageError when the query cannot be read, FilterError, ImageNotFoundError.
        """
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
        """The hits of each query, in order; queries are embedded on all cores.

        With `on_skipped`, a query that cannot be read gives no hits and is told; else it raises.
        """

        def embed(item: "tuple[int, Queryable]") -> Embedding | Skipped:
            number, query = item
            try:
                return self.embed(query)
            except ImageError as error:
                if on_skipped is None:
                    raise
                return Skipped(str(number), f"query {number}", str(error))

        workers = os.cpu_count() or 1
        results: list[list[Hit]] = []
        rows = ahead(embed, enumerate(queries), workers=workers, window=4 * workers)
        with closing(rows):
            for chunk in chunks(rows, QUERIES):
                hits = iter(
                    self._search([r for r in chunk if not isinstance(r, Skipped)], k, filter, exact)
                )
                for row in chunk:
                    if isinstance(row, Skipped):
                        on_skipped and on_skipped(row)
                        results.append([])
                    else:
                        results.append(next(hits))
        return results

    def embed(self, query: "Queryable") -> Embedding:
        """(dim,): the embedding that `search` searches with, of unit length."""
        return self._searcher().embed(as_query(query))

    # what is in the collection

    def status(self) -> Status:
        """Counts, model and size. Raises CollectionNotFoundError."""
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
        """What is known of one image. Raises ImageNotFoundError."""
        collection = self._session.collection()
        record = collection.records([id]).get(id)
        if record is None:
            raise ImageNotFoundError(f"{id}: no image of {self._session.place.name} has this id")
        return replace(record, uri=collection.places().locate(record.uri))

    def images(self, *, after: str = "", filter: str | None = None) -> Iterator[ImageRecord]:
        """The records in the order of their ids, from the first id greater than `after`."""
        collection = self._session.collection()
        locate = collection.places().locate
        wanted = self._filter(filter)
        while ids := collection.ledger.ids(after=after, limit=PAGE):
            records = collection.records(ids)
            for id in ids:
                record = records.get(id)
                if record is not None and (wanted is None or wanted.matches(record)):
                    yield replace(record, uri=locate(record.uri))
            after = ids[-1]

    def embedded(self) -> Iterator[tuple[ImageRecord, Embedding]]:
        """Every record of the space with its embedding, in the order of the ids."""
        store = self._session.store()
        for records in chunks(self.images(), PAGE):
            rows = store.embeddings([record.id for record in records])
            yield from ((record, rows[record.id]) for record in records if record.id in rows)

    def skipped(self) -> list[Skipped]:
        """The images that could not be indexed, with the reasons."""
        collection = self._session.collection()
        bases = collection.places().bases
        return [
            Skipped(entry.id, joined(bases[entry.source], entry.path), entry.reason)
            for entry in collection.ledger.skipped()
        ]

    # upkeep

    def remove(self, ids: Sequence[str]) -> int:
        """Take images out of the collection (their files stay); returns how many there were.

        Indexing their source again brings them back."""
        collection = self._session.collection()
        known = list(collection.ledger.images(ids))
        for some in chunks(known, PAGE):
            collection.delete(some)
        return len(known)

    def relocate(self, old: Where, new: Where) -> int:
        """The images that were below `old` are below `new` now; returns how many sources moved.

        Raises SourceError when `new` does not exist, UsageError when nothing is below `old`."""
        with self._indexing:
            return relocate(self._session.collection(), os.fspath(old), os.fspath(new))

    def export(self, file: Where) -> int:
        """Write embeddings, ids and metadata to a file (.csv, .npz, .parquet or .faiss, by its
        name), in the order of the ids; returns how many.

        Raises TransferError, MissingExtraError."""
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
        """Take over the embeddings of a file into a space of their own.

        `ids` is a file with the ids, for formats that hold none. `on_progress` gets the rows done
        and their total where the file tells. Raises TransferError, MissingExtraError."""
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
        """Build the search index now, and wait for it. Searches go on meanwhile."""
        self._session.optimizer.wait()
        self._session.store().optimize()

    @property
    def optimizing(self) -> bool:
        """Whether the search index is being built in the background."""
        return self._session.optimizer.busy

    def close(self) -> None:
        """Finish what runs in the background and let other processes use the collection.

        Calls in other threads end with an error; what they wrote until then is kept."""
        self._fetcher.close()
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _searcher(self) -> Searcher:
        session = self._session
        return Searcher(
            store=session.store(),
            embedder=session.embedder,
            read=self._fetcher.read,
            locate=session.places().locate,
            spec=session.spec(),
            limits=self._limits,
        )

    def _search(
        self, rows: Sequence[Embedding], k: int, filter: str | None, exact: bool
    ) -> list[list[Hit]]:
        return self._searcher().search(rows, k, filter=self._filter(filter), exact=exact)

    def _filter(self, expression: str | None) -> Filter | None:
        if expression is None:
            return None
        return replace(parse_filter(expression), locate=self._session.places().locate)


def check_whole(sources: Iterable[Source], prune: bool | str) -> None:
    """Raises UsageError where a run could not tell what is gone."""
    if prune and not all(source.complete for source in sources):
        raise UsageError(
            "prune needs whole sources: no single file, no part of a folder that is indexed as a"
            " whole, no include, exclude or sample"
        )
