"""What becomes of ids, embeddings and skipped images when files and tables change between runs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from imagefinder import ImageFinder, errors
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.testing import FakeEmbedder
from tests.pictures import touch_later, write_pictures


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", ["a.png", "b.png"])
    return tmp_path / "photos"


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        yield finder


@pytest.fixture(params=[1, 256])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many images are written in one batch."""
    monkeypatch.setattr("imagefinder.ingest.commit.COMMIT_IMAGES", request.param)


@pytest.fixture
def table(finder: ImageFinder, photos: Path) -> Path:
    """An indexed table of one image."""
    table = photos / "t.csv"
    table.write_text("id,path\n1,a.png\n")
    finder.index(table)
    return table


def assert_findable(finder: ImageFinder, **files: Path) -> None:
    """The collection holds these ids, and each is found with its own file."""
    assert {record.id for record in finder.images()} == set(files)
    assert len(finder) == len(files)
    for id, file in files.items():
        scores = {hit.id: hit.score for hit in finder.search(file, k=len(files) + 1)}
        assert scores.keys() == files.keys()
        assert scores[id] == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("rows", ["1,b.png\n2,c.png\n", "2,c.png\n1,b.png\n"])
def test_an_id_that_goes_to_another_row_is_not_taken_for_a_renamed_one(
    finder: ImageFinder, photos: Path, table: Path, rows: str
) -> None:
    (photos / "a.png").rename(photos / "c.png")
    table.write_text("id,path\n" + rows)
    finder.index(table)
    assert_findable(finder, **{"1": photos / "b.png", "2": photos / "c.png"})


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("rows", ["1,b.png\n2,c.png\n", "2,c.png\n1,b.png\n"])
def test_one_content_under_an_old_and_a_new_id(
    finder: ImageFinder, photos: Path, table: Path, rows: str
) -> None:
    shutil.copy(photos / "a.png", photos / "c.png")
    (photos / "a.png").replace(photos / "b.png")
    table.write_text("id,path\n" + rows)
    report = finder.index(table)
    assert sum(report.counts().values()) == 2
    finder.index(table)
    assert_findable(finder, **{"1": photos / "b.png", "2": photos / "c.png"})


def test_copies_of_a_renamed_file_in_several_batches(
    finder: ImageFinder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.ingest.commit.COMMIT_IMAGES", 1)
    monkeypatch.setattr("imagefinder.ingest.run.BATCH", 1)
    finder.index(photos)
    for name in ("x.png", "y.png", "z.png"):
        shutil.copy(photos / "a.png", photos / name)
    (photos / "a.png").unlink()
    report = finder.index(photos)
    assert (report.renamed, report.added, report.unchanged) == (1, 2, 1)


def test_swapped_and_shifted_names(finder: ImageFinder, photos: Path) -> None:
    write_pictures(photos, ["c.png", "d.png"], first=5)
    finder.index(photos)
    (photos / "a.png").rename(photos / "e.png")  # a <-> b, and c -> d -> f
    (photos / "b.png").rename(photos / "a.png")
    (photos / "e.png").rename(photos / "b.png")
    (photos / "d.png").rename(photos / "f.png")
    (photos / "c.png").rename(photos / "d.png")
    finder.index(photos, prune=True)
    assert_findable(finder, **{f"{name}.png": photos / f"{name}.png" for name in "abdf"})


def test_an_embedding_is_lent_only_while_it_is_of_the_same_bytes(
    finder: ImageFinder, photos: Path
) -> None:
    """A store is ahead of the ledger for a moment in every commit."""
    finder.index(photos)
    store = finder._session.store("fake")
    other = np.roll(finder.embed("id:a.png"), 7)
    store.upsert([replace(store.get(["a.png"])["a.png"], sha256="0" * 64)], other[None])
    shutil.copy(photos / "a.png", photos / "copy.png")
    finder.index(photos)
    scores = {hit.id: hit.score for hit in finder.search(photos / "copy.png", k=3)}
    assert scores["copy.png"] == pytest.approx(1, abs=1e-5)


def test_prune_removes_the_old_ids_when_the_prefix_changes(
    finder: ImageFinder, photos: Path
) -> None:
    finder.index(photos)
    assert finder.index(photos, id_prefix="mine/", prune=True).removed == 2
    assert [record.id for record in finder.images()] == ["mine/a.png", "mine/b.png"]


def test_two_rows_may_name_one_file(finder: ImageFinder, photos: Path) -> None:
    table = photos / "t.csv"
    table.write_text("id,path\n1,a.png\n2,a.png\n")
    finder.index(table)
    assert finder.index(table, prune=True).counts()["unchanged"] == 2
    assert len(finder) == 2


def test_a_file_that_is_again_what_it_was_is_no_longer_listed_as_skipped(
    finder: ImageFinder, photos: Path
) -> None:
    finder.index(photos)
    content, before = (photos / "a.png").read_bytes(), (photos / "a.png").stat()
    (photos / "a.png").write_bytes(b"")
    touch_later(photos / "a.png")
    assert finder.index(photos).skipped == 1
    (photos / "a.png").write_bytes(content)
    os.utime(photos / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert finder.index(photos).unchanged == 2
    assert finder.skipped() == []


@pytest.mark.parametrize("word", ["no", "yes", "none"])
def test_prune_takes_no_other_word_than_force(finder: ImageFinder, photos: Path, word: str) -> None:
    finder.index(photos)
    (photos / "a.png").unlink()
    with pytest.raises(errors.UsageError, match="prune="):
        finder.index(photos, prune=word)
    assert len(finder) == 2


def test_odd_ids(finder: ImageFinder, photos: Path) -> None:
    lines = ['{"id": "x\\u0000y", "path": "a.png"}', '{"id": "x\\n\\u2028\\"", "path": "b.png"}']
    (photos / "t.jsonl").write_text("\n".join(lines))
    assert finder.index(photos / "t.jsonl").added == 2
    assert finder.index(photos / "t.jsonl").unchanged == 2
    assert finder.remove(["x", 'x\n\u2028"', "\udcff"]) == 1
    assert [record.id for record in finder.images()] == ["x\0y"]
    with pytest.raises(errors.UsageError, match="UTF-8"):
        list(finder.images(after="\udcff"))


def test_an_id_that_is_not_text_is_skipped(finder: ImageFinder, photos: Path) -> None:
    entry = '{"id":"\\ud800x","file":"a.png","url":"","sha256":"","size":1,"metadata":{}}\n'
    (photos / "imagefinder-manifest.jsonl").write_text(entry)
    report = finder.index(photos)
    assert (report.added, report.skipped) == (1, 1)
    assert "UTF-8" in finder.skipped()[0].reason


class NoPreprocessing(FakeEmbedder):
    def preprocess(self, image: np.ndarray) -> np.ndarray:
        raise ValueError("no, thanks")


class TooFewRows(FakeEmbedder):
    def embed(self, tensors: np.ndarray) -> np.ndarray:
        return super().embed(tensors)[:1]


def test_a_model_of_the_users_own_that_fails(tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "1", embedder=NoPreprocessing()) as finder:
        assert finder.index(photos).skipped == 2
        assert finder.skipped()[0].reason == "the model failed: no, thanks"
    with (
        ImageFinder.open(tmp_path / "2", embedder=TooFewRows()) as finder,
        pytest.raises(errors.ModelError, match=r"shape \(1, 48\) for 2 images"),
    ):
        finder.index(photos)


def test_an_image_that_is_removed_while_it_is_written(
    tmp_path: Path, photos: Path, finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder.index(photos)
    write_pictures(photos, ["a.png"], first=30)
    touch_later(photos / "a.png")
    remover = Thread(target=finder.remove, args=(["a.png"],))
    upsert = EmbeddedStore.upsert

    def slowly(store: EmbeddedStore, *batch: object) -> None:
        upsert(store, *batch)
        remover.start()
        remover.join(timeout=0.2)  # it must not get in between; if it does, it is soon done

    monkeypatch.setattr(EmbeddedStore, "upsert", slowly)
    finder.index(photos)
    remover.join()
    finder.close()
    with closing(DirectoryCollection(tmp_path / "collection", "test")) as collection:
        stored = {record.id for record, _ in collection.store("fake").scan()}
        assert stored == set(collection.ledger.ids()) == {"b.png"}


def test_a_write_that_failed_is_put_right_by_the_next_run(
    photos: Path, finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise errors.StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "acknowledge", full)
        with pytest.raises(errors.StoreError, match="disk full"):
            finder.index(photos)
    (photos / "a.png").unlink()
    finder.index(photos)
    assert_findable(finder, **{"b.png": photos / "b.png"})


def test_closing_ends_a_run(tmp_path: Path, photos: Path) -> None:
    finder = ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder())
    finder.index(photos)
    write_pictures(photos, ["c.png"], first=30)
    with pytest.raises(errors.CollectionError, match=r"closed.*open it again") as caught:
        finder.index(photos, on_progress=lambda _: finder.close())
    assert not isinstance(caught.value, errors.CollectionDamagedError)
    with pytest.raises(errors.CollectionError, match="closed; open it again"):
        len(finder)
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as again:
        assert again.index(photos).counts()["added"] == 1
