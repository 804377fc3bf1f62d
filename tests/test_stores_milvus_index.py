"""Which index a space in Milvus has, by its size, and that it finds what it should."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imagefinder.arrays import Embeddings
from imagefinder.errors import StoreError
from imagefinder.filters import parse_filter
from imagefinder.protocols import VectorStore
from imagefinder.stores.exact import ExactStore
from imagefinder.stores.milvus import build, index, search
from imagefinder.stores.milvus.build import current_kind
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.store import MilvusStore
from imagefinder.types import Distance, ImageRecord
from tests.milvus_stores import connected, emptied
from tests.store_contract import DIM, drawn, ids, numbered, record, unit
from tests.store_distances import compare, each_distance

pytestmark = pytest.mark.milvus

COUNT, CENTRES = 4000, 100


@pytest.fixture(scope="module")
def connection(milvus_address: str) -> Iterator[Connection]:
    connection = connected(milvus_address)
    yield connection
    connection.close()


def clustered(count: int, seed: int) -> Embeddings:
    """As the benchmarks draw them: centre + 0.8 noise."""
    centres = np.random.default_rng(0).standard_normal((CENTRES, DIM))
    rng = np.random.default_rng(seed)
    noise = 0.8 * rng.standard_normal((count, DIM))
    return unit(centres[rng.integers(0, CENTRES, count)] + noise)


def images() -> list[ImageRecord]:
    formats = ("gif", "png", "png")
    return [record(f"{n:05}", width=n % 100, format=formats[n % 3]) for n in range(COUNT)]


def filled(connection: Connection, name: str) -> MilvusStore:
    store = emptied(connection, name)
    store.upsert(images(), clustered(COUNT, seed=1))
    return store


def recall(store: VectorStore, oracle: VectorStore, expression: str | None = None) -> float:
    """Of the 10 closest to 20 queries."""
    queries = clustered(20, seed=2)
    filter = None if expression is None else parse_filter(expression)
    found = store.search(queries, 10, filter=filter)
    wanted = oracle.search(queries, 10, filter=filter)
    same = 0
    for hits, best in zip(found, wanted, strict=True):
        assert len(hits) == len(best) > 0
        same += len(set(ids(hits)) & set(ids(best)))
    return same / sum(map(len, wanted))


def limits(monkeypatch: pytest.MonkeyPatch, flat: int, hnsw: int) -> None:
    monkeypatch.setattr(index, "FLAT_UP_TO", flat)
    monkeypatch.setattr(index, "HNSW_UP_TO", hnsw)


@pytest.mark.parametrize(
    ("choice", "count", "kind"),
    [
        ("auto", 0, "FLAT"), ("auto", 20_000, "FLAT"), ("auto", 20_001, "HNSW"),
        ("auto", 10_000_000, "HNSW"), ("auto", 10_000_001, "IVF_SQ8"),
        ("hnsw", 0, "HNSW"), ("ivf_sq8", 10, "IVF_SQ8"), ("diskann", 10, "DISKANN"),
    ],
)  # fmt: skip
def test_the_size_chooses_the_index_unless_the_address_does(choice, count, kind) -> None:
    assert index.kind_for(choice, count) == kind


def test_it_changes_with_the_size_and_finds_as_much(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, store = "index_by_size", filled(connection, "index_by_size")
    oracle = ExactStore(DIM)
    oracle.upsert(images(), clustered(COUNT, seed=1))
    limits(monkeypatch, flat=COUNT, hnsw=10 * COUNT)
    store.optimize()
    assert current_kind(connection, name) == "FLAT"
    assert recall(store, oracle) == 1
    assert not store.needs_optimize()
    for flat, hnsw, kind in ((COUNT - 1, COUNT, "HNSW"), (0, COUNT - 1, "IVF_SQ8")):
        limits(monkeypatch, flat, hnsw)
        assert current_kind(connection, name) != kind
        store.optimize()
        assert current_kind(connection, name) == kind
        assert recall(store, oracle) >= 0.99
        for expression in ("width < 1", "width < 20", 'format == "gif"', 'id == "00007"'):
            assert recall(store, oracle, expression) >= 0.99
        assert recall(store, oracle, 'uri contains "123"') >= 0.99  # which no index knows
        assert store.count() == sum(1 for _ in store.scan()) == COUNT


@each_distance
def test_a_graph_finds_as_the_oracle(connection: Connection, distance: Distance) -> None:
    """As precisely as float64 is, though Milvus searches in float32; also what came since."""
    store = emptied(connection, f"index_graph_{distance}", distance, "hnsw")
    oracle = ExactStore(DIM, distance)
    rows = 3 * clustered(COUNT, seed=1)
    stores: list[VectorStore] = [store, oracle]
    for each in stores:
        each.upsert(images(), rows)
        each.optimize()
        each.upsert(images()[:50], -rows[:50])
        each.delete(["00060"])
    assert current_kind(connection, f"index_graph_{distance}") == "HNSW"
    assert recall(store, oracle) >= 0.99
    queries = np.concatenate([clustered(5, seed=3), rows[100:103], -rows[:2]])
    wanted = oracle.search(queries, COUNT)
    for k in (1, 10, 100):
        for hits, best in zip(store.search(queries, k, exact=True), wanted, strict=True):
            compare(hits, best, k)
    for hits, best in zip(store.search(queries, 3), wanted, strict=True):
        compare(hits, best, 3)


def test_a_tie_of_more_than_a_page_is_looked_through(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_PAGE", 20)
    store = emptied(connection, "index_ties")
    twin = unit(drawn(1) + 0.2 * drawn(1, seed=8))
    store.upsert(numbered(60)[::-1], np.repeat(twin, 60, axis=0))
    store.upsert([record("best")], drawn(1))
    for exact in (False, True):
        hits = store.search(drawn(1), 8, exact=exact)[0]
        assert ids(hits) == ["best", *(f"{number:05}" for number in range(7))]


def test_others_search_and_write_while_the_index_changes(
    connection: Connection, milvus_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From other connections, as other processes do."""
    store = filled(connection, "index_change")
    rows, done = clustered(COUNT, seed=1), threading.Event()

    def others() -> int:
        other = connected(milvus_address)
        mine, steps = MilvusStore.open(other, "index_change"), 0
        while not done.is_set() or steps == 0:
            at = steps * 37 % COUNT
            hits = mine.search(rows[at : at + 1], 3)[0]
            assert hits[0].record.id == f"{at:05}"
            mine.upsert(images()[at : at + 1], rows[at : at + 1])
            assert mine.get([f"{at:05}"])
            steps += 1
        other.close()
        return steps

    limits(monkeypatch, flat=10, hnsw=COUNT)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(others) for _ in range(2)]
        store.optimize()
        done.set()
        assert all(each.result() >= 1 for each in running)
    assert current_kind(connection, "index_change") == "HNSW"
    assert store.count() == COUNT


def test_an_index_that_the_server_does_not_build_is_told(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test server cannot build DiskANN."""
    monkeypatch.setattr(build, "STUCK_SECONDS", 3.0)
    store = MilvusStore.create(connection, "index_disk", DIM, index="diskann")
    store.upsert(numbered(1500), drawn(1500))
    with pytest.raises(StoreError, match=r"does not build the index DISKANN.*\(index=hnsw\)"):
        store.optimize()
    assert ids(store.search(drawn(1), 1)[0]) == ["00000"]
    MilvusStore.drop(connection, "index_disk")


def test_a_collection_that_a_crash_left_without_an_index_gets_one(connection: Connection) -> None:
    name, store = "index_lost", emptied(connection, "index_lost")
    store.upsert(numbered(5), drawn(5))
    connection.call(lambda client: client.release_collection(name, timeout=60))
    connection.call(lambda client: client.drop_index(name, "embedding", timeout=60))
    assert current_kind(connection, name) is None
    again = MilvusStore.open(connection, name)
    assert current_kind(connection, name) == "FLAT"
    assert ids(again.search(drawn(2), 1)[1]) == ["00001"]


def test_what_someone_takes_out_of_memory_is_loaded_again(connection: Connection) -> None:
    """Meanwhile nobody is told that there is nothing, as Milvus itself does."""
    store = emptied(connection, "index_lost")
    store.upsert(numbered(5), drawn(5))
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            assert store.count() == 5
            assert len(store.search(drawn(1), 9)[0]) == 5
            assert len(store.get(["00001", "00002"])) == 2

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        for _ in range(2):
            connection.call(lambda client: client.release_collection("index_lost", timeout=60))
            assert store.count() == 5
        done.set()
        for each in reading:
            each.result()
