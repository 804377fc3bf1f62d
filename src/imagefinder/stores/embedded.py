"""The embedded store: one space in a directory of its own, kept by zvec."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from zvec import Collection, Doc
from zvec.typing import Status

from imagefinder.ahead import chunks
from imagefinder.errors import StoreError, UsageError
from imagefinder.filters import Filter
from imagefinder.stores.embedded_build import MAX_BATCH, MAX_KEYS, Build
from imagefinder.stores.embedded_engine import check_space, check_statuses, set_up, translated
from imagefinder.stores.embedded_filter import widened
from imagefinder.stores.embedded_generation import Generation, create, open_current
from imagefinder.stores.embedded_schema import EMBEDDING, RECORD, document
from imagefinder.stores.embedded_search import Search, bucket_page, images_of, parts
from imagefinder.stores.ids import check_ids, key_of, possible
from imagefinder.stores.record_json import from_json
from imagefinder.stores.vectors import image_rows, query_rows
from imagefinder.types import Distance, ImageRecord, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["EmbeddedStore"]

_T = TypeVar("_T")

EXACT_BELOW = 20_000  # images; a linear search of so many takes 1.5 ms
UNINDEXED = 10_000  # images beside the graph, searched one by one in 1 ms, that may always be
UNINDEXED_PART = 0.2  # of all images that may be; a build takes all of them into a new graph
SAVES = 16  # of a small collection; each leaves a file of a megabyte behind
DEAD = 4000  # rows that take memory and disk for nothing; 8 MB
DEAD_PART = 0.2  # of all images that may be
RECORD_BYTES = 2000  # of one image without its embedding, generously
UNSAVED_BYTES = 8 << 20  # what zvec keeps in memory, and reads from its log again after a crash


class EmbeddedStore:
    """A VectorStore in a directory. One process may have it open."""

    @classmethod
    def create(cls, path: Path, dim: int, distance: Distance = "cosine") -> "EmbeddedStore":
        """Raises StoreError where something is already."""
        create(path, dim, distance)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "EmbeddedStore":
        """Raises CollectionInUseError, and CollectionDamagedError, also when there is nothing."""
        return cls(path, open_current(path))

    def __init__(self, path: Path, generation: Generation) -> None:
        """Use `create` or `open`."""
        self._path, self._current = path, generation
        self._dim, self._distance = generation.dim, generation.distance
        self._bytes_each = 4 * self._dim + RECORD_BYTES
        self._unsaved, self._written = 0, False  # bytes since the last flush; anything at all
        self._count = generation.count()
        self._dead = 0  # rows of images that were replaced or deleted since the last build
        self._build: Build | None = None
        self._closing = False
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def distance(self) -> Distance:
        return self._distance

    def upsert(self, records: Sequence[ImageRecord], embeddings: "Embeddings") -> None:
        """Of records with one id the last wins. Raises StoreError for an id that cannot be stored,
        before anything is written."""
        rows = image_rows(embeddings, self._dim, len(records), self._distance)
        check_ids(record.id for record in records)
        last = {record.id: index for index, record in enumerate(records)}
        with self._writes(last, rows=len(last)):
            for part in chunks(last.values(), MAX_KEYS):
                docs = [document(records[index], rows[index]) for index in part]
                self._make_room(len(docs))
                if self._in_turns(Collection.upsert, docs) < len(docs):
                    raise StoreError(f"{self._path}: not every image was stored; try again")

    def update(self, records: Sequence[ImageRecord]) -> None:
        known = {record.id: record for record in records if possible(record.id)}
        with self._writes(known, rows=len(known)):
            for part in chunks(known.values(), MAX_KEYS):
                self._make_room(len(part))
                self._in_turns(Collection.update, [document(record) for record in part])

    def delete(self, ids: Sequence[str]) -> int:
        known = list(dict.fromkeys(id for id in ids if possible(id)))
        with self._writes(known, rows=0):
            return self._in_turns(Collection.delete, [key_of(id) for id in known])

    def get(self, ids: Sequence[str]) -> Mapping[str, ImageRecord]:
        found = self._fetched(ids, [RECORD], vectors=False)
        return {id: from_json(doc.fields[RECORD]) for id, doc in found}

    def embeddings(self, ids: Sequence[str]) -> "Mapping[str, Embedding]":
        found = self._fetched(ids, [], vectors=True)
        return {id: np.array(doc.vectors[EMBEDDING], np.float32) for id, doc in found}

    def search(
        self,
        queries: "Embeddings",
        k: int,
        *,
        filter: Filter | None = None,
        exact: bool = False,
    ) -> list[list[Scored]]:
        if k < 1:
            raise UsageError(f"k is {k}; ask for at least 1 image")
        rows = query_rows(queries, self._dim, self._distance)
        self._check_open()
        where = widened(filter.root) if filter is not None and set_up() else None
        exact = exact or self._count <= EXACT_BELOW
        search = Search(self._inside, self._distance, k, filter, where, exact, self._count)
        return [search.closest(row) for row in rows]

    def scan(self) -> "Iterator[tuple[ImageRecord, Embedding]]":
        """Never the same image twice. Images written meanwhile come or not."""
        for low, high in parts(self.count()):
            with self._inside() as zvec:
                docs = bucket_page(zvec, low, high)
            records, rows = images_of(docs)
            yield from zip(records, rows, strict=True)

    def count(self) -> int:
        with self._inside():
            return self._count

    def needs_optimize(self, *, after_run: bool = False) -> bool:
        """Whether so much is unindexed that searches get slow, or so much dead that it costs."""
        with self._inside():
            if self._optimizing.locked():
                return False
            if self._dead > max(DEAD, DEAD_PART * self._count):
                return True
            if self._count <= EXACT_BELOW:
                return self._current.saves > SAVES
            unindexed = self._count * (1 - self._current.indexed)
            return unindexed > max(UNINDEXED, UNINDEXED_PART * self._count)

    def optimize(self) -> None:
        """Takes the space of the collection on disk a second time while it runs."""
        with self._optimizing, translated(self._path):
            self._check_open()
            old = self._current
            if old.indexed == 1 and not self._written:
                return
            check_space(self._path, _size(old.folder))
            with self._writing:
                self._build = build = Build(old, self._writing, self._check_open)
            try:
                new = build.run()
                with self._writing:
                    build.finish(new)
                    self._current, self._count = new, new.count()
                    self._unsaved, self._written, self._dead = 0, False, 0
            finally:
                self._build = None
        old.discard()

    def flush(self) -> None:
        """After it not even a power cut loses what was written before."""
        with self._writing, translated(self._path):
            self._check_open()
            self._save()

    def close(self) -> None:
        """Waits for running calls; an `optimize` is given up as soon as possible. Later calls
        raise StoreError."""
        already, self._closing = self._closing, True
        with self._optimizing, translated(self._path):
            if already:
                return
            try:
                with self._writing:
                    if self._written:
                        self._save()
            finally:
                self._current.close()

    def _fetched(
        self, ids: Sequence[str], fields: list[str], *, vectors: bool
    ) -> Iterator[tuple[str, Doc]]:
        keys = {key_of(id): id for id in ids if possible(id)}
        for part in chunks(keys, MAX_KEYS):
            with self._inside() as zvec:
                docs = zvec.fetch(part, output_fields=fields, include_vector=vectors)
            for key, doc in docs.items():
                yield keys[key], doc

    @contextmanager
    def _inside(self) -> Iterator[Collection]:
        """The generation in use, which stays open, and is not written to, meanwhile."""
        while True:
            self._check_open()
            generation = self._current
            with generation.entered() as inside, translated(self._path):
                if inside:
                    yield generation.zvec
                    return

    @contextmanager
    def _writes(self, ids: Iterable[str], *, rows: int) -> Iterator[None]:
        """One write at a time, as zvec's upserts of one id from two threads may both insert.
        `rows` of them are written at most; those that make nothing more leave dead ones behind."""
        with self._writing, translated(self._path):
            self._check_open()
            self._written = True
            try:
                yield
            finally:
                if self._build is not None:  # told after the write, or it could copy too early
                    self._build.note(key_of(id) for id in ids)
                # Not in `count`: the statistics keep the interpreter's lock while they wait.
                before, self._count = self._count, self._current.count()
                self._dead += max(rows - (self._count - before), 0)

    def _in_turns(
        self, write: Callable[[Collection, list[_T]], list[Status]], what: Sequence[_T]
    ) -> int:
        """A write in pieces, between which others read. How many documents it found."""
        found = 0
        for part in chunks(what, MAX_BATCH):
            with self._current.written() as zvec:
                statuses = write(zvec, part)
            found += check_statuses(statuses, self._path)
        return found

    def _make_room(self, images: int) -> None:
        """Before so many images are written."""
        size = images * self._bytes_each
        check_space(self._path, 4 * size)  # log and index take 2 times as much again
        self._unsaved += size
        if self._unsaved > UNSAVED_BYTES:
            self._save()
            self._unsaved = size

    def _save(self) -> None:
        self._current.save()
        self._unsaved = 0

    def _check_open(self) -> None:
        if self._closing:
            raise StoreError("the collection is closed; open it again")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
