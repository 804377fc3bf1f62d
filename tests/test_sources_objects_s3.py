"""A bucket as a source, against a real S3 server over HTTP."""

import csv
import gc
import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from pathlib import Path

import fsspec
import pytest
from moto import settings

from imagefinder import ImageFinder
from imagefinder.errors import FetchError, SourceError
from imagefinder.sources import Fetcher, open_source
from imagefinder.sources.listing import Listed
from imagefinder.testing import FakeEmbedder
from imagefinder.types import ImageRef, Skipped
from tests.image_server import ImageServer, Reply, jpeg
from tests.s3_server import Bucket, S3Server, bucket, forget_connections, s3
from tests.test_sources_folder import paths, skips

__all__ = ["bucket", "s3"]  # fixtures

ODD = (
    *("a b.jpg", "ü/日本.jpg", "what #1?.jpg", "100%41+&.jpg", "[x]*.jpg", "'q\"<&>.jpg"),
    *("//double.jpg", "tail .jpg", "a.tar/no archive.jpg", "{0..9}.jpg", "semi;colon,.jpg"),
)


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        yield finder


def refs(where: str, **options: Sequence[str]) -> list[ImageRef]:
    source = open_source(where, **options)  # type: ignore[arg-type]
    return [item for item in source.items() if isinstance(item, ImageRef)]


def index(finder: ImageFinder, *where: str, **options: object) -> dict[str, int]:
    """The counts that are not 0."""
    counts = finder.index(*where, **options).counts()  # type: ignore[arg-type]
    return {name: count for name, count in counts.items() if count}


# what is listed


def test_a_prefix_with_its_folders(bucket: Bucket) -> None:
    bucket.put({"p/b.jpg": jpeg(1), "p/a/1.JPG": jpeg(2), "p/a/t.txt": b"", "p2/c.jpg": jpeg(3)})
    bucket.put({"p/": b"", "p/a/": b"", "p/.x/1.jpg": b"", "p/a/noname": jpeg(4), "p/a/text": b"t"})
    for url in (f"{bucket.url}/p", f"{bucket.url}/p/"):
        source = open_source(url)
        assert source.root == f"{bucket.url}/p/"
        assert source.complete
        items = list(source.items())
        found = [item for item in items if isinstance(item, ImageRef)]
        assert [ref.path for ref in found] == ["a/1.JPG", "a/noname", "b.jpg"]
        assert items.count(None) == 2
        assert len(items) == 5
        assert found[0].uri == f"{bucket.url}/p/a/1.JPG"
        assert found[0].size == len(jpeg(2))
        assert found[0].mtime_ns is not None
        assert [source.read(ref) for ref in found] == [jpeg(2), jpeg(4), jpeg(1)]


def test_names_of_every_kind_are_read_under_their_uri(bucket: Bucket) -> None:
    images = {f"odd/{name}": jpeg(seed) for seed, name in enumerate(ODD)}
    bucket.put(images)
    source = open_source(f"{bucket.url}/odd")
    found = {ref.path: ref for ref in refs(f"{bucket.url}/odd")}
    assert set(found) == {key.removeprefix("odd/") for key in images}
    fetcher = Fetcher()
    for key, data in images.items():
        ref = found[key.removeprefix("odd/")]
        assert source.read(ref) == data
        assert fetcher.read(ref.uri) == data
        assert source.exists(ref.path)


def test_a_listing_of_several_pages_takes_a_request_each(s3: S3Server, bucket: Bucket) -> None:
    bucket.put({f"p/{n // 10:03}/{n:04}.jpg": b"" for n in range(2500)})
    source = open_source(f"{bucket.url}/p")
    s3.requests.clear()
    found = paths(source)
    assert found == [f"{n // 10:03}/{n:04}.jpg" for n in range(2500)]
    assert s3.requests == {f"LIST {bucket.name}": 3}


def test_a_listing_is_in_memory_by_the_page(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.sources.listing.PAGE", 50)
    bucket.put({f"{n:05}.jpg": b"" for n in range(1000)})
    most = 0
    for number, _ in enumerate(open_source(bucket.url).items()):
        if number % 10 == 0:
            most = max(most, sum(isinstance(found, Listed) for found in gc.get_objects()))
    assert 0 < most <= 150


def test_include_and_exclude(s3: S3Server, bucket: Bucket) -> None:
    names = ("a/1.jpg", "a/2.png", "b/1.jpg", "b/noname")
    bucket.put({name: jpeg(1) for name in names})
    assert paths(open_source(bucket.url, include=["*.jpg"])) == ["a/1.jpg", "b/1.jpg"]
    s3.requests.clear()
    assert paths(open_source(bucket.url, exclude=["b/"])) == ["a/1.jpg", "a/2.png"]
    assert s3.asked("GET") == 0
    assert not open_source(bucket.url, include=["*.jpg"]).complete


def test_one_object(bucket: Bucket) -> None:
    bucket.put({"p/a b.jpg": jpeg(1), "p/a b.jpg.txt": b""})
    source = open_source(f"{bucket.url}/p/a b.jpg")
    (ref,) = source.items()
    assert isinstance(ref, ImageRef)
    assert (ref.id, ref.uri, source.root) == (
        "a b.jpg",
        f"{bucket.url}/p/a b.jpg",
        f"{bucket.url}/p/",
    )
    assert not source.complete
    assert source.read(ref) == jpeg(1)


def test_an_archive_in_a_bucket(bucket: Bucket) -> None:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("one/a.jpg", jpeg(1))
    bucket.put({"all.zip": data.getvalue()})
    (ref,) = refs(f"zip://::{bucket.url}/all.zip")
    assert ref.path == "one/a.jpg"
    assert Fetcher().read(ref.uri) == jpeg(1)


# what is read


def test_an_image_takes_one_request(s3: S3Server, bucket: Bucket) -> None:
    bucket.put({"a.jpg": jpeg(1), "empty.jpg": b""})
    fetcher = Fetcher()
    s3.requests.clear()
    assert fetcher.read(f"{bucket.url}/a.jpg") == jpeg(1)
    assert fetcher.read(f"{bucket.url}/empty.jpg") == b""
    assert s3.requests == {f"GET {bucket.name}/a.jpg": 1, f"GET {bucket.name}/empty.jpg": 1}


def test_an_object_that_is_too_large_is_not_fetched_whole(s3: S3Server, bucket: Bucket) -> None:
    bucket.put({"big.jpg": bytes(5_000_000)})
    sent = s3.sent
    with pytest.raises(FetchError, match=r"^larger than 0\.001 MB$"):
        Fetcher(max_bytes=1000).read(f"{bucket.url}/big.jpg")
    assert s3.sent - sent < 10_000


def test_many_threads_read_at_once(bucket: Bucket) -> None:
    bucket.put({f"{n}.jpg": jpeg(n) for n in range(40)})
    fetcher = Fetcher()
    barrier = threading.Barrier(20)

    def read(n: int) -> bytes:
        if n < 20:
            barrier.wait(30)
        return fetcher.read(f"{bucket.url}/{n}.jpg")

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(read, range(40))) == [jpeg(n) for n in range(40)]


# runs


def test_a_second_run_reads_nothing(s3: S3Server, bucket: Bucket, finder: ImageFinder) -> None:
    bucket.put({f"p/{n}.jpg": jpeg(n) for n in range(30)})
    assert index(finder, f"{bucket.url}/p") == {"added": 30}
    assert s3.asked("GET") == 30
    s3.requests.clear()
    assert index(finder, f"{bucket.url}/p") == {"unchanged": 30}
    assert s3.asked("GET") == 0
    hit = finder.search(jpeg(7), k=1)[0]
    assert (hit.id, hit.uri) == ("7.jpg", f"{bucket.url}/p/7.jpg")
    assert finder.read("7.jpg") == jpeg(7)


def test_changed_and_removed_objects(s3: S3Server, bucket: Bucket, finder: ImageFinder) -> None:
    bucket.put({f"{n:02}.jpg": jpeg(n) for n in range(10)})
    index(finder, bucket.url)
    bucket.put({"03.jpg": jpeg(33)})
    bucket.delete("04.jpg", "05.jpg", "09.jpg")
    bucket.put({"new.jpg": jpeg(11)})
    s3.requests.clear()
    assert index(finder, bucket.url, prune=True) == {
        "added": 1,
        "updated": 1,
        "unchanged": 6,
        "removed": 3,
    }
    assert s3.asked("GET") == 2
    assert sorted(record.id for record in finder.images()) == [
        *("00.jpg", "01.jpg", "02.jpg", "03.jpg", "06.jpg", "07.jpg", "08.jpg", "new.jpg"),
    ]
    assert finder.search(jpeg(33), k=1)[0].id == "03.jpg"


def test_what_is_gone_is_asked_for_by_the_page(s3: S3Server, bucket: Bucket) -> None:
    names = [f"{n:04}.jpg" for n in range(2500)]
    bucket.put(dict.fromkeys(names, b""))
    source = open_source(bucket.url)
    bucket.delete(*names[::2])
    s3.requests.clear()
    assert [source.exists(name) for name in names] == [False, True] * 1250
    assert s3.asked("LIST") == 2
    assert s3.asked("HEAD") == 2
    assert source.exists("0001.jpg")
    assert not source.exists("0000.jpg")
    assert not source.exists("zzz.jpg")


@pytest.mark.parametrize("whole_first", [True, False])
def test_a_prefix_within_a_prefix_is_a_part_of_it(
    bucket: Bucket, finder: ImageFinder, whole_first: bool
) -> None:
    bucket.put({"p/a/1.jpg": jpeg(1), "p/a/2.jpg": jpeg(2), "p/3.jpg": jpeg(3)})
    if whole_first:
        assert index(finder, f"{bucket.url}/p") == {"added": 3}
        assert index(finder, f"{bucket.url}/p/a") == {"unchanged": 2}
    else:
        assert index(finder, f"{bucket.url}/p/a") == {"added": 2}
        assert index(finder, f"{bucket.url}/p") == {"added": 1, "unchanged": 2}
    assert {record.id: record.uri for record in finder.images()} == {
        path: f"{bucket.url}/p/{path}" for path in ("3.jpg", "a/1.jpg", "a/2.jpg")
    }
    assert index(finder, f"{bucket.url}/p/a/1.jpg") == {"unchanged": 1}
    assert index(finder, f"{bucket.url}/p/a") == {"unchanged": 2}
    bucket.delete("p/a/2.jpg")
    assert index(finder, f"{bucket.url}/p", prune=True) == {"unchanged": 2, "removed": 1}


def test_a_bucket_that_has_moved(bucket: Bucket, s3: S3Server, finder: ImageFinder) -> None:
    other = s3.bucket()
    bucket.put({"p/1.jpg": jpeg(1)})
    other.put({"q/1.jpg": jpeg(1)})
    index(finder, f"{bucket.url}/p")
    bucket.delete("p/1.jpg")
    finder.relocate(f"{bucket.url}/p/", f"{other.url}/q/")
    assert finder.read("1.jpg") == jpeg(1)
    assert index(finder, f"{other.url}/q") == {"unchanged": 1}


# what goes wrong


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("s3://no-such-bucket/p", "no such folder or object"),
        ("s3://no-such-bucket", "no such folder or object"),
        ("{bucket}/nothing", "no such folder or object"),
    ],
)
def test_nothing_is_there(bucket: Bucket, where: str, problem: str) -> None:
    bucket.put({"a.jpg": jpeg(1)})
    where = where.format(bucket=bucket.url)
    with pytest.raises(SourceError, match=rf"^{where}: {problem}$"):
        list(open_source(where).items())


@pytest.fixture
def user(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Credentials of a server that from now on lets in nobody without."""
    iam = s3.client("iam")
    iam.create_user(UserName="ada")
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=policy)
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def test_credentials(bucket: Bucket, user: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put({"a.jpg": jpeg(1)})
    for name, value in user.items():
        monkeypatch.setenv(name, value)
    forget_connections()
    assert paths(open_source(bucket.url)) == ["a.jpg"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    forget_connections()
    with pytest.raises(SourceError, match=rf"^{bucket.url}/?: access denied$"):
        list(open_source(bucket.url).items())
    with pytest.raises(FetchError, match=r"^access denied$"):
        Fetcher().read(f"{bucket.url}/a.jpg")


def test_no_credentials(
    s3: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, finder: ImageFinder
) -> None:
    bucket.put({"a.jpg": jpeg(1)})
    s3.client().put_object_acl(Bucket=bucket.name, Key="a.jpg", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_connections()
    with pytest.raises(SourceError, match="no credentials; set AWS_ACCESS_KEY_ID and"):
        open_source(bucket.url)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"anon": True})  # as FSSPEC_S3_ANON=true does
    forget_connections()
    assert index(finder, bucket.url) == {"added": 1}


def test_a_server_that_goes_half_way(
    s3: S3Server, bucket: Bucket, finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.objects.S3_CLIENT_ATTEMPTS", 1)
    bucket.put({f"{n:02}.jpg": jpeg(n) for n in range(12)})
    s3.fault = lambda method, path: method == "GET" and path.endswith("5.jpg")
    report = finder.index(bucket.url)
    assert (report.added, report.skipped) == (11, 1)
    assert [(skipped.id, skipped.uri) for skipped in report.problems] == [
        ("05.jpg", f"{bucket.url}/05.jpg")
    ]
    assert "connection closed" in report.problems[0].reason
    s3.fault = lambda method, path: False
    assert index(finder, bucket.url) == {"added": 1, "unchanged": 11}  # it was not final


def test_a_listing_that_breaks_off_keeps_what_is_done(
    s3: S3Server, bucket: Bucket, finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.sources.listing.PAGE", 20)
    monkeypatch.setattr("imagefinder.ingest.triage.LOOKUP", 5)
    bucket.put({f"{n:02}.jpg": jpeg(n) for n in range(45)})
    listings = []

    def fault(method: str, path: str) -> bool:
        listings.append(method == "LIST")
        return sum(listings) > 2 and method == "LIST"

    s3.fault = fault
    with pytest.raises(SourceError, match=f"^{bucket.url}/: connection"):
        finder.index(bucket.url, workers=1)
    s3.fault = lambda method, path: False
    before = len(finder)
    assert 0 < before <= 40
    assert index(finder, bucket.url) == {"added": 45 - before, "unchanged": before}


def test_a_server_that_is_gone(s3: S3Server, bucket: Bucket) -> None:
    bucket.put({"a.jpg": jpeg(1)})
    source = open_source(bucket.url)
    s3.stop()
    with pytest.raises(SourceError, match=f"^{bucket.url}/: connection failed$"):
        list(source.items())
    with pytest.raises(SourceError, match=f"^{bucket.url}/: connection failed$"):
        source.exists("a.jpg")
    with pytest.raises(FetchError, match=r"^connection failed$"):
        Fetcher().read(f"{bucket.url}/a.jpg")
    s3.start()


# tables


def rows(*fields: Sequence[str]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(fields)
    return text.getvalue().encode()


def parquet(*fields: Sequence[str]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    header, *others = fields
    data = BytesIO()
    table = [dict(zip(header, row, strict=True)) for row in others]
    parquet.write_table(pyarrow.Table.from_pylist(table), data)
    return data.getvalue()


def json_lines(*fields: Sequence[str]) -> bytes:
    header, *others = fields
    lines = [json.dumps(dict(zip(header, row, strict=True))) for row in others]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("name", "made"), [("t.csv", rows), ("t.parquet", parquet), ("t.jsonl", json_lines)]
)
def test_a_table_of_objects(
    name: str, made: object, bucket: Bucket, finder: ImageFinder, tmp_path: Path, s3: S3Server
) -> None:
    bucket.put({"one.jpg": jpeg(1), "a #2?.jpg": jpeg(2)})
    url = bucket.url
    table = made(  # type: ignore[operator]
        ("id", "url", "label"),
        ("1", f"{url}/one.jpg", "x"),
        ("2", f"{url}/a #2?.jpg", "y"),
        ("3", f"{url}/gone.jpg", "z"),
    )
    (tmp_path / name).write_bytes(table)
    assert index(finder, str(tmp_path / name)) == {"added": 2, "skipped": 1}
    assert finder.read("2") == jpeg(2)
    assert finder.get("2").metadata == {"label": "y"}
    assert finder.get("2").uri == f"{url}/a #2?.jpg"
    s3.requests.clear()
    assert index(finder, str(tmp_path / name)) == {"unchanged": 2, "skipped": 1}
    assert s3.requests == {}


@pytest.mark.parametrize(
    ("name", "made"), [("t.csv", rows), ("t.parquet", parquet), ("t.jsonl", json_lines)]
)
def test_a_table_in_a_bucket(name: str, made: object, bucket: Bucket, finder: ImageFinder) -> None:
    bucket.put({"p/t/one.jpg": jpeg(1), "p/two.jpg": jpeg(2), "three #.jpg": jpeg(3)})
    table = made(  # type: ignore[operator]
        ("id", "path"),
        ("1", "t/one.jpg"),
        ("2", "./t/../two.jpg"),
        ("3", f"{bucket.url}/three #.jpg"),
        ("4", "/etc/passwd.jpg"),
        ("5", "file:///etc/passwd.jpg"),
        ("6", "../../../x.jpg"),
        ("7", "../p/t\\one.jpg"),
    )
    bucket.put({f"p/{name}": table})
    url = f"{bucket.url}/p/{name}"
    report = finder.index(url, prune=True)
    assert (report.added, report.skipped) == (4, 3)
    assert {record.id: record.uri for record in finder.images()} == {
        "1": f"{bucket.url}/p/t/one.jpg",
        "2": f"{bucket.url}/p/two.jpg",
        "3": f"{bucket.url}/three #.jpg",
        "7": f"{bucket.url}/p/t/one.jpg",
    }
    assert [finder.read(id) for id in "1237"] == [jpeg(1), jpeg(2), jpeg(3), jpeg(1)]
    reasons = [skipped.reason.partition(": ")[2] for skipped in report.problems]
    assert [reason.rpartition(": ")[0] for reason in reasons] == [
        "a path of a machine, in a table that comes from elsewhere",
        "a path of a machine, in a table that comes from elsewhere",
        "leads out of where the table is",
    ]
    shorter = made(("id", "path"), ("1", "t/one.jpg"), ("3", f"{bucket.url}/three #.jpg"))  # type: ignore[operator]
    bucket.put({f"p/{name}": shorter})
    assert index(finder, url, prune=True) == {"unchanged": 2, "removed": 2}


@pytest.mark.parametrize("ids", ["id,path\n1,a.jpg\n", "path\na.jpg\n"])
def test_a_table_is_no_part_of_the_prefix_that_it_lies_in(
    bucket: Bucket, finder: ImageFinder, ids: str
) -> None:
    bucket.put({"p/t.csv": ids.encode(), "p/a.jpg": jpeg(1), "p/b.jpg": jpeg(2)})
    assert index(finder, f"{bucket.url}/p/t.csv") == {"added": 1}
    table_id = "1" if "id" in ids else "a.jpg"
    both = index(finder, f"{bucket.url}/p", id_prefix="p/")
    assert both == {"added": 2, "ignored": 1}
    assert {record.id: record.uri for record in finder.images()} == {
        table_id: f"{bucket.url}/p/a.jpg",
        "p/a.jpg": f"{bucket.url}/p/a.jpg",
        "p/b.jpg": f"{bucket.url}/p/b.jpg",
    }


def test_the_ids_are_those_of_the_table_in_a_file(bucket: Bucket, tmp_path: Path) -> None:
    table = b"a/1.jpg\nb.jpg\n"
    bucket.put({"p/list.txt": table, "p/a/1.jpg": jpeg(1), "p/b.jpg": jpeg(2)})
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.jpg").write_bytes(jpeg(2))
    (tmp_path / "list.txt").write_bytes(table)
    here, there = refs(str(tmp_path / "list.txt")), refs(f"{bucket.url}/p/list.txt")
    assert [ref.id for ref in here] == [ref.id for ref in there] == ["a/1.jpg", "b.jpg"]


def test_a_table_that_cannot_be_had(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"{bucket.url}/t.csv"
    with pytest.raises(SourceError, match=f"^{url}: no such object$"):
        list(open_source(url).items())
    bucket.put({"t.csv": b"name\nx\n", "empty.csv": b"", "t.parquet": b"no"})
    with pytest.raises(SourceError, match=f"^{url}: no column of paths or URLs among name"):
        list(open_source(url).items())
    with pytest.raises(SourceError, match=f"^{bucket.url}/empty.csv: empty"):
        list(open_source(f"{bucket.url}/empty.csv").items())
    monkeypatch.setattr("imagefinder.sources.remote_table.LARGEST", 4)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    source = open_source(url)
    with pytest.raises(SourceError, match=f"^{url}: larger than 4e-09 GB; split it"):
        list(source.items())
    assert list(tmp_path.iterdir())
    del source
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_table_on_the_web(finder: ImageFinder) -> None:
    with ImageServer().running() as server:
        table = b"id,file\n1,my photo #1.jpg\n2,b/c%20d.jpg\n"
        server.plan("t/list.csv?token=s3cr3t", Reply(body=table))
        server.plan("t/none.csv", Reply(status=404))
        url = server.url("t/list.csv?token=s3cr3t")
        assert index(finder, url) == {"added": 2}
        assert {record.id: record.uri for record in finder.images()} == {
            "1": server.url("t/my%20photo%20%231.jpg"),
            "2": server.url("t/b/c%20d.jpg"),
        }
        assert open_source(url).root == server.url("t/list.csv")
        with pytest.raises(SourceError, match=r"/t/none\.csv: HTTP 404$"):
            finder.index(server.url("t/none.csv"))


def test_a_row_that_names_no_image_is_told_by_its_place(bucket: Bucket) -> None:
    bucket.put({"t.csv": b"id,path\n1,\n"})
    assert skips(open_source(f"{bucket.url}/t.csv")) == [
        Skipped("t.csv:2", f"{bucket.url}/t.csv", "row 1 (line 2): no path or URL in column path")
    ]
