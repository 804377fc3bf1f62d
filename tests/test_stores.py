"""The exact and the embedded store, by one contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefinder.protocols import VectorStore
from imagefinder.stores import embedded
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.exact import ExactStore
from tests.store_contract import DIM, StoreContract


class TestExactStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[VectorStore]:
        store = ExactStore(DIM)
        yield store
        store.close()


class TestEmbeddedStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VectorStore]:
        """One that goes by its graph however small it is, unless a search is to be exact."""
        monkeypatch.setattr(embedded, "EXACT_BELOW", 0)
        store = EmbeddedStore.create(tmp_path / "space", DIM)
        yield store
        store.close()
