"""Indexing on Ray clusters of several nodes; the driver writes, the collection is a directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from imagefinder import DecodeLimits, ImageFinder, Skipped
from imagefinder.distributed import connected, distributed
from imagefinder.distributed.crew import Crew
from imagefinder.errors import ImageFinderError
from imagefinder.home import Place
from imagefinder.stores.ledger import SpaceEntry
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, touch_later, write_pictures
from tests.ray_cluster import ROOT, add_node, kill_node, kill_worker, ray_cluster
from tests.ray_models import DEADLY, OnCard, Watched, worked
from tests.ray_runs import MANY, at, contents, index_here, only
from tests.toy_models import write_model

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray warns of itself
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and leaves its processes' pipes open
]


def looked_at(notes: Path) -> Callable[[object], int]:
    """How many of the images workers have looked at."""
    return lambda _: sum(worked(notes).values())


def test_a_cluster_makes_the_same_collection(ray_nodes: "Cluster", tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    names = [f"{number}.png" for number in range(20)]
    write_pictures(folder, [*names, "trip/a.webp", "trip/b.jpg"])
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    runs = list[list[dict[str, int]]]()
    kept = list[dict[str, tuple[object, bytes]]]()
    skips = list[list[Skipped]]()
    for name, ray in (("here", None), ("there", ray_nodes.address)):
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
    ray_nodes: "Cluster", many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    killed = list[int]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes, 0.02)) as finder:
        report = finder.index(
            many_pictures,
            ray=ray_nodes.address,
            on_progress=at(
                0.4, looked_at(worker_notes), lambda: killed.append(kill_worker(worker_notes))
            ),
        )
        found = contents(finder)
    assert report.counts() == only(added=MANY)
    assert found == index_here(many_pictures, tmp_path / "here")
    assert killed
    assert (
        0 < worked(worker_notes)[killed[0]] < MANY
    )  # it was no one who had not begun, or did it all


def test_a_machine_that_goes_away_half_way_loses_nothing(
    ray_nodes: "Cluster", many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    node = add_node(ray_nodes, 2)
    gone = list[object]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes, 0.02)) as finder:
        report = finder.index(
            many_pictures,
            ray=ray_nodes.address,
            on_progress=at(
                0.4, looked_at(worker_notes), lambda: gone.append(kill_node(ray_nodes, node))
            ),
        )
        found = contents(finder)
    assert gone
    assert report.counts() == only(added=MANY)
    assert found == index_here(many_pictures, tmp_path / "here")


def test_an_image_that_kills_its_workers_is_skipped_and_nothing_else(
    ray_nodes: "Cluster", worker_notes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    write_pictures(folder, [f"{number:02}.png" for number in range(96)])
    Image.new("RGB", (40, 30), DEADLY).save(folder / "13.png")
    told = list[Skipped]()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes)) as finder:
        report = finder.index(folder, ray=ray_nodes.address, workers=2, on_skipped=told.append)
        assert report.counts() == only(added=95, skipped=1)
        assert [one.id for one in told] == ["13.png"]
        assert "its worker died each time" in told[0].reason
        assert finder.skipped() == told
        assert len(finder) == 95
        deaths = len((worker_notes / "deaths").read_text().splitlines())
        assert deaths == 4  # two in a block of 3, and two of the image alone
        again = finder.index(folder, ray=ray_nodes.address)  # it is tried again
        assert again.counts() == only(unchanged=95, skipped=1)


def test_a_run_that_is_told_to_stop_keeps_what_is_done_and_goes_on_later(
    ray_nodes: "Cluster", many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    stop = Event()
    with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes, 0.2)) as finder:
        first = finder.index(
            many_pictures,
            ray=ray_nodes.address,
            stop=stop,
            on_progress=at(0.3, looked_at(worker_notes), stop.set),
        )
        assert first.interrupted
        assert 0.3 * MANY <= first.added < MANY
        assert len(finder) == first.added
        # every image that a worker looked at was kept: they finished what they were at
        assert sum(worked(worker_notes).values()) == first.added
        second = finder.index(many_pictures, ray=ray_nodes.address)
        assert second.counts() == only(unchanged=first.added, added=MANY - first.added)
        assert contents(finder) == index_here(many_pictures, tmp_path / "here")


def test_workers_may_take_every_cpu(
    many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    """Of a single machine with a single one, too."""
    opened = ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes))
    with ray_cluster(1) as cluster, opened as finder:
        assert finder.index(many_pictures, ray=cluster.address).added == MANY
    assert len(worked(worker_notes)) == 1


def test_a_machine_goes_away_where_all_are_full(
    many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    """Its worker has nowhere to start again until another one has no more to do."""
    with ray_cluster(1) as cluster:
        node = add_node(cluster, 1)
        with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes, 0.02)) as finder:
            report = finder.index(
                many_pictures,
                ray=cluster.address,
                on_progress=at(0.4, looked_at(worker_notes), lambda: kill_node(cluster, node)),
            )
    assert report.added == MANY
    assert len(worked(worker_notes)) >= 2


def test_a_driver_that_is_killed_half_way_goes_on_later(
    ray_nodes: "Cluster", many_pictures: Path, worker_notes: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from imagefinder import ImageFinder
from tests.ray_models import Watched

def kill(report):
    if report.added:
        os.kill(os.getpid(), signal.SIGKILL)

model = Watched(Path({str(worker_notes)!r}), 0.1)
with ImageFinder.open({str(tmp_path / "c")!r}, embedder=model) as f:
    f.index({str(many_pictures)!r}, ray={ray_nodes.address!r}, on_progress=kill)
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with ImageFinder.open(tmp_path / "c", embedder=Watched(worker_notes)) as finder:
        kept = len(finder)
        assert 0 < kept < MANY
        report = finder.index(many_pictures, ray=ray_nodes.address)
        assert report.counts() == only(unchanged=kept, added=MANY - kept)
        assert contents(finder) == index_here(many_pictures, tmp_path / "here")


def test_a_model_that_a_machine_does_not_have_ends_the_run_with_words(
    ray_nodes: "Cluster", many_pictures: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "toy")
    with ImageFinder.open(tmp_path / "c", model=str(model)) as finder:
        finder.index(many_pictures, sample=1)
        model.rename(tmp_path / "elsewhere")  # loaded here, and gone for the others
        with pytest.raises(ImageFinderError, match=r"worker \d+ on .*: there is no such folder"):
            finder.index(many_pictures, ray=ray_nodes.address)
        assert len(finder) == 1


def test_nobody_answers_at_an_address(many_pictures: Path, tmp_path: Path) -> None:
    opened = ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder())
    nobody = r"127\.0\.0\.1:9: no Ray cluster answers there .*; start one: ray start --head"
    with opened as finder, pytest.raises(ImageFinderError, match=nobody):
        finder.index(many_pictures, ray="127.0.0.1:9")
    assert not (tmp_path / "c").exists()


def test_a_graphics_card_is_for_models_that_compute_on_it(
    worker_notes: Path, tmp_path: Path
) -> None:
    with ray_cluster(0) as cluster:
        add_node(cluster, 4, gpus=2)
        with connected(cluster.address) as connection:
            for model, found in [
                (Watched(worker_notes), Crew(4, 1)),
                (OnCard(worker_notes), Crew(2, 2, 1, "cuda")),
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
