"""Indexing on Ray clusters into a collection of a Milvus server; workers write."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from imagefinder import ImageFinder, IndexReport
from imagefinder.testing import FakeEmbedder
from tests.milvus_server import Server
from tests.pictures import picture, touch_later, write_pictures
from tests.ray_cluster import ROOT, add_node, kill_node, kill_worker, ray_cluster
from tests.ray_models import Watched, worked

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.milvus,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray warns of itself
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and leaves its processes' pipes open
]

MANY = 160


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    """A head that does no work, and two nodes."""
    with ray_cluster(0, 2, 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    write_pictures(folder, [f"{number:03}.png" for number in range(MANY)])
    return folder


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where the models of this test's workers say what they do."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def where(milvus_address: str) -> str:
    return f"milvus://{milvus_address}/d{uuid4().hex[:8]}"


def contents(finder: ImageFinder) -> dict[str, tuple[object, bytes]]:
    """Everything that a collection holds of its images."""
    return {record.id: (record, row.tobytes()) for record, row in finder.embedded()}


def index_here(folder: Path, collection: Path) -> dict[str, tuple[object, bytes]]:
    """What one process makes of the folder."""
    with ImageFinder.open(collection, embedder=FakeEmbedder()) as finder:
        finder.index(folder)
        return contents(finder)


def only(**counts: int) -> dict[str, int]:
    return {**IndexReport().counts(), **counts}


def at(share: float, act: Callable[[], object]) -> Callable[[IndexReport], None]:
    """Act once, when so much of the many images is written."""
    todo = [act]

    def on_progress(report: IndexReport) -> None:
        if todo and report.images >= share * MANY:
            todo.pop()()

    return on_progress


def test_workers_make_the_same_collection(cluster: "Cluster", where: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, [f"{number}.png" for number in range(20)])
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    with ImageFinder.open(where, embedder=FakeEmbedder()) as finder:
        first = finder.index(folder, ray=cluster.address, id_prefix="x/")
        assert first.counts() == only(added=20, ignored=1, skipped=1)
        assert [one.id for one in first.problems] == ["x/bad.jpg"]
        assert finder.skipped() == first.problems
        picture(99).save(folder / "3.png")
        touch_later(folder / "3.png")
        touch_later(folder / "4.png")
        (folder / "5.png").rename(folder / "moved.png")
        (folder / "copy.png").write_bytes((folder / "6.png").read_bytes())
        (folder / "7.png").unlink()
        second = finder.index(folder, ray=cluster.address, id_prefix="x/", prune=True)
        assert second.counts() == only(
            added=1, updated=1, unchanged=17, renamed=1, removed=1, ignored=1, skipped=1
        )
        found = contents(finder)
    with ImageFinder.open(tmp_path / "here", embedder=FakeEmbedder()) as finder:
        finder.index(folder, id_prefix="x/")
        assert found == contents(finder)


def test_the_death_of_a_worker_and_of_a_machine_loses_nothing(
    cluster: "Cluster", where: str, many: Path, notes: Path, tmp_path: Path
) -> None:
    node = add_node(cluster, 2)
    killed = list[int]()

    def kill() -> None:
        killed.append(kill_worker(notes))
        kill_node(cluster, node)

    with ImageFinder.open(where, embedder=Watched(notes, 0.02)) as finder:
        report = finder.index(many, ray=cluster.address, on_progress=at(0.2, kill))
        found = contents(finder)
        assert len(finder) == MANY
    assert killed
    assert report.counts() == only(added=MANY)
    assert found == index_here(many, tmp_path / "here")


def test_a_driver_that_is_killed_half_way_goes_on_later(
    cluster: "Cluster", where: str, many: Path, notes: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from imagefinder import ImageFinder
from tests.ray_models import Watched

def kill(report):
    if report.added >= {0.3 * MANY}:
        os.kill(os.getpid(), signal.SIGKILL)

with ImageFinder.open({where!r}, embedder=Watched(Path({str(notes)!r}), 0.02)) as finder:
    finder.index({str(many)!r}, ray={cluster.address!r}, on_progress=kill)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with ImageFinder.open(where, embedder=Watched(notes)) as finder:
        kept = len(finder)
        assert 0.3 * MANY <= kept < MANY
        report = finder.index(many, ray=cluster.address)
        assert report.skipped == report.updated == report.removed == 0
        assert report.added + report.unchanged == MANY
        assert report.unchanged >= kept - 2 * 64  # of those, some may have been in doubt
        assert contents(finder) == index_here(many, tmp_path / "here")


def test_a_server_that_is_killed_half_way_and_comes_back_is_waited_for(
    cluster: "Cluster", new_server: Server, many: Path, notes: Path, tmp_path: Path
) -> None:
    restarts = list[Server]()

    def restart() -> None:
        new_server.kill()
        restarts.append(new_server.start())

    where = f"milvus://{new_server.address}/photos"
    with ImageFinder.open(where, embedder=Watched(notes, 0.05)) as finder:
        report = finder.index(many, ray=cluster.address, on_progress=at(0.2, restart))
        assert restarts
        assert report.counts() == only(added=MANY)
        assert contents(finder) == index_here(many, tmp_path / "here")
    assert sum(worked(notes).values()) >= MANY
