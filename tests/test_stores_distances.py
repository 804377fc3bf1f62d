"""What the exact and the embedded store promise for each distance, beside the contract of all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefinder.errors import CollectionDamagedError
from imagefinder.protocols import VectorStore
from imagefinder.stores import embedded, embedded_schema, embedded_search
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.exact import ExactStore
from imagefinder.types import Distance
from tests.embedded_stores import reopened
from tests.store_contract import DIM, drawn, ids, numbered, record, unit
from tests.store_distances import COUNT, DistanceContract, as_given, each_distance, spread


@pytest.fixture
def indexed(
    distance: Distance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedStore]:
    """An empty one that goes by its graph, once it has one, however small it is."""
    monkeypatch.setattr(embedded, "EXACT_BELOW", 0)
    store = EmbeddedStore.create(tmp_path / "space", DIM, distance)
    yield store
    store.close()


class TestExactStore(DistanceContract):
    @pytest.fixture
    def store(self, distance: Distance) -> VectorStore:
        return ExactStore(DIM, distance)


class TestEmbeddedStore(DistanceContract):
    @pytest.fixture
    def store(self, indexed: EmbeddedStore) -> VectorStore:
        return indexed


@as_given
def test_a_tie_of_more_than_a_page_is_looked_through(
    indexed: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_search, "MAX_PAGE", 20)
    twin = unit(drawn(1) + 0.2 * drawn(1, seed=8))
    indexed.upsert(numbered(60)[::-1], np.repeat(twin, 60, axis=0))
    indexed.upsert([record("best")], 2 * drawn(1))
    hits = indexed.search(2 * drawn(1), 8)[0]
    assert ids(hits) == ["best", *(f"{number:05}" for number in range(7))]


@each_distance
def test_a_space_keeps_its_distance(tmp_path: Path, distance: Distance) -> None:
    path = tmp_path / "space"
    store = EmbeddedStore.create(path, DIM, distance)
    rows = spread(COUNT)
    store.upsert(numbered(COUNT), rows)
    hits = store.search(rows[:3], 5)
    for _ in range(2):
        assert store.distance == distance
        assert store.search(rows[:3], 5) == hits
        store = reopened(store, path)
        assert store.search(rows[:3], 5) == hits
        store.optimize()
        store = reopened(store, path)
    store.close()


def test_a_space_is_made_for_cosine(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path / "space", DIM)
    assert store.distance == ExactStore(DIM).distance == "cosine"
    store.close()


def test_a_distance_of_a_later_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddedStore.create(tmp_path / "space", DIM, "dot").close()
    monkeypatch.delitem(embedded_schema.METRICS, "dot")
    with pytest.raises(CollectionDamagedError, match=r"compares embeddings in a way .* update"):
        EmbeddedStore.open(tmp_path / "space")
