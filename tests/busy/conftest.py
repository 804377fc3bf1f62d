"""A service of a small collection whose model waits for the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.busy.service import (
    Ask,
    Model,
    Serve,
    asking,
    make_collection,
    one_core,
    starting,
)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("indexed"))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    one_core(monkeypatch)
    return Model()


@pytest.fixture
def serve(tmp_path: Path, collection: Path, model: Model) -> Iterator[Serve]:
    with starting(tmp_path, collection, model) as start:
        yield start


@pytest.fixture
def ask() -> Iterator[Ask]:
    with asking() as send:
        yield send
