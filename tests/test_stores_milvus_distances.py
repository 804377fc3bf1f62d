"""The cluster's store with each distance."""

from collections.abc import Iterator

import pytest

from imagefinder.errors import CollectionDamagedError, StoreError
from imagefinder.protocols import VectorStore
from imagefinder.stores.milvus import schema
from imagefinder.stores.milvus.connection import CALL_SECONDS, Connection
from imagefinder.stores.milvus.store import MilvusStore
from imagefinder.types import Distance
from tests.milvus_stores import connected, emptied
from tests.store_contract import DIM, numbered
from tests.store_distances import COUNT, DistanceContract, each_distance, spread

pytestmark = pytest.mark.milvus


@pytest.fixture(scope="module")
def connection(milvus_address: str) -> Iterator[Connection]:
    connection = connected(milvus_address)
    yield connection
    connection.close()


class TestMilvusStore(DistanceContract):
    @pytest.fixture
    def store(self, connection: Connection, distance: Distance) -> Iterator[VectorStore]:
        store = emptied(connection, f"distance_{distance}", distance)
        yield store
        store.close()


@each_distance
def test_a_space_keeps_its_distance(connection: Connection, distance: Distance) -> None:
    store = emptied(connection, f"distance_{distance}", distance)
    rows = spread(COUNT)
    store.upsert(numbered(COUNT), rows)
    hits = store.search(rows[:3], 5)
    again = MilvusStore.open(connection, f"distance_{distance}")
    assert (again.dim, again.distance) == (DIM, distance)
    assert again.search(rows[:3], 5) == hits
    with pytest.raises(StoreError, match="different parameters"):
        MilvusStore.create(connection, f"distance_{distance}", DIM + 1, distance)


def test_a_distance_of_a_later_version_is_told(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied(connection, "distance_dot", "dot").close()
    monkeypatch.delitem(schema.METRICS, "dot")
    with pytest.raises(CollectionDamagedError, match=r"compares embeddings in a way .* update"):
        MilvusStore.open(connection, "distance_dot")


def test_what_something_else_made_is_told(connection: Connection) -> None:
    connection.call(
        lambda client: client.create_collection("foreign", dimension=DIM, timeout=CALL_SECONDS)
    )
    with pytest.raises(CollectionDamagedError, match="foreign holds no space"):
        MilvusStore.open(connection, "foreign")
    MilvusStore.drop(connection, "foreign")
    MilvusStore.drop(connection, "foreign")
    with pytest.raises(StoreError, match="has not got what the collection needs"):
        MilvusStore.open(connection, "foreign")
