"""Indexing on Ray clusters into a collection of a Milvus server; workers write."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from imagefinder import ImageFinder, IndexReport
from imagefinder.testing import FakeEmbedder
from tests.milvus_server import Server
from tests.pictures import picture, touch_later, write_pictures
from tests.ray_cluster import ROOT, add_node, kill_node, kill_worker
from tests.ray_models import Watched, worked
from tests.ray_runs import MANY, at, contents, index_here, only

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.milvus,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray warns of itself
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and leaves its processes' pipes open
]


@pytest.fixture
def where(milvus_address: str) -> str:
    return f"milvus://{milvus_address}/d{uuid4().hex[:8]}"


def written(report: IndexReport) -> int:
    return report.images


def test_workers_make_the_same_collection(ray_nodes: "Cluster", where: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, [f"{number}.png" for number in range(20)])
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    with ImageFinder.open(where, embedder=FakeEmbedder()) as finder:
        first = finder.index(folder, ray=ray_nodes.address, id_prefix="x/")
        assert first.counts() == only(added=20, ignored=1, skipped=1)
        assert [one.id for one in first.problems] == ["x/bad.jpg"]
        assert finder.skipped() == first.problems
        picture(99).save(folder / "3.png")
        touch_later(folder / "3.png")
        touch_later(folder / "4.png")
        (folder / "5.png").rename(folder / "moved.png")
        (folder / "copy.png").write_bytes((folder / "6.png").read_bytes())
        (folder / "7.png").unlink()
        second = finder.index(folder, ray=ray_nodes.address, id_prefix="x/", prune=True)
        assert second.counts() == only(
            added=1, updated=1, unchanged=17, renamed=1, removed=1, ignored=1, skipped=1
        )
        found = contents(finder)
    with ImageFinder.open(tmp_path / "here", embedder=FakeEmbedder()) as finder:
        finder.index(folder, id_prefix="x/")
        assert found == contents(finder)


def test_the_death_of_a_worker_and_of_a_machine_loses_nothing(
    ray_nodes: "Cluster", where: str, many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    node = add_node(ray_nodes, 2)
    killed = list[int]()

    def kill() -> None:
        killed.append(kill_worker(worker_notes))
        kill_node(ray_nodes, node)

    with ImageFinder.open(where, embedder=Watched(worker_notes, 0.02)) as finder:
        report = finder.index(
            many_pictures, ray=ray_nodes.address, on_progress=at(0.2, written, kill)
        )
        found = contents(finder)
        assert len(finder) == MANY
    assert killed
    assert report.counts() == only(added=MANY)
    assert found == index_here(many_pictures, tmp_path / "here")


def test_a_driver_that_is_killed_half_way_goes_on_later(
    ray_nodes: "Cluster", where: str, many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from imagefinder import ImageFinder
from tests.ray_models import Watched

def kill(report):
    if report.added >= {0.3 * MANY}:
        os.kill(os.getpid(), signal.SIGKILL)

with ImageFinder.open({where!r}, embedder=Watched(Path({str(worker_notes)!r}), 0.02)) as finder:
    finder.index({str(many_pictures)!r}, ray={ray_nodes.address!r}, on_progress=kill)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with ImageFinder.open(where, embedder=Watched(worker_notes)) as finder:
        kept = len(finder)
        assert 0.3 * MANY <= kept < MANY
        report = finder.index(many_pictures, ray=ray_nodes.address)
        assert report.skipped == report.updated == report.removed == 0
        assert report.added + report.unchanged == MANY
        assert report.unchanged >= kept - 2 * 64  # of those, some may have been in doubt
        assert contents(finder) == index_here(many_pictures, tmp_path / "here")


def test_a_server_that_is_killed_half_way_and_comes_back_is_waited_for(
    ray_nodes: "Cluster",
    new_server: Server,
    many_pictures: Path,
    worker_notes: Path,
    tmp_path: Path,
) -> None:
    restarts = list[Server]()

    def restart() -> None:
        new_server.kill()
        restarts.append(new_server.start())

    where = f"milvus://{new_server.address}/photos"
    with ImageFinder.open(where, embedder=Watched(worker_notes, 0.05)) as finder:
        report = finder.index(
            many_pictures, ray=ray_nodes.address, on_progress=at(0.2, written, restart)
        )
        assert restarts
        assert report.counts() == only(added=MANY)
        assert contents(finder) == index_here(many_pictures, tmp_path / "here")
    assert sum(worked(worker_notes).values()) >= MANY
