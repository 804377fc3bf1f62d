"""A worker with a collection that it writes, without a cluster. The collection is a directory."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from imagefinder import DecodeLimits, ImageFinder
from imagefinder.distributed import bench, worker
from imagefinder.distributed.foreman import Foreman, ForemanActor
from imagefinder.distributed.recipe import Answer, Recipe, packed
from imagefinder.distributed.worker import Worker
from imagefinder.errors import ModelMismatchError, StoreError
from imagefinder.home import ClusterPlace, find_place
from imagefinder.ingest.examine import Embedded
from imagefinder.ingest.triage import Todo
from imagefinder.sources import open_source
from imagefinder.testing import FAKE, FakeEmbedder
from imagefinder.types import ImageRef
from tests.pictures import write_pictures


class Here(ForemanActor):
    """A foreman without an actor."""

    def stops(self) -> bool:
        return self.begin("", -1) == "stop"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """What is indexed already, and five more: one a copy, one that is no image."""
    folder = tmp_path / "photos"
    write_pictures(folder, ["old.png"])
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(folder)
    write_pictures(folder, ["a.png", "b.png", "c.png"], first=1)
    (folder / "copy.png").write_bytes((folder / "old.png").read_bytes())
    (folder / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worker]:
    monkeypatch.setattr(worker, "whoami", lambda: ("worker 7 on here", "node"))
    monkeypatch.setattr(bench, "ASKING", 0.0)

    def made(foreman: Here, fingerprint: str = FAKE.fingerprint) -> Worker:
        recipe = Recipe(
            FAKE.name,
            FAKE.name,
            fingerprint,
            DecodeLimits(),
            "node",
            place=cast("ClusterPlace", find_place(tmp_path / "c")),
            own=FakeEmbedder(),
            source=1,
        )
        return Worker(recipe, cast("Foreman", foreman), "round")

    return made


def parcels(photos: Path) -> list[bytes]:
    refs = (ref for ref in open_source(photos).items() if isinstance(ref, ImageRef))
    return [packed(Todo(ref, None)) for ref in refs if ref.id != "old.png"]


def answered(at: Worker, given: list[bytes]) -> Answer:
    answer = at.answer(range(10, 10 + len(given)), given)
    if at._bench is not None and at._bench.collection is not None:
        at._bench.collection.close()
    return answer


def test_new_images_are_written_and_copies_are_the_drivers(
    at_work: Callable[..., Worker], photos: Path, tmp_path: Path
) -> None:
    answer = answered(at_work(Here()), parcels(photos))
    assert answer.done == (10, 11, 12, 13, 14)
    assert answer.block == 10
    assert not answer.stopped
    assert (answer.written.added, answer.written.skipped) == (3, 1)
    assert [one.id for one in answer.skipped] == ["bad.png"]
    (copy,) = answer.outcomes
    assert isinstance(copy, Embedded)
    assert (copy.ref.id, copy.twin, copy.renamed_from) == ("copy.png", "old.png", None)
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        assert [record.id for record in finder.images()] == ["a.png", "b.png", "c.png", "old.png"]
        assert [one.id for one in finder.skipped()] == ["bad.png"]


def test_a_block_that_is_done_again_is_the_same_again(
    at_work: Callable[..., Worker], photos: Path, tmp_path: Path
) -> None:
    answered(at_work(Here()), parcels(photos))
    again = answered(at_work(Here()), parcels(photos))
    assert again.done == (10, 11, 12, 13, 14)
    assert again.written.added == 0  # they are copies of themselves, which the driver writes
    assert sorted(one.ref.id for one in again.outcomes) == ["a.png", "b.png", "c.png", "copy.png"]
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        assert len(finder) == 4


def test_a_run_that_stops_half_way_keeps_what_was_begun(
    at_work: Callable[..., Worker], photos: Path, tmp_path: Path
) -> None:
    class Stopping(Here):
        asked = 0

        def stops(self) -> bool:
            self.asked += 1
            return self.asked > 2

    answer = answered(at_work(Stopping()), parcels(photos))
    assert answer.stopped
    assert answer.done == (10, 11)
    assert answer.written.added + answer.written.skipped == 2
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        assert len(finder) + len(finder.skipped()) == 3


def test_a_block_that_killed_two_comes_back(at_work: Callable[..., Worker], photos: Path) -> None:
    foreman = Here()
    assert [foreman.begin("round", 10) for _ in range(2)] == ["work", "work"]
    answer = answered(at_work(foreman), parcels(photos))
    assert (answer.back, answer.done, answer.outcomes) == ((10, 11, 12, 13, 14), (), ())


def test_a_run_that_is_to_stop_begins_nothing(at_work: Callable[..., Worker], photos: Path) -> None:
    foreman = Here()
    foreman.stop()
    answer = answered(at_work(foreman), parcels(photos))
    assert answer.stopped
    assert not answer.done


def test_a_store_that_is_away_is_waited_for(
    at_work: Callable[..., Worker], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "sleep", lambda _: None)
    opening, tried = bench.open_bench, list[int]()

    def away_at_first(recipe: Recipe, node: str) -> bench.Bench:
        tried.append(1)
        if len(tried) < 4:
            raise StoreError("nobody answers")
        return opening(recipe, node)

    monkeypatch.setattr(worker, "open_bench", away_at_first)
    assert answered(at_work(Here()), parcels(photos)).written.added == 3
    tried[:] = []
    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    answer = answered(at_work(Here()), parcels(photos))
    assert answer.trouble is not None
    assert isinstance(answer.trouble.error(), StoreError)
    assert str(answer.trouble.error()) == "worker 7 on here: nobody answers"
    assert len(tried) == 1


def test_another_version_of_the_model_is_trouble(
    at_work: Callable[..., Worker], photos: Path
) -> None:
    answer = answered(at_work(Here(), fingerprint="another"), parcels(photos))
    assert answer.trouble is not None
    assert isinstance(answer.trouble.error(), ModelMismatchError)
    assert "worker 7 on here: fake: another version of the model" in answer.trouble.message
    assert not answer.done
