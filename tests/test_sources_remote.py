"""One image at a URL, and the images of an object store, here fsspec's in memory."""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from imagefinder.errors import FetchError, MissingExtraError, SourceError
from imagefinder.sources import Fetcher, open_source
from imagefinder.types import ImageRef, Skipped
from tests.image_server import ImageServer, jpeg
from tests.s3_server import without_s3fs
from tests.test_sources_folder import paths, skips


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    memory = fsspec.filesystem("memory")
    memory.pipe(
        {
            "/bucket/photos/b.jpg": jpeg(2),
            "/bucket/photos/a/1.JPG": jpeg(1),
            "/bucket/photos/a/.hidden.jpg": jpeg(1),
            "/bucket/photos/a/noname": jpeg(3),
            "/bucket/photos/a/notes": b"notes",
            "/bucket/photos/a/notes.txt": b"notes",
            "/bucket/photos/c #?.jpg": jpeg(4),
            "/bucket/photos2/x.jpg": jpeg(5),
        }
    )
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_one_image_over_http() -> None:
    with ImageServer().running() as server:
        url = server.url("a.jpg?id=7").replace("//", "//user:pa55@") + "&token=s3cr3t"
        source = open_source(url)
        (ref,) = source.items()
        assert isinstance(ref, ImageRef)
        assert ref.id == ref.path == ref.uri == source.root == server.url("a.jpg?id=7")
        assert ref.size is None
        assert not source.complete
        assert source.exists(ref.path)
        assert source.read(ref)
        assert list(server.requests) == ["127.0.0.1/a.jpg?id=7&token=s3cr3t"]


def test_a_prefix_of_an_object_store(bucket: fsspec.AbstractFileSystem) -> None:
    for url in ("memory://bucket/photos", "memory://bucket/photos/"):
        source = open_source(url)
        assert source.root == "memory://bucket/photos/"
        assert source.complete
        items = list(source.items())
        refs = [item for item in items if isinstance(item, ImageRef)]
        assert [ref.path for ref in refs] == ["a/1.JPG", "a/noname", "b.jpg", "c #?.jpg"]
        assert items.count(None) == 2
        assert refs[0].id == "a/1.JPG"
        assert refs[0].uri == "memory://bucket/photos/a/1.JPG"
        assert refs[0].size == len(jpeg(1))
        assert refs[0].mtime_ns is not None
        assert [source.read(ref) for ref in refs] == [jpeg(1), jpeg(3), jpeg(2), jpeg(4)]
        assert Fetcher().read(refs[0].uri) == jpeg(1)
        assert source.exists("a/1.JPG")
        assert not source.exists("a/2.JPG")


def test_what_is_written_later_is_seen_and_changes_the_time(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    source = open_source("memory://bucket/photos/a")
    before = {item.path: item for item in source.items() if isinstance(item, ImageRef)}
    bucket.pipe({"/bucket/photos/a/1.JPG": jpeg(6), "/bucket/photos/a/2.jpg": jpeg(7)})
    after = {item.path: item for item in source.items() if isinstance(item, ImageRef)}
    assert set(after) - set(before) == {"2.jpg"}
    assert after["1.JPG"].mtime_ns != before["1.JPG"].mtime_ns
    assert after["noname"] == before["noname"]


def test_a_whole_store_and_globs(bucket: fsspec.AbstractFileSystem) -> None:
    assert paths(open_source("memory://"))[-1] == "bucket/photos2/x.jpg"
    source = open_source("memory://bucket", include=["*.jpg"], exclude=["photos2", "b.*"])
    assert paths(source) == ["photos/a/1.JPG", "photos/c #?.jpg"]
    assert not source.complete


def test_one_object(bucket: fsspec.AbstractFileSystem) -> None:
    source = open_source("memory://bucket/photos/b.jpg")
    (ref,) = source.items()
    assert isinstance(ref, ImageRef)
    assert (ref.id, ref.path, ref.uri) == ("b.jpg", "b.jpg", "memory://bucket/photos/b.jpg")
    assert source.root == "memory://bucket/photos/"
    assert not source.complete
    assert source.read(ref) == jpeg(2)
    bucket.rm("/bucket/photos/b.jpg")
    with pytest.raises(FetchError, match=r"^no such object$"):
        source.read(ref)
    with pytest.raises(SourceError, match=r"photos/b\.jpg"):
        list(source.items())


def test_images_in_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("one/a.jpg", jpeg(1))
        archive.writestr("b.jpg", jpeg(2))
    source = open_source(f"zip://::{tmp_path}/all.zip")
    refs = [item for item in source.items() if isinstance(item, ImageRef)]
    assert [ref.path for ref in refs] == ["b.jpg", "one/a.jpg"]
    assert refs[1].uri == f"zip://one/a.jpg::{tmp_path}/all.zip"
    assert source.read(refs[1]) == Fetcher().read(refs[1].uri) == jpeg(1)


def test_one_folder_that_cannot_be_listed_does_not_end_the_rest(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("memory://bucket/photos")
    listing = type(bucket).ls

    def refusing(self: object, path: str, **options: object) -> object:
        if path.endswith("/a"):
            raise PermissionError("https://bucket?token=s3cr3t")
        return listing(self, path, **options)

    monkeypatch.setattr(type(bucket), "ls", refusing)
    assert paths(source) == ["b.jpg", "c #?.jpg"]
    assert skips(source) == [
        Skipped("a", "memory://bucket/photos/a", "folder cannot be read: access denied")
    ]


def test_the_empty_objects_that_mark_folders_are_no_images(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = type(bucket).ls
    listed: list[str] = []

    def with_marker(self: object, path: str, **options: object) -> object:
        listed.append(path.strip("/"))
        return [{"name": f"{path}/", "size": 0, "type": "file"}, *listing(self, path, **options)]

    monkeypatch.setattr(type(bucket), "ls", with_marker)
    source = open_source("memory://bucket", exclude=["photos2"])
    items = list(source.items())
    assert len([item for item in items if isinstance(item, ImageRef)]) == 4
    assert items.count(None) == 2
    assert listed == ["bucket", "bucket/photos", "bucket/photos/a"]  # nothing excluded is listed


def test_objects_above_the_limit_are_not_read_whole(bucket: fsspec.AbstractFileSystem) -> None:
    bucket.pipe({"/bucket/big.jpg": b"x" * 2_000_001})
    fetcher = Fetcher(max_bytes=2_000_000)
    with pytest.raises(FetchError, match=r"^larger than 2 MB$"):
        fetcher.read("memory://bucket/big.jpg")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://bucket/nowhere", "memory://bucket/nowhere: no such folder or object"),
        ("nonsense://u:pa55@h/x", "nonsense://h/x: nonsense:// is no known kind of address"),
        ("https://h/shard.tar?token=s3cr3t", "https://h/shard.tar: archives are read from files"),
        ("memory://bucket/a.tar.gz", "memory://bucket/a.tar.gz: compressed archives are not read"),
    ],
)
def test_what_can_be_no_source_is_named(url: str, message: str) -> None:
    with pytest.raises(SourceError, match=f"^{message}"):
        open_source(url)


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without_s3fs(monkeypatch)
    with pytest.raises(
        MissingExtraError, match=r"an s3:// address needs: pip install 'imagefinder"
    ):
        open_source("s3://bucket/photos")
    with pytest.raises(MissingExtraError):
        Fetcher().read("s3://bucket/a.jpg")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(SourceError, match=r"a gs:// address needs a driver: .*gcsfs"):
        open_source("gs://bucket/photos")
