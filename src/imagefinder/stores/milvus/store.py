"""The cluster's store: one space in a Milvus collection, which any number of processes share."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from imagefinder.ahead import chunks
from imagefinder.errors import StoreError, UsageError
from imagefinder.filters import Filter
from imagefinder.stores.ids import check_ids, key_of, possible
from imagefinder.stores.milvus.address import IndexChoice
from imagefinder.stores.milvus.build import build, current_kind, ensure_index
from imagefinder.stores.milvus.connection import CALL_SECONDS, Client, Connection
from imagefinder.stores.milvus.filter import expression_of
from imagefinder.stores.milvus.freshness import newest
from imagefinder.stores.milvus.index import kind_for
from imagefinder.stores.milvus.rows import Rows
from imagefinder.stores.milvus.schema import (
    EMBEDDING,
    KEY,
    METRICS,
    RECORD,
    SHA256,
    Row,
    described,
    record_of,
    rows_of,
    schema,
)
from imagefinder.stores.milvus.search import Search, embedding_rows, page_size
from imagefinder.stores.milvus.table import one_of
from imagefinder.stores.vectors import image_rows, query_rows
from imagefinder.types import Distance, ImageRecord, Scored

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["MilvusStore"]

MAX_KEYS = 1000  # deleted at once
WRITE_BYTES = 8 << 20  # of one call
ROW_BYTES = 2000  # of one image without its embedding


class MilvusStore:
    """A VectorStore. Whoever made the connection closes it."""

    @classmethod
    def create(
        cls,
        connection: Connection,
        name: str,
        dim: int,
        distance: Distance = "cosine",
        index: IndexChoice = "auto",
    ) -> "MilvusStore":
        """`name` is the Milvus collection's. Opens it where it is there already, as when another
        process creates it at the same time. Raises StoreError where it is there for other
        embeddings."""
        connection.call(
            lambda client: client.create_collection(
                name,
                schema=schema(client, dim, distance),
                consistency_level="Session",
                timeout=CALL_SECONDS,
            )
        )
        return cls.open(connection, name, index=index)

    @classmethod
    def open(
        cls, connection: Connection, name: str, index: IndexChoice | None = None
    ) -> "MilvusStore":
        """`index` stands in place of what the address says. Raises StoreError where there is no
        such collection."""
        description = connection.call(
            lambda client: client.describe_collection(name, timeout=CALL_SECONDS)
        )
        dim, distance = described(description, connection.address.shown)
        store = cls(connection, name, dim, distance, index or connection.address.index)
        ensure_index(connection, name, METRICS[distance], store._choice)
        connection.load(name)
        return store

    @staticmethod
    def drop(connection: Connection, name: str) -> None:
        """Nothing happens where there is no such collection."""
        connection.call(lambda client: client.drop_collection(name, timeout=CALL_SECONDS))

    def __init__(
        self,
        connection: Connection,
        name: str,
        dim: int,
        distance: Distance,
        choice: IndexChoice,
    ) -> None:
        """Use `create` or `open`."""
        self._connection, self._name = connection, name
        self._dim, self._distance, self._choice = dim, distance, choice
        self._rows = Rows(connection, name)
        self._closed = False
        self._writing = threading.Lock()
        self._optimizing = threading.Lock()

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def distance(self) -> Distance:
        return self._distance

    def upsert(self, records: Sequence[ImageRecord], embeddings: "Embeddings") -> None:
        """Of records with one id the last wins. Raises StoreError for an id or a record that
        cannot be stored, before anything is written."""
        rows = image_rows(embeddings, self._dim, len(records), self._distance)
        check_ids(record.id for record in records)
        last = {record.id: index for index, record in enumerate(records)}.values()
        written = rows_of([records[index] for index in last], [rows[index] for index in last])
        with self._writing:
            self._put(written)

    def update(self, records: Sequence[ImageRecord]) -> None:
        known = {key_of(record.id): record for record in records if possible(record.id)}
        with self._writing:
            for keys in chunks(known, self._at_once):
                with newest():
                    rows = list(self._found(keys, [EMBEDDING]))
                embeddings = list(embedding_rows(rows, self._dim))
                self._put(rows_of([known[row[KEY]] for row in rows], embeddings))

    def delete(self, ids: Sequence[str]) -> int:
        known = dict.fromkeys(key_of(id) for id in ids if possible(id))
        found = 0
        with self._writing:
            for keys in chunks(known, MAX_KEYS):
                with newest():
                    found += sum(1 for _ in self._found(keys, [KEY]))
                self._check_open()
                self._connection.delete(self._name, one_of(KEY, keys))
            self._check_open()
        return found

    def get(self, ids: Sequence[str]) -> Mapping[str, ImageRecord]:
        return {id: record_of(row) for id, row in self._of(ids, [RECORD])}

    def embeddings(self, ids: Sequence[str]) -> "Mapping[str, Embedding]":
        return {id: embedding_rows([row], self._dim)[0] for id, row in self._of(ids, [EMBEDDING])}

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The sha256 that the records of those ids hold, of those that exist."""
        return {id: row[SHA256] for id, row in self._of(ids, [SHA256])}

    def ids(self, after: str = "", limit: int = 1000) -> list[str]:
        """The first ids behind `after`, in the order of their keys."""
        self._check_open()
        pages = self._rows.pages([KEY], limit, after=key_of(after) if after else "")
        keys = [row[KEY] for row in next(pages, [])]
        # An odd id, in the key of which a backslash stands for what was odd, is in the record.
        odd = {row[KEY]: record_of(row).id for row in self._found(filter(_is_odd, keys), [RECORD])}
        return [odd.get(key, key) for key in keys]

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
        search = Search(
            self._rows,
            self._check_open,
            self._dim,
            self._distance,
            k,
            filter,
            where=expression_of(filter.root) if filter is not None else None,
            exact=exact,
        )
        return search.closest(rows)

    def scan(self) -> "Iterator[tuple[ImageRecord, Embedding]]":
        """Never the same image twice. Images written meanwhile come or not."""
        self._check_open()
        for page in self._rows.pages([RECORD, EMBEDDING], page_size(self._dim)):
            for row, embedding in zip(page, embedding_rows(page, self._dim), strict=True):
                yield record_of(row), embedding
            self._check_open()

    def count(self) -> int:
        self._check_open()
        return self._rows.count()

    def needs_optimize(self, *, after_run: bool = False) -> bool:
        """When another index is due, but only after a run: for a moment nobody can search."""
        self._check_open()
        if not after_run or self._optimizing.locked():
            return False
        current = current_kind(self._connection, self._name)
        return bool(current != kind_for(self._choice, self._rows.count()))

    def optimize(self) -> None:
        """Chooses the index by the number of images, builds it for all of them, and waits. While
        one index gives way to another, searches wait for some seconds."""
        with self._optimizing:
            self._check_open()
            build(
                self._connection,
                self._name,
                METRICS[self._distance],
                self._choice,
                self._rows.count(),
                self._check_open,
            )

    def flush(self) -> None:
        """What Milvus has acknowledged is in its log already."""
        self._check_open()

    def close(self) -> None:
        """Later calls raise StoreError; an `optimize` is given up as soon as possible."""
        self._closed = True

    @property
    def _at_once(self) -> int:
        return max(1, WRITE_BYTES // (4 * self._dim + ROW_BYTES))

    def _put(self, rows: list[Row]) -> None:
        for some in chunks(rows, self._at_once):
            self._check_open()

            def upsert(client: Client, some: list[Row] = some) -> None:
                client.upsert(self._name, some, timeout=CALL_SECONDS)

            self._connection.call(upsert)
        self._check_open()

    def _of(self, ids: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
        keys = {key_of(id): id for id in ids if possible(id)}
        for row in self._found(keys, columns):
            yield keys[row[KEY]], row
        self._check_open()

    def _found(self, keys: Iterable[str], columns: Sequence[str]) -> Iterator[Row]:
        self._check_open()
        yield from self._rows.of(keys, columns)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the collection is closed; open it again")


def _is_odd(key: str) -> bool:
    return "\\" in key
