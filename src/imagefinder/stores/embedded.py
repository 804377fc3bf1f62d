"""The embedded store: one space in one zvec collection, in a directory of its own."""

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import zvec
from zvec import Collection, Doc

from imagefinder.errors import CollectionDamagedError, StoreError, UsageError
from imagefinder.filters import Filter
from imagefinder.stores.embedded_engine import (
    check_space,
    check_statuses,
    check_writable,
    set_up,
    translated,
)
from imagefinder.stores.embedded_filter import widened
from imagefinder.stores.embedded_schema import EMBEDDING, RECORD, document, schema
from imagefinder.stores.embedded_search import Search, image_page, parts
from imagefinder.stores.gate import Gate
from imagefinder.stores.ids import check_ids, key_of, possible
from imagefinder.stores.record_json import from_json
from imagefinder.stores.vectors import unit_rows
from imagefinder.types import ImageRecord, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["EmbeddedStore"]

EXACT_BELOW = 20_000  # images; a linear search of so many takes 1.5 ms
UNINDEXED_LIMIT = 10_000  # images that searches go through one by one beside the graph; 1 ms
MAX_BATCH = 1000  # documents of one write; zvec takes 1,024
RECORD_BYTES = 2000  # of one image without its embedding, generously

T = TypeVar("T")


class EmbeddedStore:
    """A VectorStore in a directory. One process may have it open."""

    @classmethod
    def create(cls, path: Path, dim: int) -> "EmbeddedStore":
        """Raises StoreError where something is already."""
        if path.exists():
            raise StoreError(f"{path} exists already; open it, or choose another place")
        new = path.with_name(path.name + ".new")  # a crash leaves either all or this
        set_up()
        with translated(path):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            check_space(new, 0)
            zvec.create_and_open(str(new / "zvec"), schema(dim)).close()
            new.rename(path)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "EmbeddedStore":
        """Raises CollectionInUseError, and CollectionDamagedError, also when there is nothing."""
        if not (path / "zvec").is_dir():
            raise CollectionDamagedError(
                f"{path} is missing; restore a backup, or delete the collection and index again"
            )
        set_up()
        check_writable(path / "zvec")
        with translated(path, opening=True):
            return cls(path, zvec.open(str(path / "zvec")))

    def __init__(self, path: Path, collection: Collection) -> None:
        """Use `create` or `open`."""
        embedding = collection.schema.vector(EMBEDDING)
        if embedding is None:
            raise CollectionDamagedError(f"{path} holds no embeddings; restore a backup")
        self._path, self._zvec, self._dim = path, collection, int(embedding.dimension)
        self._bytes_each = 4 * (4 * self._dim + RECORD_BYTES)  # with log and index; measured: 3
        self._gate = Gate()
        self._count = self._counted()
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()

    @property
    def dim(self) -> int:
        return self._dim

    def upsert(self, records: Sequence[ImageRecord], embeddings: "Embeddings") -> None:
        """Of records with one id the last wins. Raises StoreError for an id that cannot be stored,
        before anything is written."""
        rows = unit_rows(embeddings, self._dim, len(records), what="image")
        check_ids(record.id for record in records)
        last = {record.id: index for index, record in enumerate(records)}
        with self._writes():
            for part in _batches(list(last.values())):
                docs = [document(records[index], rows[index]) for index in part]
                check_space(self._path, len(docs) * self._bytes_each)
                if check_statuses(self._zvec.upsert(docs), self._path) < len(docs):
                    raise StoreError(f"{self._path}: not every image was stored; try again")

    def update(self, records: Sequence[ImageRecord]) -> None:
        known = {record.id: record for record in records if possible(record.id)}
        with self._writes():
            for part in _batches(list(known.values())):
                docs = [document(record) for record in part]
                check_space(self._path, len(docs) * self._bytes_each)
                check_statuses(self._zvec.update(docs), self._path)

    def delete(self, ids: Sequence[str]) -> int:
        keys = list(dict.fromkeys(key_of(id) for id in ids if possible(id)))
        with self._writes():
            return sum(
                check_statuses(self._zvec.delete(part), self._path) for part in _batches(keys)
            )

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
        rows = unit_rows(queries, self._dim, what="query")
        with self._inside():
            where = None
            if filter is not None and set_up():
                where = widened(filter.root)
            exact = exact or self._count <= EXACT_BELOW
            search = Search(self._zvec, k, filter, where, exact, self._count)
            return [search.closest(row) for row in rows]

    def scan(self) -> "Iterator[tuple[ImageRecord, Embedding]]":
        """Never the same image twice. Images written meanwhile come or not."""
        for low, high in parts(self.count()):
            with self._inside():
                records, rows = image_page(self._zvec, low, high)
            yield from zip(records, rows, strict=True)

    def count(self) -> int:
        with self._inside():
            return self._count

    def needs_optimize(self) -> bool:
        """Whether so much is unindexed that searches get slow."""
        with self._inside():
            if self._count <= EXACT_BELOW or self._optimizing.locked():
                return False
            indexed = self._zvec.stats.index_completeness.get(EMBEDDING, 0.0)
            return self._count * (1 - indexed) > UNINDEXED_LIMIT

    def optimize(self) -> None:
        with self._inside(), self._optimizing:
            check_space(self._path, _size(self._path))  # it writes most of it anew
            self._zvec.optimize()

    def flush(self) -> None:
        with self._inside():
            self._zvec.flush()

    def close(self) -> None:
        """Waits for running calls, an `optimize` among them. Later calls raise StoreError."""
        if self._gate.shut():
            with translated(self._path):
                self._zvec.close()

    def _fetched(
        self, ids: Sequence[str], fields: list[str], *, vectors: bool
    ) -> Iterator[tuple[str, Doc]]:
        keys = {key_of(id): id for id in ids if possible(id)}
        for part in _batches(list(keys)):
            with self._inside():
                docs = self._zvec.fetch(part, output_fields=fields, include_vector=vectors)
            for key, doc in docs.items():
                yield keys[key], doc

    @contextmanager
    def _inside(self) -> Iterator[None]:
        with self._gate.entered(), translated(self._path):
            yield

    @contextmanager
    def _writes(self) -> Iterator[None]:
        """One write at a time: zvec's own upserts of one id from two threads may both insert."""
        with self._inside(), self._writing:
            try:
                yield
            finally:
                self._count = self._counted()

    def _counted(self) -> int:
        """Asked for after each write only: for a second at the start of an `optimize()` zvec's
        statistics wait, and hold up every thread, for it keeps the interpreter's lock."""
        return int(self._zvec.stats.doc_count)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _batches(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), MAX_BATCH):
        yield items[start : start + MAX_BATCH]
