"""Building the index of a Milvus collection, and changing it for another kind."""

import time
from collections.abc import Callable
from contextlib import suppress

from imagefinder.errors import StoreError
from imagefinder.stores.milvus.address import IndexChoice
from imagefinder.stores.milvus.connection import (
    CALL_SECONDS,
    LOAD_SECONDS,
    Client,
    Connection,
)
from imagefinder.stores.milvus.index import BUILD, FLAT, Kind, kind_for
from imagefinder.stores.milvus.schema import EMBEDDING, Row

__all__ = ["build", "current_kind", "ensure_index"]

PAUSE = 0.2  # seconds
STUCK_SECONDS = 600.0  # without a single image more in the index
TRIES = 5


def current_kind(connection: Connection, name: str) -> Kind | None:
    """The kind of the index; None while there is none."""
    found = _described(connection, name)
    return None if found is None else str(found["index_type"])


def ensure_index(connection: Connection, name: str, metric: str, choice: IndexChoice) -> None:
    """A collection without one, new or left so by a crash, gets the index of a small one."""
    if _described(connection, name) is None:
        _create(connection, name, metric, kind_for(choice, 0))


def build(
    connection: Connection,
    name: str,
    metric: str,
    choice: IndexChoice,
    count: int,
    go_on: Callable[[], None],
) -> None:
    """The index for so many images, over all of them. Waits; `go_on` raises when nobody wants it
    any more."""
    _flush(connection, name)
    wanted = kind_for(choice, count)
    for _ in range(TRIES):
        if current_kind(connection, name) == wanted:
            break
        _change(connection, name, metric, wanted)
    _wait(connection, name, go_on)
    if wanted != FLAT:  # else what is loaded already goes on with a makeshift of Milvus for long
        connection.call(lambda client: client.refresh_load(name, timeout=LOAD_SECONDS))


def _flush(connection: Connection, name: str) -> None:
    """What is being written is indexed only once it is closed to writing. Milvus 2.3 may miss that
    it has done so, and then waits for ever; asked again, it sees it."""
    for _ in range(TRIES - 1):
        with suppress(StoreError):
            connection.call(lambda client: client.flush(name, timeout=CALL_SECONDS))
            return
    connection.call(lambda client: client.flush(name, timeout=LOAD_SECONDS))


def _change(connection: Connection, name: str, metric: str, kind: Kind) -> None:
    """Milvus wants a collection out of its memory for it. It comes back at once, and is searched
    with what there is until the index is built."""

    def drop(client: Client) -> None:
        client.release_collection(name, timeout=CALL_SECONDS)
        client.drop_index(name, EMBEDDING, timeout=CALL_SECONDS)

    connection.call(drop)
    _create(connection, name, metric, kind)
    connection.load(name)


def _create(connection: Connection, name: str, metric: str, kind: Kind) -> None:
    def create(client: Client) -> None:
        index = client.prepare_index_params()
        index.add_index(
            EMBEDDING,
            index_type=kind,
            index_name=EMBEDDING,
            metric_type=metric,
            params=dict(BUILD[kind]),
        )
        client.create_index(name, index, timeout=CALL_SECONDS, sync=False)

    try:
        connection.call(create)
    except StoreError:
        if current_kind(connection, name) is None:
            raise  # else another process has made one meanwhile


def _wait(connection: Connection, name: str, go_on: Callable[[], None]) -> None:
    """Until every image is in the index."""
    before, since = -1, time.monotonic()
    while True:
        go_on()
        found = _described(connection, name) or {}
        if found.get("pending_index_rows") == 0 and found.get("state") == "Finished":
            return
        if found.get("state") == "Failed" or time.monotonic() - since > STUCK_SECONDS:
            raise StoreError(
                f"{connection.address.shown}: Milvus does not build the index"
                f" {found.get('index_type', '')}; the server's log may say why; another one can be"
                " chosen in the address (index=hnsw)"
            )
        if found.get("indexed_rows", 0) != before:
            before, since = found.get("indexed_rows", 0), time.monotonic()
        time.sleep(PAUSE)


def _described(connection: Connection, name: str) -> Row | None:
    found: Row | None = connection.call(
        lambda client: client.describe_index(name, EMBEDDING, timeout=CALL_SECONDS)
    )
    return found
