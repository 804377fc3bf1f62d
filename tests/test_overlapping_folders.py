"""A folder inside another: however they are named and in whichever order, a file has one id."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from imagefinder import ImageFinder, errors
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.sources.manifest import Entry
from imagefinder.sources.names import MANIFEST_NAME
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, touch_later, write_pictures

NAMES = ["top.png", "2024/a.png", "2024/may/b.png"]


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


@pytest.fixture
def finder(tmp_path: Path, embedder: FakeEmbedder) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=embedder) as finder:
        yield finder


def ids(finder: ImageFinder) -> list[str]:
    return [record.id for record in finder.images()]


def assert_each_finds_itself(finder: ImageFinder, photos: Path) -> None:
    for name in NAMES:
        best = finder.search(photos / name, k=1)[0]
        assert (best.id, best.uri) == (name, str(photos / name))
        assert best.score == pytest.approx(1, abs=1e-5)


def test_the_outer_folder_takes_the_inner_one_over(
    finder: ImageFinder,
    photos: Path,
    embedder: FakeEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    finder.index(photos / "2024" / "may")
    finder.index(photos / "2024")
    assert ids(finder) == ["a.png", "may/b.png"]
    report = finder.index(photos)
    assert (report.added, report.unchanged, report.skipped) == (1, 2, 0)
    assert ids(finder) == sorted(NAMES)
    assert embedder.calls == 3
    assert finder.status().sources == (str(photos),)
    assert f"{photos}/2024 joins {photos}: the ids of 2 images change" in caplog.text
    assert_each_finds_itself(finder, photos)


def test_what_was_skipped_inside_is_listed_once(finder: ImageFinder, photos: Path) -> None:
    (photos / "2024" / "bad.png").write_bytes(b"")
    finder.index(photos / "2024")
    finder.index(photos)
    assert [entry.id for entry in finder.skipped()] == ["2024/bad.png"]


def test_a_folder_inside_an_indexed_one_is_a_part_of_it(
    finder: ImageFinder, photos: Path, embedder: FakeEmbedder
) -> None:
    finder.index(photos)
    write_pictures(photos, ["2024/new.png"], first=9)
    touch_later(photos / "top.png")
    report = finder.index(photos / "2024")
    assert (report.added, report.unchanged, report.updated) == (1, 2, 0)
    assert ids(finder) == sorted([*NAMES, "2024/new.png"])
    assert embedder.calls == 4
    assert finder.status().sources == (str(photos),)


def test_a_file_inside_an_indexed_folder_is_a_part_of_it(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    picture(9).save(photos / "2024" / "a.png")
    report = finder.index(photos / "2024" / "a.png")
    assert (report.added, report.updated) == (0, 1)
    assert ids(finder) == sorted(NAMES)


def test_the_folder_of_a_single_file_takes_nothing_in(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos / "top.png")
    finder.index(photos / "2024")
    assert ids(finder) == ["a.png", "may/b.png", "top.png"]
    finder.index(photos)
    assert ids(finder) == sorted(NAMES)


def test_a_part_cannot_be_pruned_alone(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos)
    with pytest.raises(errors.UsageError, match="no part of a folder that is indexed as a whole"):
        finder.index(photos / "2024", prune=True)


def test_neighbours_whose_names_begin_alike_stay_apart(finder: ImageFinder, photos: Path) -> None:
    write_pictures(photos, ["2024-b/c.png"], first=9)
    finder.index(photos / "2024-b")
    finder.index(photos / "2024")
    assert ids(finder) == ["a.png", "c.png", "may/b.png"]
    assert len(finder.status().sources) == 2


def test_what_is_excluded_stays_a_source_of_its_own(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos / "2024", id_prefix="x/")
    finder.index(photos, exclude=["/2024/"])
    assert ids(finder) == ["top.png", "x/a.png", "x/may/b.png"]


def test_a_prefix_is_replaced(finder: ImageFinder, photos: Path, embedder: FakeEmbedder) -> None:
    finder.index(photos / "2024", id_prefix="2024/")  # the ids that they are going to have
    finder.index(photos)
    assert ids(finder) == sorted(NAMES)
    assert embedder.calls == 3
    assert_each_finds_itself(finder, photos)


def test_folders_of_one_name_inside_each_other(finder: ImageFinder, tmp_path: Path) -> None:
    names = ["x/x/x/a.png", "x/x/a.png", "x/a.png", "a.png"]
    write_pictures(tmp_path / "nested", names)
    finder.index(tmp_path / "nested" / "x")
    finder.index(tmp_path / "nested")
    assert ids(finder) == sorted(names)
    for name in names:
        assert finder.search(tmp_path / "nested" / name, k=1)[0].id == name


def test_ids_of_a_table_are_not_lost(finder: ImageFinder, photos: Path) -> None:
    entry = Entry("4711", "a.png", "https://example.org/a.png", "0" * 64, 1, {})
    (photos / "2024" / MANIFEST_NAME).write_text(json.dumps(asdict(entry)) + "\n")
    finder.index(photos / "2024")
    with pytest.raises(
        errors.SourceError, match=r"ids of a table, such as 4711.*--exclude '/2024/'"
    ):
        finder.index(photos)
    assert "4711" in ids(finder)
    finder.index(photos, exclude=["/2024/"])
    assert ids(finder) == ["4711", "may/b.png", "top.png"]


def test_a_table_of_a_folder_is_no_folder(finder: ImageFinder, photos: Path) -> None:
    table = photos / "t.csv"
    table.write_text("id,path\nfirst,2024/a.png\n")
    finder.index(table)
    finder.index(photos / "2024")
    assert ids(finder) == ["a.png", "first", "may/b.png"]
    finder.index(table)
    finder.index(photos)
    assert ids(finder) == ["2024/a.png", "2024/may/b.png", "first", "top.png"]
    assert set(finder.status().sources) == {str(photos), str(table)}


def test_a_table_in_an_inner_folder_keeps_its_images(finder: ImageFinder, photos: Path) -> None:
    (photos / "2024" / "t.csv").write_text("path,label\na.png,cat\n")
    finder.index(photos / "2024" / "t.csv")
    finder.index(photos)
    assert ids(finder) == sorted(["a.png", *NAMES])
    assert finder.get("a.png").metadata == {"label": "cat"}


@pytest.mark.parametrize("options", [{"exclude": ["*.gif"]}, {"include": ["2024/", "top.*"]}])
def test_a_selection_takes_over_what_it_covers(
    finder: ImageFinder, photos: Path, options: dict[str, list[str]]
) -> None:
    finder.index(photos / "2024")
    finder.index(photos, **options)  # type: ignore[arg-type]
    assert ids(finder) == sorted(NAMES)
    assert finder.status().sources == (str(photos),)


def test_a_selection_leaves_what_it_does_not_cover(finder: ImageFinder, photos: Path) -> None:
    finder.index(photos / "2024")
    finder.index(photos, exclude=["/2024/may/"])
    assert ids(finder) == ["2024/a.png", "may/b.png", "top.png"]
    assert set(finder.status().sources) == {str(photos), str(photos / "2024")}
    finder.index(photos)
    assert ids(finder) == sorted(NAMES)


def test_a_hidden_folder_stays_a_source_of_its_own(finder: ImageFinder, photos: Path) -> None:
    write_pictures(photos / ".hidden", ["h.png"], first=9)
    finder.index(photos / ".hidden")
    finder.index(photos)
    assert ids(finder) == sorted(["h.png", *NAMES])


@pytest.mark.parametrize("step", ["doubt", "upsert", "acknowledge", "delete"])
def test_a_crash_while_a_folder_is_taken_over(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    place = tmp_path / "collection"
    with ImageFinder.open(place, embedder=FakeEmbedder()) as finder:
        finder.index(photos / "2024")

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    owner = SqliteLedger if step in ("doubt", "acknowledge") else EmbeddedStore
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, crash)
        with (
            ImageFinder.open(place, embedder=FakeEmbedder()) as finder,
            pytest.raises(KeyboardInterrupt),
        ):
            finder.index(photos)
    with ImageFinder.open(place, embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        assert ids(finder) == sorted(NAMES)
        assert_each_finds_itself(finder, photos)
    collection = DirectoryCollection(place, "photos")
    try:
        assert collection.store(collection.spaces()[0]).count() == 3
    finally:
        collection.close()
