"""Indexing: incremental, complete, and without doubles."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder, Skipped, errors
from imagefinder.ahead import ahead
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, touch_later, write_pictures

Counts = dict[str, int]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    write_pictures(folder, ["a.png", "b.jpg", "trip/c.webp", "trip/day 2/d.png"])
    return folder


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def finder(tmp_path: Path, embedder: FakeEmbedder) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=embedder) as finder:
        yield finder


def only(**counts: int) -> Counts:
    names = ("added", "updated", "unchanged", "renamed", "removed", "ignored", "skipped")
    return {name: counts.get(name, 0) for name in names}


def test_a_folder_is_indexed_with_paths_as_ids(finder: ImageFinder, photos: Path) -> None:
    assert finder.index(photos).counts() == only(added=4)
    records = list(finder.images())
    assert [r.id for r in records] == ["a.png", "b.jpg", "trip/c.webp", "trip/day 2/d.png"]
    assert [r.uri for r in records] == [str(photos / r.id) for r in records]
    assert [r.format for r in records] == ["png", "jpeg", "webp", "png"]
    assert {(r.width, r.height) for r in records} == {(40, 30)}


def test_a_second_run_embeds_nothing(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    finder.index(photos)
    assert finder.index(photos).counts() == only(unchanged=4)
    assert embedder.calls == 4


def test_a_changed_file_is_updated(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    before = finder.get("a.png").sha256
    picture(99).save(photos / "a.png")
    touch_later(photos / "a.png")
    assert finder.index(photos).counts() == only(updated=1, unchanged=3)
    assert finder.get("a.png").sha256 != before
    assert finder.search(photos / "a.png", k=1)[0].id == "a.png"
    assert len(finder) == 4


def test_a_touched_file_is_not_embedded_again(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    finder.index(photos)
    touch_later(photos / "a.png")
    assert finder.index(photos).counts() == only(unchanged=4)
    assert embedder.calls == 4
    assert finder.get("a.png").mtime == pytest.approx((photos / "a.png").stat().st_mtime)


def test_a_renamed_file_keeps_its_embedding(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    finder.index(photos)
    (photos / "a.png").rename(photos / "trip" / "z.png")
    assert finder.index(photos).counts() == only(renamed=1, unchanged=3)
    assert embedder.calls == 4
    assert "a.png" not in finder
    assert finder.get("trip/z.png").uri == str(photos / "trip" / "z.png")
    assert [h.id for h in finder.search(photos / "trip" / "z.png", k=1)] == ["trip/z.png"]
    assert len(finder.search(photos / "trip" / "z.png", k=10)) == 4


def test_of_two_copies_of_a_renamed_file_one_is_the_renamed_one(
    finder: ImageFinder, photos: Path
) -> None:
    finder.index(photos)
    data = (photos / "a.png").read_bytes()
    (photos / "a.png").unlink()
    (photos / "x.png").write_bytes(data)
    (photos / "y.png").write_bytes(data)
    assert finder.index(photos).counts() == only(renamed=1, added=1, unchanged=3)
    assert sorted(r.id for r in finder.images()) == [
        "b.jpg",
        "trip/c.webp",
        "trip/day 2/d.png",
        "x.png",
        "y.png",
    ]


def test_a_copy_is_an_image_of_its_own(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    finder.index(photos)
    (photos / "copy.png").write_bytes((photos / "a.png").read_bytes())
    assert finder.index(photos).counts() == only(added=1, unchanged=4)
    assert embedder.calls == 4
    hits = finder.search("id:a.png", k=2)
    assert [h.id for h in hits] == ["a.png", "copy.png"]
    assert [h.score for h in hits] == [pytest.approx(1.0, abs=1e-5)] * 2


def test_files_that_are_no_images_are_ignored_and_bad_images_skipped(
    finder: ImageFinder, photos: Path
) -> None:
    (photos / "notes.txt").write_text("to do")
    (photos / "page.jpg").write_text("<html>not found</html>")
    (photos / "empty.png").write_bytes(b"")
    (photos / "cut.png").write_bytes((photos / "a.png").read_bytes()[:60])
    (photos / "no-extension").write_bytes((photos / "a.png").read_bytes())
    told: list[Skipped] = []
    report = finder.index(photos, on_skipped=told.append)
    assert report.counts() == only(added=5, ignored=1, skipped=3)
    assert [s.id for s in finder.skipped()] == ["cut.png", "empty.png", "page.jpg"]
    assert sorted(s.id for s in told) == ["cut.png", "empty.png", "page.jpg"]
    assert all(s.reason for s in finder.skipped())


def test_skipped_images_are_tried_again_when_they_change_or_when_asked(
    finder: ImageFinder, photos: Path
) -> None:
    bad = photos / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    finder.index(photos)
    told: list[Skipped] = []
    assert finder.index(photos, on_skipped=told.append).counts() == only(unchanged=4, skipped=1)
    assert told == []  # not looked at again
    finder.index(photos, on_skipped=told.append, retry_skipped=True)
    assert [s.id for s in told] == ["bad.png"]
    picture(7).save(bad)
    touch_later(bad)
    assert finder.index(photos).counts() == only(unchanged=4, added=1)
    assert finder.skipped() == []


def test_a_skipped_image_that_is_gone_is_forgotten(finder: ImageFinder, photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"")
    finder.index(photos)
    assert len(finder.skipped()) == 1
    (photos / "bad.png").unlink()
    finder.index(photos)
    assert finder.skipped() == []


def test_an_image_that_is_damaged_later_stays_findable(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    (photos / "a.png").write_bytes(b"")
    touch_later(photos / "a.png")
    assert finder.index(photos).counts() == only(unchanged=3, skipped=1)
    assert "a.png" in finder
    assert [s.id for s in finder.skipped()] == ["a.png"]


def test_prune_removes_what_is_gone(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    (photos / "a.png").unlink()
    assert finder.index(photos).counts() == only(unchanged=3)
    assert len(finder) == 4
    assert finder.index(photos, prune=True).counts() == only(unchanged=3, removed=1)
    assert "a.png" not in finder
    assert len(finder.search("id:b.jpg", k=10)) == 3


def test_prune_leaves_other_sources_alone(
    finder: ImageFinder, photos: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "other", ["o1.png", "o2.png"], first=50)
    finder.index(photos, tmp_path / "other")
    (photos / "a.png").unlink()
    finder.index(photos, prune=True)
    assert {"o1.png", "o2.png"} < {r.id for r in finder.images()}


def test_prune_refuses_when_more_than_half_would_go(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    for name in ("a.png", "b.jpg", "trip/c.webp"):
        (photos / name).unlink()
    with pytest.raises(errors.PruneRefusedError, match=r"3 of 4 images.*--prune=force"):
        finder.index(photos, prune=True)
    assert len(finder) == 4
    assert finder.index(photos, prune="force").counts() == only(unchanged=1, removed=3)


def test_prune_refuses_when_the_root_is_missing(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    photos.rename(photos.with_name("moved"))
    with pytest.raises(errors.SourceError, match="no such file or folder"):
        finder.index(photos, prune="force")
    assert len(finder) == 4


def test_prune_with_a_part_of_a_source_is_refused(finder: ImageFinder, photos: Path) -> None:
    with pytest.raises(errors.UsageError, match="whole sources"):
        finder.index(photos, prune=True, include=["*.png"])


def test_two_images_that_claim_one_id_never_overwrite_each_other(
    finder: ImageFinder, photos: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "phone", ["a.png", "new.png"], first=50)
    finder.index(photos)
    before = finder.get("a.png")
    report = finder.index(tmp_path / "phone")
    assert report.counts() == only(added=1, skipped=1)
    assert finder.get("a.png") == before
    (skipped,) = finder.skipped()
    assert "belongs to" in skipped.reason
    assert "--id-prefix" in skipped.reason
    report = finder.index(tmp_path / "phone", id_prefix="phone/")
    assert "phone/a.png" in finder


def test_an_empty_folder_and_one_without_images_are_failures(
    finder: ImageFinder, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.SourceError, match="empty"):
        finder.index(tmp_path / "empty")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text")
    with pytest.raises(errors.SourceError, match="no image"):
        finder.index(tmp_path / "texts")


def test_a_run_that_is_asked_to_stop_keeps_what_it_did(finder: ImageFinder, tmp_path: Path) -> None:
    write_pictures(tmp_path / "many", [f"{n:03}.png" for n in range(200)])
    stop = Event()
    seen = 0

    def stop_soon(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            stop.set()

    report = finder.index(tmp_path / "many", stop=stop, on_progress=stop_soon)
    assert report.interrupted
    assert 0 < report.added < 200
    assert len(finder) == report.added
    again = finder.index(tmp_path / "many")
    assert again.added + again.unchanged == 200
    assert again.unchanged == report.added


class FailsOn(FakeEmbedder):
    """Fails for every batch that holds a red picture."""

    def embed(self, tensors: np.ndarray) -> np.ndarray:
        if (tensors[:, 0] > 0.99).all(axis=(1, 2)).any():
            raise RuntimeError("no red, please")
        return super().embed(tensors)


def test_a_batch_that_fails_is_retried_image_by_image(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", [f"{n}.png" for n in range(9)])
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "photos" / "5b.png")
    with ImageFinder.open(tmp_path / "collection", embedder=FailsOn()) as finder:
        assert finder.index(tmp_path / "photos").counts() == only(added=9, skipped=1)
        (skipped,) = finder.skipped()
        assert (skipped.id, skipped.reason) == ("5b.png", "the model failed: no red, please")


def test_a_metadata_change_updates_the_record_without_embedding(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    table = photos.parent / "table.csv"
    table.write_text("id,path,label\n1,photos/a.png,cat\n2,photos/b.jpg,dog\n")
    assert finder.index(table).counts() == only(added=2)
    assert dict(finder.get("1").metadata) == {"label": "cat"}
    table.write_text("id,path,label\n1,photos/a.png,lion\n2,photos/b.jpg,dog\n")
    assert finder.index(table).counts() == only(updated=1, unchanged=1)
    assert dict(finder.get("1").metadata) == {"label": "lion"}
    assert embedder.calls == 2
    assert [h.id for h in finder.search("id:2", k=5, filter='label == "lion"')] == ["1"]


def test_another_file_under_the_same_id_of_a_table_is_an_update(
    finder: ImageFinder, photos: Path
) -> None:
    table = photos.parent / "table.csv"
    table.write_text("id,path\n1,photos/a.png\n")
    finder.index(table)
    table.write_text("id,path\n1,photos/b.jpg\n")
    assert finder.index(table).counts() == only(updated=1)
    assert finder.get("1").uri == str(photos / "b.jpg")
    assert len(finder) == 1


def test_one_id_for_two_files_of_a_table_keeps_the_first(finder: ImageFinder, photos: Path) -> None:
    table = photos.parent / "table.csv"
    table.write_text("id,path\n1,photos/a.png\n1,photos/b.jpg\n1,photos/a.png\n")
    for _ in range(2):
        finder.index(table)
        assert finder.get("1").uri == str(photos / "a.png")
        (skipped,) = finder.skipped()
        assert "the id 1 belongs to" in skipped.reason


def test_ingest_is_bounded(finder: ImageFinder, tmp_path: Path) -> None:
    """No more images are read ahead than the window holds."""
    begun = 0

    def items() -> Iterator[int]:
        nonlocal begun
        for number in range(1000):
            begun = number
            yield number

    def double(number: int) -> int:
        return 2 * number

    work: Callable[[int], int] = double
    results = ahead(work, items(), workers=2, window=6)
    assert next(results) == 0
    assert begun < 7
    results.close()
