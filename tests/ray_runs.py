"""What tests of indexing on Ray share: many pictures, what workers did, what is in a collection."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagefinder import ImageFinder, IndexReport
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures

MANY = 160


@pytest.fixture(scope="session")
def many_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MANY of them."""
    folder = tmp_path_factory.mktemp("many")
    write_pictures(folder, [f"{number:03}.png" for number in range(MANY)])
    return folder


@pytest.fixture
def worker_notes(tmp_path: Path) -> Path:
    """Where the models of a test's workers say what they do."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Of Ray Data's. One that asks for an object when we have let go of the cluster is connected to
    it anew, by Ray itself, and then this process dies a minute after the cluster."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def contents(finder: ImageFinder) -> dict[str, tuple[object, bytes]]:
    """Everything that a collection holds of its images."""
    return {record.id: (record, row.tobytes()) for record, row in finder.embedded()}


def index_here(folder: Path, collection: Path) -> dict[str, tuple[object, bytes]]:
    """What one process makes of the folder."""
    with ImageFinder.open(collection, embedder=FakeEmbedder()) as finder:
        finder.index(folder)
        return contents(finder)


def only(**counts: int) -> dict[str, int]:
    """The counts of a run that counted nothing else."""
    return {**IndexReport().counts(), **counts}


def at(
    share: float, done: Callable[[IndexReport], int], act: Callable[[], object]
) -> Callable[[IndexReport], None]:
    """Act once, when so much of the many images is done."""
    todo = [act]

    def on_progress(report: IndexReport) -> None:
        if todo and done(report) >= share * MANY:
            todo.pop()()

    return on_progress
