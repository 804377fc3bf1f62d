"""Reading the rows of one Milvus collection: by key, page by page, counted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imagefinder.ahead import chunks
from imagefinder.stores.milvus.connection import CALL_SECONDS, Client, Connection, check_loaded
from imagefinder.stores.milvus.schema import KEY, Row
from imagefinder.stores.milvus.table import literal, one_of

__all__ = ["Rows"]

AT_ONCE = 1000  # keys asked for in one call


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows hold the columns that were asked for, and their key."""

    connection: Connection
    name: str  # of the collection, in Milvus

    def of(self, keys: Iterable[str], columns: Sequence[str]) -> Iterator[Row]:
        """Those that exist."""
        for some in chunks(keys, AT_ONCE):
            yield from self._query(one_of(KEY, some), columns, len(some))

    def pages(
        self, columns: Sequence[str], size: int, *, where: str | None = None, after: str = ""
    ) -> Iterator[list[Row]]:
        """All whose key is greater than `after` and for which the expression holds, by key."""
        while True:
            beyond = f"{KEY} > {literal(after)}"
            page = self._query(
                beyond if where is None else f"{beyond} and ({where})", columns, size
            )
            if not page:
                return
            page.sort(key=lambda row: str(row[KEY]))
            yield page
            after = page[-1][KEY]

    def count(self, where: str | None = None) -> int:
        found = self._query(where or "", ["count(*)"], None)
        return int(found[0]["count(*)"])

    def _query(self, where: str, columns: Sequence[str], limit: int | None) -> list[Row]:
        level = self.connection.level()
        limits = {} if limit is None else {"limit": limit}

        def query(client: Client) -> list[Row]:
            found = list(
                client.query(
                    self.name,
                    filter=where,
                    output_fields=list(columns),
                    consistency_level=level,
                    timeout=CALL_SECONDS,
                    **limits,
                )
            )
            if limit is None or len(found) < limit:
                check_loaded(client, self.name)
            return found

        return self.connection.call(query, collection=self.name)
