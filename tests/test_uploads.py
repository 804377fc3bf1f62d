"""Images handed over as bytes: ids, who may replace what, and what is kept."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagefinder import DecodeLimits, ImageFinder, Upload, errors
from imagefinder.testing import FakeEmbedder
from imagefinder.upkeep import backup, restore
from tests.image_server import encoded
from tests.pictures import picture, write_pictures
from tests.uploads import assert_whole, media, named, opened, png


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "collection"


@pytest.fixture
def finder(place: Path) -> Iterator[ImageFinder]:
    with opened(place) as finder:
        yield finder


# what is kept


def test_an_upload_is_kept_and_found(finder: ImageFinder, place: Path) -> None:
    report = finder.add([Upload(png(1), "a.png"), Upload(png(2), "b.png", "animals/b", {"n": 1})])
    assert sorted(report.added) == ["a.png", "animals/b"]
    assert not report.updated + report.unchanged + report.skipped
    assert_whole(finder, **{"a.png": png(1), "animals/b": png(2)})
    record = finder.get("animals/b")
    assert (record.width, record.height, record.format) == (40, 30, "png")
    assert (record.size, record.mtime, record.metadata) == (len(png(2)), None, {"n": 1})
    assert Path(record.uri).read_bytes() == png(2)
    assert Path(record.uri).is_relative_to(place / "media")
    assert finder.search(png(2), k=1)[0].uri == record.uri
    assert [hit.id for hit in finder.search("id:a.png", k=5, filter="n == 1")] == ["animals/b"]
    assert finder.status().sources == ("upload",)


def test_adding_makes_a_collection_as_indexing_does(place: Path) -> None:
    with opened(place) as finder:
        assert finder.add([Upload(png(1), "a")]).added == ["a"]
    with opened(place) as finder:
        assert_whole(finder, a=png(1))


def test_more_than_one_batch(finder: ImageFinder) -> None:
    images = {f"{number:02}": png(number) for number in range(20)}
    report = finder.add([Upload(data, id) for id, data in images.items()])
    assert sorted(report.added) == sorted(images)
    assert_whole(finder, **images)


def test_nothing_to_add(finder: ImageFinder) -> None:
    report = finder.add([])
    assert not report.added + report.updated + report.unchanged + report.skipped


def test_the_same_bytes_are_kept_once_and_embedded_once(place: Path) -> None:
    embedder = FakeEmbedder()
    with opened(place, embedder=embedder) as finder:
        finder.add([Upload(png(1), "a"), Upload(png(2), "b")])
        assert finder.add([Upload(png(1), "c")], source="other").added == ["c"]
        assert embedder.calls == 2
        assert media(place) == named(png(1), png(2))
        assert_whole(finder, a=png(1), b=png(2), c=png(1))


def test_bytes_go_with_the_last_image_that_has_them(finder: ImageFinder, place: Path) -> None:
    finder.add([Upload(png(1), "a"), Upload(png(1), "b"), Upload(png(2), "c")])
    finder.add([Upload(png(1), "d")], source="other")
    assert finder.remove(["a", "gone"]) == 1
    assert finder.remove(["d"]) == 1
    assert_whole(finder, b=png(1), c=png(2))
    assert finder.remove(["b"]) == 1
    assert media(place) == named(png(2))
    assert finder.remove(["b", "c"]) == 1
    assert (media(place), len(finder)) == (set(), 0)


def test_an_image_can_come_back_after_it_was_removed(finder: ImageFinder) -> None:
    finder.add([Upload(png(1), "a")])
    finder.remove(["a"])
    assert finder.add([Upload(png(2), "a")]).added == ["a"]
    assert_whole(finder, a=png(2))


def test_bytes_that_cannot_be_kept(finder: ImageFinder, place: Path) -> None:
    finder.add([])
    (place / "media").write_text("in the way")
    with pytest.raises(errors.StoreError, match=r"cannot be kept.*free space.*add it again"):
        finder.add([Upload(png(1), "a")])
    assert len(finder) == 0
    (place / "media").unlink()
    assert finder.add([Upload(png(1), "a")]).added == ["a"]
    assert_whole(finder, a=png(1))


def test_reading_what_is_not_there(finder: ImageFinder, place: Path) -> None:
    finder.add([Upload(png(1), "a")])
    with pytest.raises(errors.ImageNotFoundError, match="b: no image"):
        finder.read("b")
    shutil.rmtree(place / "media")
    with pytest.raises(errors.FetchError, match="no such file"):
        finder.read("a")


# ids


@pytest.mark.parametrize(
    ("name", "id", "reason"),
    [
        ("", None, "neither an id nor a name"),
        ("a", "", "neither an id nor a name"),
        ("a\0b", None, "not valid text"),
        ("a", "\udcff", "not valid text"),
        ("a", "ü" * 513, "1026 bytes, the limit is 1024"),
        ("a", "x/../y", "cannot be an address"),
        (".", None, "cannot be an address"),
    ],
)
def test_what_cannot_be_an_id(finder: ImageFinder, name: str, id: str | None, reason: str) -> None:
    report = finder.add([Upload(png(1), name, id), Upload(png(2), "good")])
    assert report.added == ["good"]
    assert [skipped.uri for skipped in report.skipped] == [name]
    assert reason in report.skipped[0].reason
    assert_whole(finder, good=png(2))


def test_the_longest_id(finder: ImageFinder) -> None:
    assert finder.add([Upload(png(1), "", "ü" * 512)]).added == ["ü" * 512]
    assert_whole(finder, **{"ü" * 512: png(1)})


def test_an_id_twice_in_a_request(finder: ImageFinder) -> None:
    report = finder.add([Upload(png(1), "a"), Upload(png(2), "b", "a")])
    assert report.added == ["a"]
    assert [(skipped.id, skipped.uri) for skipped in report.skipped] == [("a", "b")]
    assert "another image of the same request" in report.skipped[0].reason
    assert_whole(finder, a=png(1))


@pytest.mark.parametrize(
    ("first", "second"), [("upload", "upload"), ("upload", "x"), ("x", "upload"), ("x", "y")]
)
def test_an_id_of_another_image_is_never_overwritten(
    finder: ImageFinder, place: Path, first: str, second: str
) -> None:
    finder.add([Upload(png(1), "a", None, {"n": 1})], source=first)
    report = finder.add([Upload(png(2), "b", "a"), Upload(png(3), "c")], source=second)
    assert (report.added, report.updated) == (["c"], [])
    assert [(skipped.id, skipped.uri) for skipped in report.skipped] == [("a", "b")]
    assert "the id a belongs to another image already" in report.skipped[0].reason
    assert finder.get("a").metadata == {"n": 1}
    assert_whole(finder, a=png(1), c=png(3))
    assert media(place) == named(png(1), png(3))


@pytest.mark.parametrize(
    ("first", "second"), [("upload", "upload"), ("upload", "x"), ("x", "upload"), ("x", "y")]
)
def test_the_same_bytes_under_an_id_change_nothing(
    finder: ImageFinder, first: str, second: str
) -> None:
    finder.add([Upload(png(1), "a", None, {"n": 1})], source=first)
    assert finder.add([Upload(png(1), "a", None, {"n": 2})], source=second).unchanged == ["a"]
    assert finder.get("a").metadata == {"n": 1}


def test_a_source_of_its_own_may_replace_its_images(finder: ImageFinder, place: Path) -> None:
    finder.add([Upload(png(1), "a", None, {"n": 1}), Upload(png(2), "b")], source="camera")
    report = finder.add([Upload(png(3), "a", None, {"m": 2})], source="camera")
    assert (report.updated, report.skipped) == (["a"], [])
    assert_whole(finder, a=png(3), b=png(2))
    assert finder.get("a").metadata == {"m": 2}
    assert media(place) == named(png(2), png(3))


def test_bytes_that_are_replaced_stay_while_another_image_has_them(
    finder: ImageFinder, place: Path
) -> None:
    finder.add([Upload(png(1), "a"), Upload(png(1), "b")], source="camera")
    finder.add([Upload(png(1), "c")])
    finder.add([Upload(png(2), "a")], source="camera")
    assert_whole(finder, a=png(2), b=png(1), c=png(1))
    finder.add([Upload(png(1), "a"), Upload(png(2), "b")], source="camera")  # they swap
    assert_whole(finder, a=png(1), b=png(2), c=png(1))
    assert media(place) == named(png(1), png(2))


def test_a_source_tells_new_metadata(finder: ImageFinder) -> None:
    finder.add([Upload(png(1), "a", None, {"n": 1})], source="camera")
    again = [Upload(png(1), "a", None, {"n": 1})]
    assert finder.add(again, source="camera").unchanged == ["a"]
    new = [Upload(png(1), "a", None, {"m": 2})]
    assert finder.add(new, source="camera").updated == ["a"]
    assert finder.get("a").metadata == {"m": 2}
    assert_whole(finder, a=png(1))
    assert finder.add(new, source="camera").unchanged == ["a"]


# bad images


def test_bad_images_are_skipped_and_the_others_added(finder: ImageFinder, place: Path) -> None:
    bad = {"empty": b"", "text": b"<html>", "cut.png": png(1)[:60]}
    good = {f"{number}": png(number) for number in range(10)}
    both = [Upload(data, name) for name, data in [*good.items(), *bad.items()]]
    report = finder.add(both[::-1])
    assert sorted(report.added) == sorted(good)
    assert sorted(skipped.uri for skipped in report.skipped) == sorted(bad)
    assert all(skipped.reason for skipped in report.skipped)
    assert_whole(finder, **good)
    assert media(place) == named(*good.values())
    assert finder.skipped() == []  # who sent them knows


def test_a_bad_image_does_not_replace_a_good_one(finder: ImageFinder) -> None:
    finder.add([Upload(png(1), "a")], source="camera")
    assert [s.id for s in finder.add([Upload(b"bad", "a")], source="camera").skipped] == ["a"]
    assert_whole(finder, a=png(1))


def test_limits_hold_for_uploads(place: Path) -> None:
    with opened(place, limits=DecodeLimits(max_megapixels=0.001)) as finder:
        report = finder.add([Upload(png(1), "a"), Upload(encoded(picture(2, (8, 8)), "PNG"), "b")])
    assert report.added == ["b"]
    assert "megapixel" in report.skipped[0].reason


class Choosy(FakeEmbedder):
    """Fails on every batch with a dark picture in it."""

    def embed(self, tensors: np.ndarray) -> np.ndarray:
        if any(tensor.max() < 0 for tensor in tensors):
            raise RuntimeError("too dark")
        return super().embed(tensors)


def test_an_image_that_the_model_fails_on(place: Path) -> None:
    dark = encoded(picture(1).point(lambda value: value // 8), "PNG")
    with opened(place, embedder=Choosy()) as finder:
        report = finder.add([Upload(png(1), "a"), Upload(dark, "dark"), Upload(png(2), "b")])
        assert sorted(report.added) == ["a", "b"]
        assert [(s.id, s.reason) for s in report.skipped] == [
            ("dark", "the model failed: too dark")
        ]
        assert_whole(finder, a=png(1), b=png(2))


# metadata


def test_metadata_is_merged(place: Path) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "a", None, {"label": "cat", "n": 1}), Upload(png(2), "b")])
        changed = finder.update_metadata("a", {"label": "dog", "n": None, "tags": ["x", "y"]})
        assert changed.metadata == {"label": "dog", "tags": ["x", "y"]}
        assert changed == finder.get("a")
        with pytest.raises(errors.ImageNotFoundError, match="c: no image"):
            finder.update_metadata("c", {"label": "dog"})
    with opened(place) as finder:
        assert finder.get("a") == changed
        assert [hit.id for hit in finder.search(png(2), filter='label == "dog"')] == ["a"]
        assert finder.search(png(2), filter='label == "cat"') == []
        assert_whole(finder, a=png(1), b=png(2))


def test_metadata_of_an_image_in_two_spaces(finder: ImageFinder, tmp_path: Path) -> None:
    """Each space keeps what else it knows of the image."""
    finder.add([Upload(png(1), "a", None, {"n": 1})])
    np.savez(tmp_path / "rows.npz", ids=["a"], embeddings=np.ones((1, 5), np.float32))
    finder.import_embeddings(tmp_path / "rows.npz", space="other")
    other = finder._session.collection().store("other")
    before = other.get(["a"])["a"]
    finder.update_metadata("a", {"label": "cat"})
    assert finder.get("a").metadata == {"n": 1, "label": "cat"}
    assert other.get(["a"])["a"] == replace(before, metadata={"label": "cat"})
    assert_whole(finder, a=png(1))


# beside what is indexed


def test_an_upload_keeps_its_id_from_what_is_indexed(finder: ImageFinder, tmp_path: Path) -> None:
    finder.add([Upload(png(8), "a.png"), Upload(png(9), "up.png")])
    write_pictures(tmp_path / "photos", ["a.png", "b.png"])
    report = finder.index(tmp_path / "photos")
    assert (report.added, report.skipped) == (1, 1)
    reason = "the id a.png belongs to an image of upload already; index with --id-prefix"
    assert [(s.id, s.reason) for s in finder.skipped()] == [("a.png", reason)]
    assert_whole(finder, **{"a.png": png(8), "up.png": png(9), "b.png": png(1)})
    report = finder.index(tmp_path / "photos", prune=True)
    assert report.removed == 0
    assert len(finder) == 3


def test_what_is_indexed_keeps_its_id_from_an_upload(
    finder: ImageFinder, place: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "photos", ["a.png", "b.png"])
    finder.index(tmp_path / "photos")
    report = finder.add([Upload(png(8), "a.png"), Upload(png(1), "b.png"), Upload(png(0), "c")])
    assert [s.id for s in report.skipped] == ["a.png"]
    assert (report.unchanged, report.added) == (["b.png"], ["c"])
    assert finder.get("b.png").uri == str(tmp_path / "photos" / "b.png")
    assert_whole(finder, **{"a.png": png(0), "b.png": png(1), "c": png(0)})
    assert media(place) == named(png(0))
    assert finder.remove(["a.png", "b.png"]) == 2
    assert (tmp_path / "photos" / "a.png").exists()
    assert_whole(finder, c=png(0))


def test_an_upload_lends_its_embedding_to_a_file(place: Path, tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with opened(place, embedder=embedder) as finder:
        finder.add([Upload(png(0), "up")])
        write_pictures(tmp_path / "photos", ["a.png"])
        assert finder.index(tmp_path / "photos").added == 1
        assert embedder.calls == 1
        assert_whole(finder, **{"up": png(0), "a.png": png(0)})


def test_folders_around_have_nothing_to_do_with_uploads(
    finder: ImageFinder, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a folder that is called as the sources of uploads and their place are."""
    monkeypatch.chdir(tmp_path)
    finder.add([Upload(png(8), "up.png")])
    for name in ("upload", "media"):
        write_pictures(tmp_path / name, [f"{name}.png"], first=len(name))
        finder.index(name)
    images = {"up.png": png(8), "upload.png": png(6), "media.png": png(5)}
    assert_whole(finder, **images)
    assert finder.status().sources == (
        "upload",
        str(tmp_path / "upload"),
        str(tmp_path / "media"),
    )
    (tmp_path / "media").rename(tmp_path / "moved")
    assert finder.relocate("media", "moved") == 1
    with pytest.raises(errors.UsageError, match="no images of"):
        finder.relocate("upload/x", "moved")
    with pytest.raises(errors.UsageError, match="no images of"):
        finder.relocate(place / "media", tmp_path)
    assert_whole(finder, **images)


# moving and backing up


def test_a_collection_that_moves_takes_its_uploads_along(place: Path, tmp_path: Path) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "a"), Upload(png(2), "b")])
    place.rename(tmp_path / "elsewhere")
    with opened(tmp_path / "elsewhere") as finder:
        assert_whole(finder, a=png(1), b=png(2))
        assert Path(finder.get("a").uri).is_relative_to(tmp_path / "elsewhere")
        finder.remove(["a"])
        assert media(tmp_path / "elsewhere") == named(png(2))


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz"])
def test_a_backup_has_the_uploads(place: Path, tmp_path: Path, name: str) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "a"), Upload(png(2), "b")], source="camera")
    assert backup(str(place), tmp_path / name) == 2
    shutil.rmtree(place)
    assert restore(tmp_path / name, str(tmp_path / "restored")) == 2
    with opened(tmp_path / "restored") as finder:
        assert_whole(finder, a=png(1), b=png(2))
        assert finder.add([Upload(png(3), "a")], source="camera").updated == ["a"]
        assert_whole(finder, a=png(3), b=png(2))
