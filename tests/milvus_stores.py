"""Stores in the Milvus server of the tests. Making one takes 3 s, emptying one a tenth of it."""

from imagefinder.stores.milvus.address import IndexChoice, parse_address
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.freshness import newest
from imagefinder.stores.milvus.store import MilvusStore
from imagefinder.types import Distance
from tests.store_contract import DIM


def connected(server: str, parameters: str = "") -> Connection:
    return Connection(parse_address(f"milvus://{server}/tests{parameters}"))


def emptied(
    connection: Connection, name: str, distance: Distance = "cosine", index: IndexChoice = "auto"
) -> MilvusStore:
    """An empty one for DIM dimensions, made unless it is there."""
    store = MilvusStore.create(connection, name, DIM, distance, index)
    with newest():
        while ids := store.ids(limit=1000):
            store.delete(ids)
    return store
