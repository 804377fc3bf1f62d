"""Indexing on Ray clusters of several nodes; the driver writes, the collection is a directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from imagefinder import DecodeLimits, ImageFinder, IndexReport, Skipped
from imagefinder.distributed import connected, distributed
from imagefinder.distributed.crew import Crew
from imagefinder.errors import ImageFinderError
from imagefinder.home import Place
from imagefinder.stores.ledger import SpaceEntry
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, touch_later, write_pictures
from tests.ray_cluster import ROOT, add_node, kill_node, kill_worker, ray_cluster
from tests.ray_models import DEADLY, OnCard, Watched, worked
from tests.toy_models import write_model

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
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


def at(share: float, notes: Path, act: Callable[[], object]) -> Callable[[IndexReport], None]:
    """Act once, when workers have looked at so much of the many images."""
    todo = [act]

    def on_progress(_: IndexReport) -> None:
        if todo and sum(worked(notes).values()) >= share * MANY:
            todo.pop()()

    return on_progress


def test_a_cluster_makes_the_same_collection(cluster: "Cluster", tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    names = [f"{number}.png" for number in range(20)]
    write_pictures(folder, [*names, "trip/a.webp", "trip/b.jpg"])
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    runs = list[list[dict[str, int]]]()
    kept = list[dict[str, tuple[object, bytes]]]()
    skips = list[list[Skipped]]()
    for name, ray in (("here", None), ("there", cluster.address)):
        write_pictures(folder, ["3.png", "4.png"], first=3)
        moved = folder / "moved.png"
        with ImageFinder.open(tmp_path / name, embedder=FakeEmbedder()) as finder:
            told = list[Skipped]()
            counts = [
                finder.index(folder, ray=ray, exclude=["trip/"], on_skipped=told.append).counts(),
                finder.index(folder, ray=ray).counts(),
            ]
            picture(99).save(folder / "3.png")
            touch_later(folder / "3.png")
            touch_later(folder / "4.png")
            (folder / "5.png").rename(moved)
            (folder / "copy.png").write_bytes((folder / "6.png").read_bytes())
            (folder / "7.png").unlink()
            counts.append(finder.index(folder, ray=ray, prune=True).counts())
            runs.append(counts)
            kept.append(contents(finder))
            skips.append([*told, *finder.skipped()])
        moved.rename(folder / "5.png")
        (folder / "copy.png").unlink()
        write_pictures(folder, ["7.png"], first=7)
    assert runs[0] == runs[1]
    assert runs[1][0] == only(added=20, ignored=1, skipped=1)
    assert runs[1][2] == only(
        added=1, updated=1, unchanged=19, renamed=1, removed=1, ignored=1, skipped=1
    )
    assert kept[0].keys() == kept[1].keys()
    for id, (record, row) in kept[0].items():
        assert kept[1][id][1] == row, id
        if id not in {"3.png", "4.png", "5.png", "moved.png", "copy.png"}:  # written anew
            assert kept[1][id][0] == record
    assert skips[0] == skips[1]


def test_a_worker_that_is_killed_half_way_loses_nothing(
    cluster: "Cluster", many: Path, notes: Path, tmp_path: Path
) -> None:
    killed = list[int]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(notes, 0.02)) as finder:
        report = finder.index(
            many,
            ray=cluster.address,
            on_progress=at(0.4, notes, lambda: killed.append(kill_worker(notes))),
        )
        found = contents(finder)
    assert report.counts() == only(added=MANY)
    assert found == index_here(many, tmp_path / "here")
    assert killed
    assert 0 < worked(notes)[killed[0]] < MANY  # it was no one who had not begun, or did it all


def test_a_machine_that_goes_away_half_way_loses_nothing(
    cluster: "Cluster", many: Path, notes: Path, tmp_path: Path
) -> None:
    node = add_node(cluster, 2)
    gone = list[object]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(notes, 0.02)) as finder:
        report = finder.index(
            many,
            ray=cluster.address,
            on_progress=at(0.4, notes, lambda: gone.append(kill_node(cluster, node))),
        )
        found = contents(finder)
    assert gone
    assert report.counts() == only(added=MANY)
    assert found == index_here(many, tmp_path / "here")


def test_an_image_that_kills_its_workers_is_skipped_and_nothing_else(
    cluster: "Cluster", notes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, [f"{number:02}.png" for number in range(96)])
    Image.new("RGB", (40, 30), DEADLY).save(folder / "13.png")
    told = list[Skipped]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(notes)) as finder:
        report = finder.index(folder, ray=cluster.address, workers=2, on_skipped=told.append)
        assert report.counts() == only(added=95, skipped=1)
        assert [one.id for one in told] == ["13.png"]
        assert "its worker died each time" in told[0].reason
        assert finder.skipped() == told
        assert len(finder) == 95
        deaths = len((notes / "deaths").read_text().splitlines())
        assert deaths == 4  # two in a block of 3, and two of the image alone
        again = finder.index(folder, ray=cluster.address)  # it is tried again
        assert again.counts() == only(unchanged=95, skipped=1)


def test_a_run_that_is_told_to_stop_keeps_what_is_done_and_goes_on_later(
    cluster: "Cluster", many: Path, notes: Path, tmp_path: Path
) -> None:
    stop = Event()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(notes, 0.2)) as finder:
        first = finder.index(
            many, ray=cluster.address, stop=stop, on_progress=at(0.3, notes, stop.set)
        )
        assert first.interrupted
        assert 0.3 * MANY <= first.added < MANY
        assert len(finder) == first.added
        # every image that a worker looked at was kept: they finished what they were at
        assert sum(worked(notes).values()) == first.added
        second = finder.index(many, ray=cluster.address)
        assert second.counts() == only(unchanged=first.added, added=MANY - first.added)
        assert contents(finder) == index_here(many, tmp_path / "here")


def test_workers_may_take_every_cpu(many: Path, notes: Path, tmp_path: Path) -> None:
    """Of a single machine with a single one, too."""
    opened = ImageFinder.open(tmp_path / "c", embedder=Watched(notes))
    with ray_cluster(1) as cluster, opened as finder:
        assert finder.index(many, ray=cluster.address).added == MANY
    assert len(worked(notes)) == 1


def test_a_machine_goes_away_where_all_are_full(many: Path, notes: Path, tmp_path: Path) -> None:
    """Its worker has nowhere to start again until another one has no more to do."""
    with ray_cluster(1) as cluster:
        node = add_node(cluster, 1)
        with ImageFinder.open(tmp_path / "c", embedder=Watched(notes, 0.02)) as finder:
            report = finder.index(
                many,
                ray=cluster.address,
                on_progress=at(0.4, notes, lambda: kill_node(cluster, node)),
            )
    assert report.added == MANY
    assert len(worked(notes)) >= 2


def test_a_driver_that_is_killed_half_way_goes_on_later(
    cluster: "Cluster", many: Path, notes: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from imagefinder import ImageFinder
from tests.ray_models import Watched

def kill(report):
    if report.added:
        os.kill(os.getpid(), signal.SIGKILL)

with ImageFinder.open({str(tmp_path / "c")!r}, embedder=Watched(Path({str(notes)!r}), 0.1)) as f:
    f.index({str(many)!r}, ray={cluster.address!r}, on_progress=kill)
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with ImageFinder.open(tmp_path / "c", embedder=Watched(notes)) as finder:
        kept = len(finder)
        assert 0 < kept < MANY
        report = finder.index(many, ray=cluster.address)
        assert report.counts() == only(unchanged=kept, added=MANY - kept)
        assert contents(finder) == index_here(many, tmp_path / "here")


def test_a_model_that_a_machine_does_not_have_ends_the_run_with_words(
    cluster: "Cluster", many: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "toy")
    with ImageFinder.open(tmp_path / "c", model=str(model)) as finder:
        finder.index(many, sample=1)
        model.rename(tmp_path / "elsewhere")  # loaded here, and gone for the others
        with pytest.raises(ImageFinderError, match=r"worker \d+ on .*: there is no such folder"):
            finder.index(many, ray=cluster.address)
        assert len(finder) == 1


def test_nobody_answers_at_an_address(many: Path, tmp_path: Path) -> None:
    opened = ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder())
    nobody = r"127\.0\.0\.1:9: no Ray cluster answers there .*; start one: ray start --head"
    with opened as finder, pytest.raises(ImageFinderError, match=nobody):
        finder.index(many, ray="127.0.0.1:9")
    assert not (tmp_path / "c").exists()


def test_a_graphics_card_is_for_models_that_compute_on_it(notes: Path, tmp_path: Path) -> None:
    with ray_cluster(0) as cluster:
        add_node(cluster, 4, gpus=2)
        with connected(cluster.address) as connection:
            for model, found in [
                (Watched(notes), Crew(4, 1)),
                (OnCard(notes), Crew(2, 2, 1, "cuda")),
            ]:
                spec = model.spec
                work = distributed(
                    connection,
                    SpaceEntry(spec.name, spec.fingerprint, spec.dim, spec.name, "cosine"),
                    place=Place("c", tmp_path),
                    own=model,
                    device="auto",
                    limits=DecodeLimits(),
                )
                assert work.crew == found
                assert (work.recipe.device, work.recipe.threads) == (found.device, found.cpus)
