"""The cluster's store, by the contract of all stores, in a real Milvus."""

from collections.abc import Iterator

import pytest

from imagefinder.protocols import VectorStore
from imagefinder.stores.milvus.connection import Connection
from tests.milvus_stores import connected, emptied
from tests.store_contract import StoreContract

pytestmark = pytest.mark.milvus


@pytest.fixture(scope="module")
def connection(milvus_address: str) -> Iterator[Connection]:
    connection = connected(milvus_address)
    yield connection
    connection.close()


class TestMilvusStore(StoreContract):
    @pytest.fixture
    def store(self, connection: Connection) -> Iterator[VectorStore]:
        store = emptied(connection, "contract")
        yield store
        store.close()
