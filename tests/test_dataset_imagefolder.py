"""An export is read back by Hugging Face `datasets`, with labels, parts and metadata."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imagefinder import errors
from imagefinder.dataset import export_imagefolder
from imagefinder.sources import open_source
from tests.pictures import picture, write_pictures


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    write_pictures(folder, ["cat/1.png", "old/cat/1.png", "dog/1.jpg", "loose.webp"])
    (folder / "dog" / "cut.jpg").write_bytes((folder / "dog/1.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no image")
    return folder


def rows(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_folder_becomes_one(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = export_imagefolder(open_source(photos), out)
    assert report.images == 4
    assert report.classes == {"cat": 2, "dog": 1}
    assert [(one.id, one.reason) for one in report.skipped] == [
        ("dog/cut.jpg", "the JPEG is truncated")
    ]
    found = {str(row["id"]): row for row in rows(out / "train")}
    assert {id: row["label"] for id, row in found.items()} == {
        "cat/1.png": "cat", "old/cat/1.png": "cat", "dog/1.jpg": "dog", "loose.webp": None,
    }  # fmt: skip
    for id, row in found.items():
        written = out / "train" / str(row["file_name"])
        assert written.read_bytes() == (photos / id).read_bytes()
    assert found["dog/1.jpg"]["file_name"] == "dog/1.jpg"
    assert found["loose.webp"]["file_name"] == "loose.webp"
    assert len({row["file_name"] for row in found.values()}) == 4
    assert sorted(path.name for path in (out / "train").glob("*")) == [
        "cat", "dog", "loose.webp", "metadata.jsonl",
    ]  # fmt: skip


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `datasets` and its hub would read from and write to elsewhere stays here."""
    for name in ("HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    return


@pytest.mark.filterwarnings("default")  # of what reads it
@pytest.mark.usefixtures("no_network")
def test_datasets_reads_it(photos: Path, tmp_path: Path) -> None:
    import datasets

    table = photos / "table.jsonl"
    told = [
        {"id": "a", "path": "cat/1.png", "class": "a/b", "part": "train", "n": 1, "mixed": 7,
         "tags": ["x", "y"], "image": "mine", "file_name": "theirs"},
        {"id": "b", "path": "dog/1.jpg", "class": "dög", "part": "Test", "n": 2.5, "mixed": "z"},
        {"id": "c", "path": "loose.webp", "class": None, "part": "val"},
        {"id": "d", "path": "old/cat/1.png", "part": "fold-3"},
    ]  # fmt: skip
    table.write_text("".join(json.dumps(row) + "\n" for row in told))
    out = tmp_path / "out"
    from imagefinder.sources import TableColumns

    source = open_source(table, columns=TableColumns("id", "path"))
    report = export_imagefolder(source, out, split="part")
    assert report.splits == {"train": 1, "test": 1, "validation": 1}
    assert [(one.id, one.reason) for one in report.skipped] == [
        ("d", "the column part says neither train nor validation nor test")
    ]
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache")
    )
    assert set(read) == {"train", "validation", "test"}
    [first] = read["train"]
    assert {name: first[name] for name in ("id", "class", "n", "mixed", "tags")} == {
        "id": "a", "class": "a/b", "n": "1", "mixed": "7", "tags": "x, y",
    }  # fmt: skip
    assert (first["image_"], first["file_name_"]) == ("mine", "theirs")
    assert first["image"].convert("RGB").tobytes() == picture(0).tobytes()
    [second] = read["test"]
    assert (second["class"], second["n"], second["mixed"]) == ("dög", "2.5", "z")
    [third] = read["validation"]
    assert (third["class"], third["tags"], third["n"]) == ("", "", "")  # no part may lack a column
    # and it can be exported from again, or indexed: it is a folder of images
    assert sum(item is not None for item in open_source(out).items()) >= 3


def test_what_cannot_be_meant(photos: Path, tmp_path: Path) -> None:
    source = open_source(photos)
    with pytest.raises(errors.TransferError, match="is not empty"):
        export_imagefolder(source, photos)
    with pytest.raises(errors.TransferError, match=r"not a directory|file exists"):
        export_imagefolder(source, photos / "notes.txt")
    (tmp_path / "none").mkdir()
    with pytest.raises(errors.SourceError, match="no image of it could be exported"):
        export_imagefolder(open_source(tmp_path / "none"), tmp_path / "out")
    table = photos / "t.csv"
    table.write_text("path,kind\ncat/1.png,x\n")
    for options in ({"label": "other"}, {"split": "other"}):
        out = tmp_path / f"out-{next(iter(options))}"
        with pytest.raises(errors.SourceError, match=r"no column other .*there is: kind"):
            export_imagefolder(open_source(table), out, **options)


def test_names_that_no_file_may_have(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["0.png", "1.png"])
    table = tmp_path / "t.csv"
    table.write_text("id,path,label\n../../up,0.png,..\ncon:,1.png,a/../b\n")
    out = tmp_path / "deep" / "out"
    export_imagefolder(open_source(table), out)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 3
    for row in rows(out / "train"):
        with Image.open(BytesIO((out / "train" / str(row["file_name"])).read_bytes())) as image:
            assert image.size == (40, 30)
    assert not (tmp_path / "deep" / "up.png").exists()


def test_the_command(photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from imagefinder.cli.main import run

    assert run(["dataset", "export", str(photos), str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert out == "4 images: 4 in train\n"
    assert "2 classes" in err
    assert "cut.jpg: the JPEG is truncated" in err
    assert run(["dataset", "export", str(photos), str(tmp_path / "out")]) == 1
    assert "is not empty" in capfd.readouterr().err
    assert run(["dataset", "export", str(photos), str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["splits"] == {"train": 4}
