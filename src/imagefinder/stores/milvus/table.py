"""Rows of facts in Milvus: what the ledger of a cluster is kept in."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from imagefinder.ahead import ahead, chunks
from imagefinder.stores.milvus.connection import CALL_SECONDS, Client, Connection

Row: TypeAlias = Mapping[str, str | int]  # column -> value; all have `key` and `body`

AT_ONCE = 1000  # rows read or written in one call
MAX_TEXT = 65_535  # bytes, of Milvus
MAX_KEY = 1100
NOTHING = "nothing"  # the vector that every Milvus collection must have


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are those that are looked up by, beside the key: text of so many bytes, or 0 for
    whole numbers. Rows come in the order of their keys."""

    connection: Connection
    name: str  # in Milvus
    columns: Mapping[str, int]

    def define(self) -> None:
        """Does nothing where it is there. `create_tables` brings it into the server's memory."""
        from pymilvus import DataType

        client = self.connection.client()
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=MAX_KEY)
        schema.add_field("body", DataType.VARCHAR, max_length=MAX_TEXT)
        indexes = client.prepare_index_params()
        for column, length in self.columns.items():
            if length:
                schema.add_field(column, DataType.VARCHAR, max_length=length)
            else:
                schema.add_field(column, DataType.INT64)
            indexes.add_index(column)
        schema.add_field(NOTHING, DataType.FLOAT_VECTOR, dim=2)
        indexes.add_index(NOTHING, index_type="FLAT", metric_type="L2")

        def define(client: Client) -> None:
            client.create_collection(
                self.name, schema=schema, consistency_level="Session", timeout=CALL_SECONDS
            )
            # not waited for: to load waits for it, and this would look once in half a second only
            client.create_index(self.name, indexes, timeout=CALL_SECONDS, sync=False)

        self.connection.call(define)

    def load(self) -> None:
        """Into the server's memory. Waits."""
        self.connection.load(self.name)

    def exists(self) -> bool:
        """Whether it is there."""
        return self.connection.call(
            lambda client: bool(client.has_collection(self.name, timeout=CALL_SECONDS))
        )

    def get(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows with these keys."""
        found: dict[str, Row] = {}
        for some in chunks(dict.fromkeys(keys), AT_ONCE):
            found |= {str(row["key"]): row for row in self._query(one_of("key", some), len(some))}
        return found

    def where(self, condition: str, values: Sequence[str], column: str) -> Iterator[Row]:
        """The rows for which the condition holds, and whose column has one of these values."""
        for some in chunks(values, AT_ONCE):
            yield from self.rows(f"{condition} and {one_of(column, some)}")

    def rows(self, condition: str = "") -> Iterator[Row]:
        """Every row for which the condition holds, however many there are."""
        after = ""
        while page := self.page(condition, after=after):
            yield from page
            after = str(page[-1]["key"])

    def page(self, condition: str = "", *, after: str = "", limit: int = AT_ONCE) -> list[Row]:
        """The first of them whose key is greater than `after`."""
        beyond = f"key > {literal(after)}" if after else 'key != ""'
        return self._query(f"{condition} and {beyond}" if condition else beyond, limit)

    def count(self, condition: str = "") -> int:
        """How many rows there are for which the condition holds."""
        level = self.connection.level()
        found = self.connection.call(
            lambda client: client.query(
                self.name,
                filter=condition,
                output_fields=["count(*)"],
                consistency_level=level,
                timeout=CALL_SECONDS,
            ),
            collection=self.name,
        )
        return int(found[0]["count(*)"])

    def put(self, rows: Iterable[Row]) -> None:
        """Add or replace by key."""
        for some in chunks(rows, AT_ONCE):
            whole: list[Mapping[str, object]] = [{**row, NOTHING: [0.0, 0.0]} for row in some]
            self.connection.call(partial(self._upsert, whole))

    def delete(self, keys: Iterable[str], *, wait: bool = True) -> None:
        """Those that are there. Without `wait`, who reads next may see them for a moment."""
        for some in chunks(dict.fromkeys(keys), AT_ONCE):
            expression = one_of("key", some)
            if wait:
                self.connection.delete(self.name, expression)
            else:
                self.connection.call(partial(self._delete, expression), collection=self.name)

    def _upsert(self, rows: list[Mapping[str, object]], client: Client) -> None:
        client.upsert(self.name, rows, timeout=CALL_SECONDS)

    def _delete(self, expression: str, client: Client) -> None:
        client.delete(self.name, filter=expression, timeout=CALL_SECONDS)

    def _query(self, condition: str, limit: int) -> list[Row]:
        level = self.connection.level()
        found: list[Row] = self.connection.call(
            lambda client: client.query(
                self.name,
                filter=condition,
                output_fields=["key", "body", *self.columns],
                limit=limit,
                consistency_level=level,
                timeout=CALL_SECONDS,
            ),
            collection=self.name,
        )
        return sorted(found, key=lambda row: str(row["key"]))


def create_tables(tables: Sequence[Table]) -> None:
    """One after the other, and then into the server's memory together, which takes seconds. Those
    that are there stay as they are."""
    for table in tables:
        table.define()
    for _ in ahead(Table.load, tables, workers=len(tables), window=len(tables)):
        pass


def names(connection: Connection) -> list[str]:
    """The Milvus collections there are, of all kinds."""
    found: list[str] = connection.call(lambda client: client.list_collections(timeout=CALL_SECONDS))
    return sorted(found)


def drop(connection: Connection, name: str) -> None:
    """Delete a Milvus collection; nothing happens where there is none."""
    connection.call(lambda client: client.drop_collection(name, timeout=CALL_SECONDS))


def literal(text: str) -> str:
    """A text inside an expression."""
    return json.dumps(text, ensure_ascii=False)


def one_of(column: str, values: Iterable[str]) -> str:
    """A condition for any of these texts."""
    return f"{column} in [{','.join(map(literal, values))}]"
