"""Tables cleaned and split: rows stay as they are, paths lead to the same files, and copies stay
together."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from imagefinder import errors
from imagefinder.dataset import CleanReport, SplitPlan, clean, split_table
from imagefinder.sources import Fetcher, open_source
from imagefinder.testing import FakeEmbedder
from imagefinder.types import ImageRef
from tests.image_server import ImageServer, Reply
from tests.pictures import picture, write_pictures

NAMES = [f"{number}.png" for number in range(8)]

MESSY = (
    'sep=;\r\n'
    'id;path;"note; more";count\r\n'
    '001;0.png;"a\r\nlong; ""note""";1e5\r\n'  # as it stands, over two lines
    '\r\n'
    '2;1.png;;007\r\n'
    '3;0.png;again;1\r\n'
    '001;2.png;;2\r\n'
    '4;3.png\r\n'
    '5;none.png;;3\r\n'
    '6;;;4\r\n'
    '7;http://[x/y.png;;5\r\n'
    '8;sub\\3.png;;6\r\n'
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_pictures(folder, NAMES)
    (folder / "sub").mkdir()
    shutil.copy(folder / "1.png", folder / "sub" / "3.png")  # the bytes of 1.png
    return folder


def kinds(report: CleanReport) -> list[tuple[int, str]]:
    return [(one.row, one.kind) for one in report.dropped]


def text(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def uris(table: Path) -> list[str]:
    """Where the images of a table are; every row has to name one."""
    items = list(open_source(table).items())
    assert all(isinstance(item, ImageRef) for item in items), items
    return [item.uri for item in items if isinstance(item, ImageRef)]


def test_rows_that_stay_are_as_they_were(folder: Path) -> None:
    table = folder / "table.csv"
    table.write_text(MESSY, newline="")
    report = clean(table, folder / "clean.csv")
    assert (report.rows, report.kept) == (9, 3)
    assert kinds(report) == [
        (3, "same location"),
        (4, "same id"),
        (5, "malformed"),
        (6, "missing"),
        (7, "malformed"),
        (8, "malformed"),
    ]
    lines = MESSY.splitlines(keepends=True)
    assert text(folder / "clean.csv") == "".join([*lines[:6], lines[-1]])
    with (folder / "clean.dropped.csv").open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert listed[0] == {
        "row": "3", "line": "7", "kind": "same location",
        "reason": "the same location as in row 1",
    }  # fmt: skip
    assert listed[3]["reason"] == "no such file"
    assert sorted(path.name for path in folder.glob(".*")) == []


def test_the_same_bytes_under_another_name(folder: Path) -> None:
    table = folder / "table.csv"
    table.write_text(MESSY, newline="")
    (folder / "2.png").write_text("no image")
    report = clean(table, folder / "clean.csv", by_content=True)
    assert (9, "same content") in kinds(report)
    assert report.kept == 2


def test_what_is_dropped_makes_nothing_else_a_copy(folder: Path) -> None:
    """A row whose file is missing does not take the id, nor the place of the row that stays."""
    table = folder / "table.csv"
    table.write_text("id,path\n1,none.png\n1,0.png\n2,0.png\n2,1.png\n")
    report = clean(table, folder / "clean.csv")
    assert text(folder / "clean.csv") == "id,path\n1,0.png\n2,1.png\n"
    assert kinds(report) == [(1, "missing"), (3, "same location")]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_every_format_keeps_its_columns(folder: Path, tmp_path: Path, elsewhere: bool) -> None:
    rows = [
        {"path": "0.png", "a": {"b": [1, 2]}, "deep": [[1]], "é": "ü"},
        {"path": "none.png", "a": None, "deep": None, "é": "x"},
        {"path": "1.png", "a": {"b": [3]}, "deep": [[2], [3]], "é": "y"},
    ]
    target = tmp_path / "other" if elsewhere else folder
    target.mkdir(exist_ok=True)
    kept = [dict(rows[0]), dict(rows[2])]
    if elsewhere:
        kept[0]["path"], kept[1]["path"] = "../data/0.png", "../data/1.png"

    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clean(folder / "t.jsonl", target / "c.jsonl")
    assert [json.loads(line) for line in text(target / "c.jsonl").splitlines()] == kept

    (folder / "t.json").write_text(json.dumps({"version": 1, "images": rows}))
    clean(folder / "t.json", target / "c.json")
    assert json.loads(text(target / "c.json")) == {"version": 1, "images": kept}

    (folder / "t.txt").write_text("# mine\n0.png\nnone.png\n1.png")
    clean(folder / "t.txt", target / "c.txt")
    first, second = kept[0]["path"], kept[1]["path"]
    assert text(target / "c.txt").rstrip() == f"# mine\n{first}\n{second}"

    (folder / "t.tsv").write_text("path\tn\n0.png\t1\nnone.png\t2\n1.png\t3\n")
    clean(folder / "t.tsv", target / "c.tsv")
    assert text(target / "c.tsv") == f"path\tn\n{first}\t1\n{second}\t3\n"


@pytest.mark.parametrize("elsewhere", [False, True])
def test_parquet_keeps_its_types(folder: Path, tmp_path: Path, elsewhere: bool) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = pyarrow.schema(
        [("path", pyarrow.large_string()), ("n", pyarrow.int8()), ("deep", pyarrow.list_(
            pyarrow.list_(pyarrow.float32())))]
    )  # fmt: skip
    rows = [{"path": f"{number % 9}.png", "n": number % 100, "deep": [[0.5], []]}
            for number in range(3000)]  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), folder / "t.parquet")
    target = tmp_path / "other" if elsewhere else folder
    target.mkdir(exist_ok=True)
    report = clean(folder / "t.parquet", target / "c.parquet")
    assert report.counts == {"same location": 2659, "missing": 333}
    found = parquet.read_table(target / "c.parquet")
    assert found.schema == schema
    prefix = "../data/" if elsewhere else ""
    assert found.to_pylist() == [{**row, "path": prefix + row["path"]} for row in rows[:8]]


def test_dead_links(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    with ImageServer().running() as server:
        server.plan("gone.jpg", Reply(404, b"no"))
        server.plan("page.jpg", Reply(body=b"<html>"))
        urls = [server.url(name) for name in ("a.jpg", "gone.jpg", "page.jpg", "b.jpg")]
        table.write_text("\n".join(["url", *urls]) + "\n")
        assert clean(table, tmp_path / "all.csv").kept == 4
        assert not server.requests
        fetcher = Fetcher(retries=0)
        report = clean(table, tmp_path / "c.csv", check_links=True, fetcher=fetcher)
        fetcher.close()
    assert [(one.row, one.kind) for one in report.dropped] == [(2, "dead"), (3, "dead")]
    assert "404" in report.dropped[0].reason
    assert report.dropped[1].reason == "not an image: the content is HTML"
    assert text(tmp_path / "c.csv") == f"url\n{urls[0]}\n{urls[3]}\n"


def test_what_cannot_be_meant(folder: Path) -> None:
    table = folder / "t.csv"
    table.write_text("path\n0.png\n")
    with pytest.raises(errors.UsageError, match=r"call it \*\.csv"):
        clean(table, folder / "t.parquet")
    with pytest.raises(errors.UsageError, match="the table itself"):
        clean(table, folder / "sub" / ".." / "t.csv")
    with pytest.raises(errors.TransferError, match="cannot be written: no such file"):
        clean(table, folder / "none" / "c.csv")
    table.write_text("name,size\na,1\n")
    with pytest.raises(errors.SourceError, match="no column of paths or URLs"):
        clean(table, folder / "c.csv")
    table.write_text("path,size\n")
    with pytest.raises(errors.SourceError, match="has no row that can be read"):
        clean(table, folder / "c.csv")
    assert not (folder / "c.csv").exists()


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Ten images of each of two classes, of which two have a copy, and one that looks the same."""
    folder = tmp_path / "data"
    rows = ["path,label,part"]
    for number in range(20):
        name = f"{number}.png"
        write_pictures(folder, [name], first=number)
        rows.append(f"{name},{'cat' if number < 10 else 'dog'},{'test' if number % 5 == 0 else ''}")
    for number in (0, 11):
        shutil.copy(folder / f"{number}.png", folder / f"copy-{number}.png")
        rows.append(f"copy-{number}.png,{'cat' if number < 10 else 'dog'},")
    picture(5).save(folder / "again-5.bmp")
    rows += ["again-5.bmp,cat,", "none.png,cat,"]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def names(table: Path) -> set[str]:
    return {Path(uri).name for uri in uris(table)}


@pytest.mark.parametrize("seed", range(6))
def test_no_copies_across_the_parts(labelled: Path, tmp_path: Path, seed: int) -> None:
    parts = tmp_path / "parts"
    plan = SplitPlan(test=0.25, seed=seed)
    report = split_table(labelled / "labels.csv", parts, plan=plan, embedder=FakeEmbedder())
    train, test = names(parts / "train.csv"), names(parts / "test.csv")
    assert (report.trained, report.tested) == (len(train), len(test))
    assert len(train | test) == 23
    assert not train & test
    assert report.groups == 3
    for pair in ({"0.png", "copy-0.png"}, {"11.png", "copy-11.png"}, {"5.png", "again-5.bmp"}):
        assert pair <= train or pair <= test
    assert [(one.row, one.reason) for one in report.dropped] == [(24, "no such file")]
    with (parts / "test.csv").open() as file:
        classes = [row["label"] for row in csv.DictReader(file)]
    assert {classes.count("cat"), classes.count("dog")} <= {2, 3, 4}  # of 12 and 11, a quarter
    before = text(parts / "test.csv")
    split_table(labelled / "labels.csv", parts, plan=plan, embedder=FakeEmbedder())
    assert text(parts / "test.csv") == before


def test_a_column_says_what_is_the_test(labelled: Path, tmp_path: Path) -> None:
    plan = SplitPlan(by="part")
    report = split_table(labelled / "labels.csv", tmp_path / "parts", plan=plan)
    # 0.png has a copy that is not of the test, 5.png only looks the same
    assert names(report.test) == {"5.png", "10.png", "15.png"}
    assert report.straddling == 1
    assert "0.png" not in names(report.train)
    plan = SplitPlan(by="part", values=["none"])
    with pytest.raises(errors.UsageError, match="one part is empty"):
        split_table(labelled / "labels.csv", tmp_path / "parts", plan=plan)
    with pytest.raises(errors.SourceError, match="no column other; there is: path, label, part"):
        split_table(labelled / "labels.csv", tmp_path / "p", plan=SplitPlan(by="other"))
    with pytest.raises(errors.UsageError, match="a share between 0 and 1"):
        SplitPlan(test=1)


def test_the_commands(labelled: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from imagefinder.cli.main import run

    table, parts = str(labelled / "labels.csv"), str(tmp_path / "parts")
    assert run(["dataset", "clean", table, "--output", str(labelled / "clean.csv")]) == 0
    out, err = capfd.readouterr()
    assert out == f"23 rows of 24 in {labelled / 'clean.csv'}\n"
    assert "1 without a file" in err
    assert run(["dataset", "clean", table, "-o", str(labelled / "c.csv"), "--by-content",
                "--json"]) == 0  # fmt: skip
    assert json.loads(capfd.readouterr().out)["dropped"] == {"same content": 2, "missing": 1}
    assert run(["dataset", "split", table, "--output", parts, "--test", "0.25", "--no-looks"]) == 0
    out, err = capfd.readouterr()
    assert out.endswith(f"in {tmp_path / 'parts' / 'test.csv'}\n")
    assert "2 groups of copies" in err
    assert "left out row 24: no such file" in err
    assert run(["dataset", "split", table, "-o", parts, "--by", "label=dog", "--no-looks",
                "--json"]) == 0  # fmt: skip
    found = json.loads(capfd.readouterr().out)
    assert (found["train"], found["test"], found["straddling"]) == (12, 11, 0)
    assert run(["dataset", "clean", str(labelled), "-o", "x.csv"]) == 2
    assert run(["dataset", "clean", str(labelled / "none.csv"), "-o", "x.csv"]) == 1
