"""An embedded store with some images, for the tests of what lies beyond the contract."""

from pathlib import Path

from imagefinder.stores.embedded import EmbeddedStore
from tests.store_contract import DIM, drawn, numbered

COUNT = 300


def filled(path: Path) -> EmbeddedStore:
    """A new store that holds COUNT images."""
    store = EmbeddedStore.create(path, DIM)
    store.upsert(numbered(COUNT), drawn(COUNT))
    return store


def reopened(store: EmbeddedStore, path: Path) -> EmbeddedStore:
    store.close()
    return EmbeddedStore.open(path)
