"""The bytes of uploads where several machines keep them: a bucket, a shared folder, any store."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import fsspec
import pytest

from imagefinder.errors import MissingExtraError, StoreError
from imagefinder.places import Places, joined
from imagefinder.protocols import MediaStore
from imagefinder.sources import Fetcher
from imagefinder.stores.media_objects import FRESH, NoMedia, ObjectMedia
from tests.image_server import jpeg
from tests.s3_server import Bucket, S3Server, bucket, s3, without_s3fs

__all__ = ["bucket", "s3"]  # fixtures


@pytest.fixture(params=["s3", "file", "folder", "memory", "elsewhere"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where media may lie. `elsewhere` is a store that shows what is half written."""
    if request.param == "s3":
        yield f"{request.getfixturevalue('bucket').url}/some where/media"
    elif request.param == "memory":
        yield "memory://shared/media"
        fsspec.filesystem("memory").store.clear()
    elif request.param == "elsewhere":
        yield f"local://{tmp_path}/there"
    else:
        yield f"{'file://' if request.param == 'file' else ''}{tmp_path}/shared/media"


def kept(media: MediaStore, seed: int) -> str:
    data = jpeg(seed)
    return media.put(data, sha256(data).hexdigest(), "jpeg")


def test_what_is_put_is_read_by_its_uri(url: str) -> None:
    media: MediaStore = ObjectMedia(url)
    with media.changing():
        path = kept(media, 1)
    digest = sha256(jpeg(1)).hexdigest()
    assert path == f"{digest[:2]}/{digest}.jpeg"
    uri = joined(url, path)
    assert Fetcher().read(uri) == jpeg(1)
    assert kept(media, 1) == path
    assert not media.in_doubt
    kept(media, 2)
    media.discard(path)
    with pytest.raises(Exception, match="no such"):
        Fetcher().read(uri)
    media.discard(path)  # there is nothing any more
    assert Fetcher().read(joined(url, kept(media, 1))) == jpeg(1)


def test_places_show_no_one_where_media_lie(url: str) -> None:
    path = kept(ObjectMedia(url), 1)
    places = Places({3: url.rstrip("/"), 4: "/photos"}.get)
    stored = places.portable(joined(url, path), 3)
    assert stored == f"3:{path}"
    assert places.within(stored) == path
    assert Fetcher().read(places.locate(stored)) == jpeg(1)
    moved = Places({3: "s3://other/place"}.get)
    assert moved.locate(stored) == f"s3://other/place/{path}"


def test_a_sweep_leaves_what_is_wanted_and_what_is_new(url: str) -> None:
    media = ObjectMedia(url)
    paths = [kept(media, seed) for seed in range(6)]
    assert media.sweep(lambda path: False) == 0
    assert media.sweep(lambda path: path in paths[:4], older_than_s=-60) == 2
    for path in paths[:4]:
        assert Fetcher().read(joined(url, path))
    for path in paths[4:]:
        with pytest.raises(Exception, match="no such"):
            Fetcher().read(joined(url, path))
    assert ObjectMedia(f"{url}/nothing").sweep(lambda path: False, older_than_s=-60) == 0


def test_many_writers_at_once(url: str) -> None:
    barrier = threading.Barrier(8)

    def work(worker: int) -> list[str]:
        media = ObjectMedia(url)
        barrier.wait(30)
        return [kept(media, seed) for seed in range(10)]

    with ThreadPoolExecutor(8) as pool:
        (paths,) = set(map(tuple, pool.map(work, range(8))))
    assert [Fetcher().read(joined(url, path)) for path in paths] == [jpeg(n) for n in range(10)]


def test_what_is_there_whole_is_not_sent_again(s3: S3Server, bucket: Bucket) -> None:
    media = ObjectMedia(bucket.url)
    path = kept(media, 1)
    kept(media, 1)
    assert s3.requests[f"PUT {bucket.name}/{path}"] == 1
    bucket.put({path: jpeg(1)[:100]})  # somebody else's half
    kept(media, 1)
    assert s3.requests[f"PUT {bucket.name}/{path}"] == 2
    assert bucket.get(path) == jpeg(1)


@pytest.mark.parametrize("age", [0.0, 2.0])
def test_what_a_sweep_may_be_about_to_take_is_written_anew(
    bucket: Bucket, s3: S3Server, monkeypatch: pytest.MonkeyPatch, age: float, tmp_path: Path
) -> None:
    media = ObjectMedia(bucket.url)
    path = kept(media, 1)
    file = tmp_path / kept(ObjectMedia(str(tmp_path)), 1)
    before = file.stat().st_ino
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + age * FRESH)
    kept(media, 1)
    kept(ObjectMedia(str(tmp_path)), 1)
    assert s3.requests[f"PUT {bucket.name}/{path}"] == (2 if age > 1 else 1)
    assert (file.stat().st_ino != before) == (age > 1)


def test_a_half_written_file_is_seen_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", failing)
    media = ObjectMedia(f"file://{tmp_path}")
    with pytest.raises(StoreError, match=r"cannot be kept \(No space left on device\); free space"):
        kept(media, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_store_that_shows_what_is_half_written_gets_another_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr("imagefinder.stores.media_objects.WHOLE_AT_ONCE", frozenset())
    pipe = type(memory).pipe_file
    seen: list[str] = []

    def tearing(self: object, path: str, data: bytes, **options: object) -> None:
        seen.append(path)
        pipe(self, path, data[:50], **options)
        raise ConnectionError("torn")

    media = ObjectMedia("memory://m")
    monkeypatch.setattr(type(memory), "pipe_file", tearing)
    with pytest.raises(StoreError, match="torn"):
        kept(media, 1)
    assert ".part-" in seen[0]
    assert memory.find("/m") == []
    monkeypatch.setattr(type(memory), "pipe_file", pipe)
    path = kept(media, 1)
    assert memory.find("/m") == [f"/m/{path}"]
    memory.store.clear()


def test_errors_name_the_place_without_its_secrets(
    s3: S3Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.objects.S3_CLIENT_ATTEMPTS", 1)
    problem = r"^s3://no-such-bucket/m: uploaded images cannot be kept here \(.*\); check that"
    with pytest.raises(StoreError, match=problem):
        kept(ObjectMedia("s3://no-such-bucket/m"), 1)
    media = ObjectMedia(f"{bucket.url}/m")
    path = kept(media, 1)
    s3.fault = lambda method, path: True
    with pytest.raises(StoreError, match=rf"^{bucket.url}/m: .*\(connection closed before the end"):
        kept(media, 2)
    with pytest.raises(StoreError, match="connection closed"):
        media.sweep(lambda path: True)
    media.discard(path)  # harms nothing
    with pytest.raises(StoreError, match=r"^nonsense://host/m: .*\(nonsense:// is no known kind"):
        kept(ObjectMedia("nonsense://ada:s3cr3t@host/m?token=s3cr3t"), 1)


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without_s3fs(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"an s3:// address needs: pip install"):
        kept(ObjectMedia("s3://bucket/m"), 1)


def test_a_collection_without_a_place_says_how_to_name_one() -> None:
    media: MediaStore = NoMedia("photos")
    with media.changing(), pytest.raises(StoreError, match=r"^photos: .*\?media=s3://bucket/"):
        kept(media, 1)
    media.discard("ab/abc.jpeg")
    assert not media.in_doubt
