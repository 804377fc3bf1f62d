"""Labels from folders, tables, metadata and a ground truth."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefinder import ImageFinder, Upload, errors
from imagefinder.labels import Judgements, read_labels
from imagefinder.labels.reading import from_folders, is_flat, is_ground_truth
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures
from tests.uploads import png

NAMES = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/a b.png", "old/cat/5.png", "stray.png"]
CLASSES = {
    "cat/1.png": "cat",
    "cat/2.png": "cat",
    "dog/3.png": "dog",
    "dog/a b.png": "dog",
    "old/cat/5.png": "cat",
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


@pytest.fixture
def finder(tmp_path: Path, photos: Path) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        yield finder


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# what is right


def test_right_is_what_has_the_same_class_but_for_copies() -> None:
    classes = {"a": "cat", "b": "cat", "c": "cat", "d": "dog", "e": "dog", "f": "hen"}
    contents = {"a": "1", "b": "1", "c": "2", "d": "3", "e": "3", "f": "", "g": "1"}
    judgements = Judgements.of_classes(classes, contents)
    assert judgements.relevant("a") == {"c": 1}
    assert judgements.relevant("c") == {"a": 1, "b": 1}
    assert set(judgements.copies("b")) == {"a", "b"}
    assert judgements.queries == ["a", "b", "c"]  # d and e are one picture, f is alone
    assert judgements.alone == 3
    assert len(judgements) == 6
    assert "f" in judgements
    assert "g" not in judgements


def test_without_bytes_nothing_is_a_copy() -> None:
    judgements = Judgements.of_classes({"a": "x", "b": "x"}, {"a": "", "b": ""})
    assert judgements.queries == ["a", "b"]


def test_a_ground_truth_has_grades_and_no_classes() -> None:
    answers = {"q": {"q": 1, "twin": 3, "a": 2}, "r": {"r": 1}}
    contents = {"q": "1", "twin": "1", "a": "2", "r": "3", "s": "4"}
    judgements = Judgements.of_answers(answers, contents)
    assert judgements.relevant("q") == {"a": 2}
    assert (judgements.queries, judgements.alone, judgements.classes) == (["q"], 1, {})
    assert "s" in judgements  # whatever is no right answer is a wrong one


# folders


def test_the_class_is_the_directory(finder: ImageFinder, photos: Path) -> None:
    judgements = read_labels(photos, finder)
    assert judgements.classes == CLASSES
    assert judgements.unlabelled == 1
    assert from_folders(finder).classes == CLASSES


def test_a_folder_is_known_by_its_place(finder: ImageFinder, photos: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "more", ["hen/9.png"], first=50)
    finder.index(tmp_path / "more")
    (tmp_path / "link").symlink_to(photos)
    assert read_labels(tmp_path / "link", finder).classes == CLASSES
    assert read_labels(tmp_path / "more", finder).classes == {"hen/9.png": "hen"}
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(errors.SourceError, match="no image of the collection is in a directory"):
        read_labels(empty, finder)


def test_a_folder_by_its_ids_where_paths_are_not_told(photos: Path, tmp_path: Path) -> None:
    """As of uploads, and of a service."""
    with ImageFinder.open(tmp_path / "uploads", embedder=FakeEmbedder()) as finder:
        finder.add([Upload(png(n), name) for n, name in enumerate(["cat/1.png", "cow/7.png"])])
        assert read_labels(photos, finder).classes == {"cat/1.png": "cat"}


def test_a_flat_folder_is_seen_before_it_is_indexed(photos: Path) -> None:
    assert is_flat(photos / "cat")
    assert not is_flat(photos)
    (photos / "cat" / "more.tar").touch()
    assert not is_flat(photos / "cat")
    assert not is_flat(photos / "nothing")


# tables


@pytest.mark.parametrize("name", ["id", "path", "Image URL"])
def test_a_table_names_images_by_id_or_path(
    finder: ImageFinder, photos: Path, tmp_path: Path, name: str
) -> None:
    rows = {"cat/1.png": "cat", "dog/3.png": "dog"}
    if name == "path":
        text = "".join(f"photos/{path},{label}\n" for path, label in rows.items())
    elif name == "id":
        text = "".join(f"{id},{label}\n" for id, label in rows.items())
    else:
        text = "".join(f"{(photos / path).as_uri()},{label}\n" for path, label in rows.items())
    where = table(tmp_path, f"{name},label\n{text}lost.png,cat\nstray.png,\n")
    judgements = read_labels(where, finder)
    assert judgements.classes == rows
    assert judgements.unlabelled == 4
    assert judgements.unknown == 1


def test_ids_of_elsewhere_leave_it_to_the_paths(finder: ImageFinder, tmp_path: Path) -> None:
    """As in a table with products' names, some twice, which the collection was not made of."""
    where = table(
        tmp_path, "name,file,breed\nTom,photos/cat/1.png,maine coon\nTom,photos/dog/3.png,poodle\n"
    )
    assert read_labels(where, finder).classes == {"cat/1.png": "maine coon", "dog/3.png": "poodle"}


def test_the_column_of_labels(finder: ImageFinder, tmp_path: Path) -> None:
    where = table(tmp_path, "id,target,class,Main Colour\ncat/1.png,t,7,red\n")
    assert read_labels(where, finder).classes == {"cat/1.png": "7"}
    assert read_labels(where, finder, label="main_colour").classes == {"cat/1.png": "red"}
    with pytest.raises(errors.SourceError, match="no column size; there is: id, target, class"):
        read_labels(where, finder, label="size")
    where = table(tmp_path, "id,colour\ncat/1.png,red\n")
    with pytest.raises(errors.SourceError, match=r"no column of labels \(label, class.*--label"):
        read_labels(where, finder)


def test_json_lines_with_numbers_and_bad_rows(finder: ImageFinder, tmp_path: Path) -> None:
    rows = [{"id": "cat/1.png", "label": 3}, {"id": "cat/2.png", "label": ["a", "b"]}]
    text = "\n".join(["not json", *map(json.dumps, rows)])
    judgements = read_labels(table(tmp_path, text, "labels.jsonl"), finder)
    assert judgements.classes == {"cat/1.png": "3"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,label\n", "has no rows"),
        ("id,label\nelsewhere,cat\n", "no row names an image of the collection"),
        ("colour,label\nred,cat\n", "no column of ids, paths or URLs among colour, label"),
        ("id,label\ncat/1.png,cat\ncat/1.png,dog\n", "is dog here and cat in row 1"),
    ],
)
def test_tables_that_say_nothing(
    finder: ImageFinder, tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(errors.SourceError, match=problem):
        read_labels(table(tmp_path, text), finder)


def test_what_holds_no_labels(finder: ImageFinder, photos: Path) -> None:
    for where in (photos / "stray.png", photos / "nothing.csv", "s3://bucket/photos"):
        with pytest.raises(errors.SourceError, match="no folder and no table"):
            read_labels(where, finder)


# metadata


def test_labels_of_the_metadata(finder: ImageFinder) -> None:
    finder.update_metadata("cat/1.png", {"Category": "pet", "kind": 1})
    finder.update_metadata("cat/2.png", {"Category": " ", "kind": 2})
    judgements = read_labels(None, finder)
    assert judgements.classes == {"cat/1.png": "pet"}
    assert judgements.unlabelled == 5
    assert read_labels(None, finder, label="kind").classes == {"cat/1.png": "1", "cat/2.png": "2"}
    with pytest.raises(errors.SourceError, match="metadata: no column breed; there is: Category"):
        read_labels(None, finder, label="breed")


# a ground truth


def test_a_ground_truth(finder: ImageFinder, tmp_path: Path) -> None:
    where = table(
        tmp_path,
        "Query,relevant,relevance\n"
        "cat/1.png,cat/2.png old/cat/5.png,2\n"
        "cat/1.png,stray.png,\n"
        "cat/1.png,dog/3.png,0\n"
        "photos/dog/3.png,dog/a b.png,1\n"
        "cat/2.png,cat/1.png; dog/a b.png ;lost.png,1\n"
        'old/cat/5.png,"[""dog/a b.png"", ""cat/1.png""]",3\n'
        "lost.png,cat/1.png,1\n",
    )
    assert is_ground_truth(where)
    judgements = read_labels(where, finder)
    assert judgements.relevant("cat/1.png") == {"cat/2.png": 2, "old/cat/5.png": 2, "stray.png": 1}
    assert judgements.relevant("dog/3.png") == {"dog/a b.png": 1}
    assert judgements.relevant("cat/2.png") == {"cat/1.png": 1, "dog/a b.png": 1}
    assert judgements.relevant("old/cat/5.png") == {"dog/a b.png": 3, "cat/1.png": 3}
    assert judgements.unknown == 2
    assert (judgements.classes, len(judgements)) == ({}, 6)


def test_a_ground_truth_of_lists(finder: ImageFinder, tmp_path: Path) -> None:
    row = {"query": "cat/1.png", "relevant": ["cat/2.png", "dog/a b.png"]}
    judgements = read_labels(table(tmp_path, json.dumps(row), "truth.jsonl"), finder)
    assert judgements.relevant("cat/1.png") == {"cat/2.png": 1, "dog/a b.png": 1}


@pytest.mark.parametrize("grade", ["good", "0.5", "inf", "nan"])
def test_a_grade_is_a_whole_number(finder: ImageFinder, tmp_path: Path, grade: str) -> None:
    where = table(tmp_path, f"query,relevant,relevance\ncat/1.png,cat/2.png,{grade}\n")
    with pytest.raises(errors.SourceError, match=f"row 1 .line 2.: the relevance is {grade}"):
        read_labels(where, finder)


def test_a_ground_truth_of_elsewhere(finder: ImageFinder, tmp_path: Path) -> None:
    where = table(tmp_path, "query,relevant\nx,y\n")
    with pytest.raises(errors.SourceError, match="no query is an image of the collection"):
        read_labels(where, finder)
    assert not is_ground_truth(table(tmp_path, "id,label\n"))
    assert not is_ground_truth(tmp_path)
    assert not is_ground_truth(os.fspath(tmp_path / "none.csv"))
