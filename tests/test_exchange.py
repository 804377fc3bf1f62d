"""What is exported comes back as it was, in every format, and a failed export leaves nothing."""

import csv
import errno
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from imagefinder.errors import TransferError
from imagefinder.exchange import read, write
from imagefinder.exchange.vectors import from_text, to_text
from imagefinder.types import ImageRecord

ENDINGS = [".csv", ".npz", ".parquet", ".faiss"]
DIM = 24

FULL = ImageRecord(
    id='a, "b"/ü 猫\n😀.jpg',
    uri="/photos/a b.jpg",
    sha256="0123456789abcdef" * 4,
    width=4000,
    height=3000,
    format="jpeg",
    size=5_000_000_000,
    mtime=1_714_550_400.123456,
    date=datetime(2024, 5, 1, 10, 30, 15, 250_000),
    camera="7",
    latitude=-33.856789012345,
    longitude=151.2,
    metadata={
        "label": "cat",
        "text that looks like a number": "007",
        "year": 2020,
        "year in text": "2020",
        "score": 0.1,
        "good": True,
        "bad in text": "false",
        "null in text": "null",
        "quoted": '"x"',
        "listed": ["a", 1, 2.5, False],
        "list in text": "[1]",
        "object in text": '{"a": 1}',
        "empty": "",
        "spaced": " 7 ",
        "huge": "1e999",
        "nan in text": "NaN",
        "lines": "one\r\ntwo\rthree\n",
        "größe, =1+1": "ß",
        # names that mean something else in a file
        "width": "wide",
        "id": "other",
        "embedding": "x",
        "metadata": '{"y": 1}',
        "metadata.x": 1,
        "embedding_model": "mine",
        "url": "https://example.org/",
        "": "nameless",
    },
)
BARE = ImageRecord(id="007", uri="", sha256="", width=0, height=0, format="", size=0)


def unit_rows(count: int, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def row(number: int) -> ImageRecord:
    return replace(BARE, id=f"{number}.jpg", metadata={"number": number, f"only {number % 3}": "x"})


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_comes_back_as_it_was(ending: str, tmp_path: Path):
    records = [FULL, BARE, *map(row, range(3000))]  # more than one chunk
    embeddings = unit_rows(len(records))
    path = tmp_path / f"export{ending}"
    written = write(path, zip(records, embeddings, strict=True), model="lite0", dim=DIM)
    imported = read(path)
    assert (imported.dim, imported.model) == (DIM, "lite0")
    assert imported.total in (written, None)
    back = list(imported.rows)
    assert written == len(back) == len(records)
    for (record, embedding), expected, sent in zip(back, records, embeddings, strict=True):
        assert record == expected
        assert embedding.dtype == np.float32
        assert embedding.tobytes() == sent.tobytes()
    assert imported.notes == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_the_files_of_the_format_are_left(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    path.write_text("what was there before")
    write(path, [(BARE, unit_rows(1)[0])], model="m", dim=DIM)
    side = {"export.faiss.ids.json"} if ending == ".faiss" else set()
    assert {file.name for file in tmp_path.iterdir()} == {path.name} | side
    assert len(list(read(path).rows)) == 1


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_values_are_left_out(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    metadata = {"none": None, "nan": math.nan, "inf": -math.inf, "list": [None, 1], "kept": 0}
    write(path, [(replace(BARE, metadata=metadata), unit_rows(1)[0])], model="m", dim=DIM)
    ((record, _),) = read(path).rows
    assert record.metadata == {"list": [1], "kept": 0}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_export_leaves_the_old_file(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    path.write_text("the old file")

    def rows() -> Iterator[tuple[ImageRecord, np.ndarray]]:
        yield BARE, unit_rows(1)[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TransferError, match=r"export\..*cannot be written: No space left"):
        write(path, rows(), model="m", dim=DIM)
    assert path.read_text() == "the old file"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_collection_is_exported_and_refused_on_import(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    assert write(path, [], model="m", dim=DIM) == 0
    with pytest.raises(TransferError, match="holds no embeddings"):
        read(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_was_cut_short_is_an_error(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    embeddings = unit_rows(300)
    write(path, zip(map(row, range(300)), embeddings, strict=True), model="m", dim=DIM)
    whole = path.read_bytes()
    for part in (0.0, 0.3, 0.6, 0.99):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(TransferError) as caught:
            list(read(path).rows)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_that_is_no_unicode_is_not_written(ending: str, tmp_path: Path):
    path = tmp_path / f"export{ending}"
    record = replace(BARE, id="half \ud800")
    with pytest.raises(TransferError, match="cannot be written"):
        write(path, [(record, unit_rows(1)[0])], model="m", dim=DIM)
    assert list(tmp_path.iterdir()) == []


def test_an_embedding_of_another_size_is_not_written(tmp_path: Path):
    with pytest.raises(TransferError, match="007: its embedding has 3 numbers, the space has 24"):
        write(tmp_path / "a.csv", [(BARE, np.ones(3, np.float32))], model="m", dim=DIM)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a.txt", r"the known ones are \.csv, \.npz, \.parquet, \.faiss"),
        ("export", "the ending of the name tells the format"),
        ("missing/a.csv", "cannot be written: No such file or directory"),
        ("folder.csv", "is a folder"),
    ],
)
def test_where_nothing_can_be_written(name: str, problem: str, tmp_path: Path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TransferError, match=problem):
        write(tmp_path / name, [], model="m", dim=DIM)


def test_csv_is_plain_for_other_programs(tmp_path: Path):
    path = tmp_path / "export.csv"
    embedding = unit_rows(1)[0]
    record = replace(FULL, id="a.jpg", metadata={"label": "cat", "year": 2020})
    write(path, [(record, embedding)], model="lite0", dim=DIM)
    with path.open(encoding="utf-8", newline="") as file:
        (cells,) = csv.DictReader(file)
    assert list(cells) == [
        *("id", "uri", "sha256", "width", "height", "format", "size", "mtime", "date", "camera"),
        *("latitude", "longitude", "label", "year", "embedding_model", "embedding"),
    ]
    assert (cells["id"], cells["width"], cells["label"]) == ("a.jpg", "4000", "cat")
    assert (cells["date"], cells["year"]) == ("2024-05-01T10:30:15.250000", "2020")
    assert np.array(json.loads(cells["embedding"]), np.float32).tobytes() == embedding.tobytes()


def test_npz_is_plain_for_other_programs(tmp_path: Path):
    path = tmp_path / "export.npz"
    embeddings = unit_rows(2)
    write(path, zip([FULL, BARE], embeddings, strict=True), model="lite0", dim=DIM)
    with np.load(path) as arrays:
        assert arrays["ids"].tolist() == [FULL.id, "007"]
        assert arrays["embeddings"].tobytes() == embeddings.tobytes()
        assert arrays["model"].tolist() == ["lite0"]
        lines = arrays["records"].tobytes().decode().splitlines()
    assert json.loads(lines[0])["label"] == "cat"


def test_parquet_is_plain_for_other_programs(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "export.parquet"
    write(path, zip([FULL, BARE], unit_rows(2), strict=True), model="lite0", dim=DIM)
    table = parquet.read_table(path)
    assert str(table.schema.field("embedding").type) == "list<element: float>"
    first = table.to_pylist()[0]
    assert (first["id"], first["width"], first["date"]) == (FULL.id, 4000, FULL.date)
    assert json.loads(first["metadata"])["label"] == "cat"


def test_faiss_is_plain_for_other_programs(tmp_path: Path):
    faiss = pytest.importorskip("faiss")
    path = tmp_path / "export.faiss"
    embeddings = unit_rows(50)
    write(path, zip(map(row, range(50)), embeddings, strict=True), model="lite0", dim=DIM)
    scores, numbers = faiss.read_index(str(path)).search(embeddings[7:8], 1)
    assert scores[0, 0] == pytest.approx(1)
    records = json.loads((tmp_path / "export.faiss.ids.json").read_text())["records"]
    assert records[numbers[0, 0]]["id"] == "7.jpg"


def test_every_float32_survives_text():
    bits = np.random.default_rng(1).integers(0, 2**32, 100_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    assert from_text(to_text(numbers)).astype(np.float32).tobytes() == numbers.tobytes()
