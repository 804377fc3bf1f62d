"""Tables: every format and encoding, columns by name, and rows that are wrong."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from imagefinder.errors import SourceError
from imagefinder.protocols import Source
from imagefinder.sources import Fetcher, TableColumns, open_source
from imagefinder.types import ImageRef, Skipped
from tests.image_server import ImageServer, jpeg
from tests.test_sources_folder import fill, paths, skips

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "image-urls.csv"


def table(tmp_path: Path, content: str | bytes, name: str = "images.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refs(source: Source) -> list[ImageRef]:
    return [item for item in source.items() if isinstance(item, ImageRef)]


@pytest.mark.skipif(not SHARED.is_file(), reason="../shared/data/image-urls.csv is not there")
def test_the_real_table_gives_295_images_and_names_its_bad_row() -> None:
    source = open_source(SHARED)
    found = refs(source)
    assert len(found) == len({ref.id for ref in found}) == len({ref.uri for ref in found}) == 295
    (bad,) = skips(source)
    assert bad.id == "image-urls.csv:296"
    assert bad.reason == (
        "row 295 (line 296): 3 fields where the header has 2: "
        "https://farm6.staticflickr.com/3016/2814480856_58f6012cc0_o.jpg,88162url,id"
    )
    # The image of the bad row stands properly at the end of the table, and is not lost.
    assert found[-1].id == "88162"
    assert found[-1].uri == "https://farm6.staticflickr.com/3016/2814480856_58f6012cc0_o.jpg"


def test_a_table_pasted_to_itself_without_a_line_end_loses_no_image(tmp_path: Path) -> None:
    text = "url,id\n" + "\n".join(f"https://h{n}.example.com/{n}.jpg,{n}" for n in range(5))
    source = open_source(table(tmp_path, text + text))
    assert [ref.id for ref in refs(source)] == ["0", "1", "2", "3", "4"]
    (bad,) = skips(source)
    assert bad == Skipped(
        "images.csv:6",
        str(tmp_path.resolve() / "images.csv"),
        "row 5 (line 6): 3 fields where the header has 2: https://h4.example.com/4.jpg,4url,id",
    )
    assert source.complete
    assert source.root == str(tmp_path.resolve() / "images.csv")


def test_paths_are_relative_to_the_table_and_other_columns_become_metadata(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "data/pics/a.jpg", "outside.jpg")
    rows = [
        ["ID", "File Name", "label", "width", "score", "code", "exp", "note"],
        ["1", "pics/a.jpg", "cat", "640", "-4.5", "007", "1e5", ""],
        ["2", r"pics\a.jpg", "  dog ", "-3", "4.50", "0", "-0", "9007199254740993"],
        ["3", "../outside.jpg", "", "", "", "", "", ""],
        ["4", str(tmp_path / "outside.jpg"), "", "", "", "", "", ""],
        ["5", "pics/missing.jpg", "", "", "", "", "", ""],
        ["6", "pics", "", "", "", "", "", ""],
        ["7", "", "", "", "", "", "", ""],
        ["", "pics/a.jpg", "", "", "", "", "", ""],
    ]
    text = StringIO()
    csv.writer(text).writerows(rows)
    source = open_source(table(tmp_path / "data", text.getvalue()))
    found = refs(source)
    root = tmp_path.resolve()
    assert [(ref.id, ref.path, ref.uri) for ref in found] == [
        ("1", "pics/a.jpg", f"{root}/data/pics/a.jpg"),
        ("2", "pics/a.jpg", f"{root}/data/pics/a.jpg"),
        ("3", f"{root}/outside.jpg", f"{root}/outside.jpg"),
        ("4", f"{root}/outside.jpg", f"{root}/outside.jpg"),
    ]
    status = (tmp_path / "outside.jpg").stat()
    assert (found[2].size, found[2].mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert found[0].metadata == {
        "label": "cat",
        "width": 640,
        "score": -4.5,
        "code": "007",
        "exp": "1e5",
    }
    assert found[1].metadata == {
        "label": "dog",
        "width": -3,
        "score": "4.50",
        "code": 0,
        "exp": "-0",
        "note": "9007199254740993",  # a float could not hold it
    }
    assert dict(found[2].metadata) == {}
    assert source.read(found[0]) == jpeg(1)
    assert [(skip.id, skip.reason) for skip in skips(source)] == [
        ("5", "row 5 (line 6): no such file"),
        ("6", "row 6 (line 7): not a file"),
        ("images.csv:8", "row 7 (line 8): no path or URL in column File Name"),
        ("images.csv:9", "row 8 (line 9): no id in column ID"),
    ]


def test_without_ids_the_path_or_url_is_the_id(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    text = "url\nhttps://x.example.com/a.jpg?id=7\n./a.jpg\nhttps://x.example.com/a.jpg?id=8\n"
    found = refs(open_source(table(tmp_path, text)))
    assert [ref.id for ref in found] == [
        "https://x.example.com/a.jpg?id=7",
        "a.jpg",
        "https://x.example.com/a.jpg?id=8",
    ]


def test_only_rows_with_the_same_id_and_place_are_the_same(tmp_path: Path) -> None:
    text = "id,url,n\na,https://x/1.jpg,1\na,https://x/1.jpg,2\na,https://x/2.jpg,3\nb,https://x/1.jpg,4\n"
    found = refs(open_source(table(tmp_path, text)))
    assert [ref.metadata["n"] for ref in found] == [1, 3, 4]


@pytest.mark.parametrize(
    ("header", "id", "location"),
    [
        ("image_id,Image URL,label", "image_id", "Image URL"),
        ("url,filename,name", "name", "url"),
        ("key,src,file_name", "key", "file_name"),
        ("UID,filePath,name", "UID", "filePath"),
        ("name,img", "name", "img"),
    ],
)
def test_columns_are_found_by_their_usual_names(
    tmp_path: Path, header: str, id: str, location: str
) -> None:
    row = dict.fromkeys(header.split(","), "other") | {id: "the-id", location: "http://h/a"}
    (ref,) = refs(open_source(table(tmp_path, f"{header}\n{','.join(row.values())}\n")))
    assert (ref.id, ref.uri) == ("the-id", "http://h/a")
    assert set(ref.metadata) == set(row) - {id, location}


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = table(tmp_path, "nr,where,url\n1,http://h/a.jpg,none\n")
    (ref,) = refs(open_source(path, columns=TableColumns(id="NR", location="where")))
    assert (ref.id, ref.uri, ref.metadata) == ("1", "http://h/a.jpg", {"url": "none"})
    with pytest.raises(SourceError, match=r"no column x \(--id-column\); it has nr, where, url"):
        refs(open_source(path, columns=TableColumns(id="x")))


def test_a_table_without_such_columns_names_what_it_has_and_the_options(tmp_path: Path) -> None:
    path = table(tmp_path, "nr,where\n1,2\n")
    with pytest.raises(SourceError) as caught:
        refs(open_source(path))
    assert str(caught.value) == (
        f"{path.resolve()}: no column of paths or URLs among nr, where; "
        "say which with --location-column, and --id-column for the ids"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    encoding: str,
    delimiter: str,
    end: str,
) -> None:
    lines = [["id", "url", "place"], ["1", "http://h/a.jpg", "Zürich"]]
    text = end.join(delimiter.join(line) for line in lines) + end
    (ref,) = refs(open_source(table(tmp_path, text.encode(encoding))))
    assert (ref.id, ref.uri, ref.metadata) == ("1", "http://h/a.jpg", {"place": "Zürich"})
    assert ("read as Latin-1" in caplog.text) == (encoding == "latin-1")


def test_quotes_may_hold_delimiters_and_line_ends(tmp_path: Path) -> None:
    text = (
        'sep=;\nid;url;text\n1;"http://h/a;b.jpg";"two\nlines; ""quoted"""\n\n2;http://h/2.jpg;x\n'
    )
    found = refs(open_source(table(tmp_path, text)))
    assert [(ref.id, ref.uri, ref.metadata["text"]) for ref in found] == [
        ("1", "http://h/a;b.jpg", 'two\nlines; "quoted"'),
        ("2", "http://h/2.jpg", "x"),
    ]


@pytest.mark.parametrize("rows", [10, 20_000])  # within and beyond what csv takes as one field
def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path, rows: int) -> None:
    lines = [f"{n},http://h/{n}.jpg,x" for n in range(rows)]
    lines[3] = '3,"http://h/3.jpg,x'
    source = open_source(table(tmp_path, "\n".join(["id,url,label", *lines])))
    assert [ref.id for ref in refs(source)] == [str(n) for n in range(rows) if n != 3]
    (bad,) = skips(source)
    assert bad.id == "images.csv:5"
    assert bad.reason.startswith("row 4 (line 5): ")


def test_fields_too_many_or_too_few_are_told_and_empty_ones_at_the_end_are_not(
    tmp_path: Path,
) -> None:
    text = "id,url,label\n1,http://h/1.jpg,x,,\n2,http://h/2.jpg\n3\n4,http://h/4.jpg,x,y\n"
    source = open_source(table(tmp_path, text))
    assert [ref.id for ref in refs(source)] == ["1"]
    assert [skip.reason for skip in skips(source)] == [
        "row 2 (line 3): 2 fields where the header has 3: 2,http://h/2.jpg",
        "row 3 (line 4): 1 field where the header has 3: 3",
        "row 4 (line 5): 4 fields where the header has 3: 4,http://h/4.jpg,x,y",
    ]


def test_a_table_without_a_header(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    found = refs(open_source(table(tmp_path, "cat,http://h/1.jpg\ndog,http://h/2.jpg\n")))
    assert [(ref.uri, ref.metadata) for ref in found] == [
        ("http://h/1.jpg", {"column_1": "cat"}),
        ("http://h/2.jpg", {"column_1": "dog"}),
    ]
    assert paths(open_source(table(tmp_path, "a.jpg\nhttp://h/2.jpg\n"))) == [
        "a.jpg",
        "http://h/2.jpg",
    ]


def test_columns_without_or_with_the_same_name(tmp_path: Path) -> None:
    (ref,) = refs(open_source(table(tmp_path, "url,a,,a\nhttp://h/1.jpg,1,2,3\n")))
    assert ref.metadata == {"a": 1, "column_3": 2, "a_2": 3}


def test_a_list_of_paths_and_urls(tmp_path: Path) -> None:
    fill(tmp_path, "a b.jpg")
    text = "# my pictures\na b.jpg\n\nhttps://h/1,2.jpg\nmissing.jpg\n"
    source = open_source(table(tmp_path, text, "list.txt"))
    assert paths(source) == ["a b.jpg", "https://h/1,2.jpg"]
    assert [skip.reason for skip in skips(source)] == ["row 3 (line 5): no such file"]
    with pytest.raises(SourceError, match="not a list of images"):
        refs(open_source(table(tmp_path, "Dear diary\n", "diary.txt")))


def test_json_lines_keep_their_types_and_are_flat(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "url": "http://h/7.jpg", "n": "12", "ok": True, "f": 1.5, "none": None},
        {"id": "8", "url": "http://h/8.jpg", "tags": ["a", "b"], "size": {"w": 1, "of": {"x": 2}}},
        {"id": 9, "url": "http://h/9.jpg", "mixed": [{"a": 1}], "inf": float("inf")},
        "http://h/10.jpg",
    ]
    text = "\n".join(map(json.dumps, rows)) + '\n\n{"id": 11, "url"\n12\n{"id": 13}\n'
    source = open_source(table(tmp_path, text, "images.jsonl"))
    assert [(ref.id, dict(ref.metadata)) for ref in refs(source)] == [
        ("7", {"n": "12", "ok": True, "f": 1.5}),
        ("8", {"tags": ["a", "b"], "size.w": 1, "size.of.x": 2}),
        ("9", {}),
        ("http://h/10.jpg", {}),
    ]
    assert [skip.reason for skip in skips(source)] == [
        'row 5 (line 6): not JSON: {"id": 11, "url"',
        "row 6 (line 7): neither an object nor a text: 12",
        "row 7 (line 8): no path or URL",
    ]


def test_half_letters_in_json_do_no_harm(tmp_path: Path) -> None:
    text = r'{"id": "\ud800x", "url": "http://h/\udfff.jpg", "t": "\ud83d\ude00"}'
    (ref,) = refs(open_source(table(tmp_path, text, "images.jsonl")))
    assert (ref.id, ref.uri, ref.metadata["t"]) == ("\ufffdx", "http://h/\ufffd.jpg", "\U0001f600")


def test_a_json_list_and_the_list_of_an_object(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "http://h/1.jpg"}]
    for content in (images, {"info": {}, "images": images}):
        (ref,) = refs(open_source(table(tmp_path, json.dumps(content), "coco.json")))
        assert (ref.id, ref.uri) == ("1", "http://h/1.jpg")
    for content in ("{", '{"a": 1}', "7"):
        with pytest.raises(SourceError, match=r"coco\.json: (not JSON|holds no list)"):
            refs(open_source(table(tmp_path, content, "coco.json")))


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "id": [1, 2, 3],
        "url": [None, "http://h/2.jpg", "http://h/3.jpg"],
        "n": [1.5, None, float("nan")],
        "at": [{"x": 1}, {"x": 2}, None],
    }
    path = tmp_path / "images.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    source = open_source(path)
    assert [(ref.id, ref.uri, dict(ref.metadata)) for ref in refs(source)] == [
        ("2", "http://h/2.jpg", {"at.x": 2}),
        ("3", "http://h/3.jpg", {}),
    ]
    (bad,) = skips(source)
    assert (bad.id, bad.reason) == ("images.parquet:1", "row 1: no path or URL in column url")
    path.write_bytes(b"PAR1 is not enough")
    with pytest.raises(SourceError, match="not a Parquet file"):
        refs(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"\x00\x01\x02", "not a text file"), (b"PK\x03\x04\x00", "not a text file")],
)
def test_what_only_has_the_name_of_a_table(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        refs(open_source(table(tmp_path, content)))


def test_an_image_with_the_name_of_a_table_is_an_image(tmp_path: Path) -> None:
    fill(tmp_path, "odd.csv")
    assert paths(open_source(tmp_path / "odd.csv")) == ["odd.csv"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://", "not a valid URL"),
        ("https:///a.jpg", "not a valid URL"),
        ("https://[::1/a.jpg", "not a valid URL"),
        ("htps://host/a.jpg", "htps:// is no known kind of address"),
        ('"http://h/a\nb.jpg"', "control characters"),
    ],
)
def test_urls_that_cannot_be_are_told(tmp_path: Path, location: str, reason: str) -> None:
    source = open_source(table(tmp_path, f"id,url\n1,{location}\n2,http://h/2.jpg\n"))
    assert [ref.id for ref in refs(source)] == ["2"]
    (bad,) = skips(source)
    assert bad.reason.startswith("row 1 (line 2): ")
    assert reason in bad.reason


def test_globs_and_samples_choose_rows(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.jpg")
    text = "url\na.png\nb.jpg\nhttps://h.example.com/x/c.PNG?size=1\n"
    path = table(tmp_path, text)
    source = open_source(path, include=["*.png"])
    assert paths(source) == ["a.png", "https://h.example.com/x/c.PNG?size=1"]
    assert not source.complete
    assert paths(open_source(path, exclude=["h.example.com/x"])) == ["a.png", "b.jpg"]
    assert len(paths(open_source(path, sample=2))) == 2


def test_a_table_tells_what_it_still_holds(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    source = open_source(table(tmp_path, "url\na.jpg\ngone.jpg\nhttps://h/1.jpg\n"))
    assert [source.exists(path) for path in ("a.jpg", "https://h/1.jpg")] == [True, True]
    # in the folder but not in the table, in the table but not in the folder, in neither
    assert not any(source.exists(path) for path in ("b.jpg", "gone.jpg", "https://h/2.jpg"))


def test_secrets_of_urls_are_used_but_never_shown(tmp_path: Path) -> None:
    text = (
        "url,label\n"
        "https://user:pa55word@h.example.com/a.jpg?id=7&token=s3cr3t&x-amz-signature=abc#f,x\n"
        "https://user:pa55word@:80/b.jpg?token=s3cr3t,x\n"
        "https://user:pa55word@h.example.com/c.jpg?token=s3cr3t,x,y\n"
    )
    with ImageServer().running() as server:
        fetcher = Fetcher(transport=server.transport())
        source = open_source(table(tmp_path, text), fetcher=fetcher)
        items = list(source.items())
        (ref,) = (item for item in items if isinstance(item, ImageRef))
        assert ref.id == ref.path == ref.uri == "https://h.example.com/a.jpg?id=7"
        assert "pa55word" not in repr(items)
        assert "s3cr3t" not in repr(items)
        assert source.read(ref)
        (request,) = server.requests
    assert request == "h.example.com/a.jpg?id=7&token=s3cr3t&x-amz-signature=abc"
