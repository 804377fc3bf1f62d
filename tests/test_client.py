"""The Python client: what it does beside a local collection, and what can go wrong between."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder import (
    Box,
    DecodeLimits,
    IdPart,
    ImageFinder,
    ImagePart,
    IndexReport,
    Query,
    Skipped,
    TextPart,
    Upload,
    errors,
)
from imagefinder.cli.main import run
from imagefinder.client import indexing
from imagefinder.exchange import read as read_exported
from imagefinder.local import LocalFinder
from imagefinder.serve.app import create_app
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.serve.problems import problem
from imagefinder.testing import FakeEmbedder
from tests.image_server import ImageServer, Reply, encoded
from tests.pictures import picture, touch_later, write_pictures
from tests.serving import listening

NAMES = [f"{number:02}.png" for number in range(20)]
ODD_IDS = [
    "a b/ü?#&=+.png",
    "/from/the/root.png",
    "a//b.png",
    "x/thumbnail",
    "x/content",
    "https://host/x.jpg?y=1&z=%41",
    'quotes".png',
    "日本/" + "ü" * 500,
]


class Watched:
    """The application, with a count of what is asked; `answer` may stand in for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.service = app
        self.reset()

    def reset(self) -> None:
        self.asked: Counter[str] = Counter()
        self.uploaded = 0  # images
        self.answer: Callable[[Scope], ASGIApp | None] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.service(scope, receive, send)
            return
        self.asked[f"{scope['method']} {scope['path']}"] += 1

        async def counted() -> dict[str, object]:
            message = await receive()
            if (scope["method"], scope["path"]) == ("POST", "/v1/images"):
                self.uploaded += message.get("body", b"").count(b'name="image"')
            return message

        await (self.answer(scope) or self.service)(scope, counted, send)


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """The address at which the application answers meanwhile."""
    with listening(app) as port:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{port}"


@contextmanager
def service(where: Path, options: ServeOptions | None = None) -> Iterator[tuple[str, Watched]]:
    """A collection, empty where there is none, served."""
    finder = ImageFinder.open(where, embedder=FakeEmbedder())
    assert isinstance(finder, LocalFinder)
    finder.create()
    app = Watched(create_app(finder, options or ServeOptions()))
    with running(app) as url:
        yield url, app


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, NAMES)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


@pytest.fixture(scope="module")
def pair(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ImageFinder]]:
    """One collection, opened as it is and through a service. For tests that only read."""
    local = ImageFinder.open(tmp_path_factory.mktemp("data") / "c", embedder=FakeEmbedder())
    assert isinstance(local, LocalFinder)
    local.index(photos)
    local.update_metadata("03.png", {"label": "cat", "legs": 4, "tags": ["a", "b"], "big": True})
    local.add([Upload(encoded(picture(99), "PNG"), f"{n}", id) for n, id in enumerate(ODD_IDS)])
    app = create_app(local, ServeOptions(serve_content=True))
    with running(app) as url, ImageFinder.open(url) as remote:
        yield {"local": local, "remote": remote}


@pytest.fixture(params=["local", "remote"])
def finder(request: pytest.FixtureRequest, pair: dict[str, ImageFinder]) -> ImageFinder:
    return pair[request.param]


@pytest.fixture
def both(pair: dict[str, ImageFinder]) -> tuple[ImageFinder, ImageFinder]:
    return pair["local"], pair["remote"]


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Watched]]:
    with service(tmp_path_factory.mktemp("data") / "served") as found:
        yield found


@pytest.fixture
def served(emptied: tuple[str, Watched]) -> Iterator[tuple[ImageFinder, Watched]]:
    """The client of an empty collection's service."""
    url, app = emptied
    app.reset()
    with ImageFinder.open(url) as remote:
        yield remote, app
        app.reset()
        remote.remove([record.id for record in remote.images()])


# the same as a local collection


def wide(photos: Path) -> Image.Image:
    image = Image.new("RGB", (80, 30), "white")
    image.paste(Image.open(photos / NAMES[4]), (40, 0))
    return image


QUERIES: dict[str, Callable[[Path], object]] = {
    "path": lambda photos: photos / NAMES[3],
    "text path": lambda photos: str(photos / NAMES[3]),
    "bytes": lambda photos: (photos / NAMES[3]).read_bytes(),
    "image": lambda photos: Image.open(photos / NAMES[3]),
    "transparent image": lambda photos: Image.open(photos / NAMES[3]).convert("RGBA"),
    "array": lambda photos: np.asarray(Image.open(photos / NAMES[3])),
    "floats": lambda photos: np.asarray(Image.open(photos / NAMES[3])) / 255.0,
    "id": lambda _: "id:03.png",
    "odd id": lambda _: "id:" + ODD_IDS[0],
    "two": lambda photos: [photos / NAMES[3], "id:04.png"],
    "ids first": lambda photos: ["id:04.png", photos / NAMES[3], "id:05.png"],
    "box": lambda photos: Query((ImagePart(wide(photos), box=Box(0.5, 0, 0.5, 1)),)),
    "one box of two": lambda photos: Query(
        (ImagePart(photos / NAMES[5]), ImagePart(wide(photos), box=Box(0.5, 0, 0.5, 1)))
    ),
    "box of an id": lambda _: Query((IdPart("05.png", box=Box(0.5, 0, 0.5, 1)),)),
    "boxes of ids beside others": lambda photos: Query(
        (
            IdPart("05.png", 2, Box(0.5, 0, 0.5, 1)),
            ImagePart(photos / NAMES[3], 0.5),
            IdPart("06.png", -0.5),
            ImagePart(photos / NAMES[4], box=Box(0, 0, 0.5, 0.5)),
            IdPart(ODD_IDS[0], box=Box(0, 0, 1, 0.5)),
        )
    ),
    "weights": lambda photos: Query(
        (IdPart("07.png", -0.25), ImagePart(photos / NAMES[3], 2), IdPart("08.png"))
    ),
    "one weight": lambda _: Query((IdPart("07.png", -1.0),)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_searches_find_the_same(
    both: tuple[ImageFinder, ImageFinder], photos: Path, name: str
) -> None:
    query = QUERIES[name](photos)
    local, remote = (one.search(query, k=7) for one in both)  # type: ignore[arg-type]
    assert [replace(hit, score=0) for hit in remote] == [replace(hit, score=0) for hit in local]
    assert [h.score for h in remote] == pytest.approx([h.score for h in local], abs=1e-6)
    assert len(local) == 7


@pytest.mark.parametrize("name", QUERIES)
def test_embeddings_are_the_same(
    both: tuple[ImageFinder, ImageFinder], photos: Path, name: str
) -> None:
    local, remote = (one.embed(QUERIES[name](photos)) for one in both)  # type: ignore[arg-type]
    assert remote.dtype == local.dtype
    assert np.allclose(remote, local, atol=1e-6)


def test_a_query_over_http_is_fetched_here(pair: dict[str, ImageFinder]) -> None:
    server = ImageServer()
    server.plan("secret.png", Reply(body=encoded(picture(3), "PNG")))
    with server.running():  # the service refuses to fetch from this machine
        assert pair["remote"].search(server.url("secret.png"), k=1)[0].id == "03.png"


def test_searches_with_options(finder: ImageFinder) -> None:
    found = finder.search("id:00.png", k=5, filter='id >= "10.png" and id < "13.png"', exact=True)
    assert {hit.id for hit in found} == {"10.png", "11.png", "12.png"}
    (hit,) = finder.search("id:00.png", k=5, filter='label == "cat" and big == true')
    assert hit.metadata == {"label": "cat", "legs": 4, "tags": ["a", "b"], "big": True}


def test_options_of_a_search_arrive(
    pair: dict[str, ImageFinder], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, dict[str, object]]] = []

    def search(_: object, query: object, k: int, **options: object) -> list[object]:
        told.append((k, options))
        return []

    monkeypatch.setattr(LocalFinder, "search", search)
    pair["remote"].search("id:00.png", k=9, filter="width > 1", exact=True, exclude_same=True)
    pair["remote"].search("id:00.png")
    told_first = {"filter": "width > 1", "exact": True, "exclude_same": True, "space": ["fake"]}
    assert (9, told_first) in told
    told_then = {"filter": None, "exact": False, "exclude_same": False, "space": ["fake"]}
    assert (3, told_then) in told


def test_many_searches_answer_in_order(finder: ImageFinder, photos: Path) -> None:
    told: list[Skipped] = []
    queries = [photos / NAMES[n] for n in range(20)] + [b"bad", "id:03.png"]
    many = finder.search_many(queries, k=2, on_skipped=told.append)
    assert [hits[0].id for hits in many if hits] == [*NAMES, "03.png"]
    assert many[20] == []
    assert told == [Skipped("20", "query 20", "query: not an image: the content is text")]
    with pytest.raises(errors.ImageError):
        finder.search_many(queries)


BAD_CALLS: dict[str, tuple[Callable[[ImageFinder], object], type[Exception], str]] = {
    "id": (lambda f: f.search("id:nobody"), errors.ImageNotFoundError, "nobody: no image of the"),
    "id of a box": (
        lambda f: f.search(Query((IdPart("nobody", box=Box(0, 0, 1, 1)),))),
        errors.ImageNotFoundError,
        "nobody: no image",
    ),
    "box of an id": (
        lambda f: f.search(Query((IdPart("00.png", box=Box(1.5, 0, 1, 1)),))),
        errors.UsageError,
        "box 1.5",
    ),
    "id embedded": (lambda f: f.embed("id:nobody"), errors.ImageNotFoundError, "nobody: no image"),
    "no file": (lambda f: f.search("no/such.jpg"), errors.FetchError, "no/such.jpg: no such file"),
    "hint": (lambda f: f.search("00.png"), errors.FetchError, "is id:00.png"),
    "bytes": (lambda f: f.search(b"no image"), errors.ImageError, "query: not an image"),
    "nothing": (lambda f: f.search(b""), errors.ImageError, "query: empty file"),
    "damaged": (
        lambda f: f.search(b"\x89PNG\r\n\x1a\nno more"),
        errors.ImageError,
        "^query: the PNG is",
    ),
    "empty": (lambda f: f.search([]), errors.UsageError, "the query is empty"),
    "cancel": (
        lambda f: f.search(Query((IdPart("00.png"), IdPart("00.png", -1)))),
        errors.UsageError,
        "cancel out",
    ),
    "cancel embedded": (
        lambda f: f.embed(Query((IdPart("00.png"), IdPart("00.png", -1)))),
        errors.UsageError,
        "cancel out",
    ),
    "box": (
        lambda f: f.search(Query((ImagePart(picture(1), box=Box(1.5, 0, 0.5, 1)),))),
        errors.UsageError,
        "box",
    ),
    "array": (lambda f: f.search(np.zeros((4, 4, 7), np.uint8)), errors.UsageError, "an array of"),
    "None": (lambda f: f.search(None), errors.UsageError, "NoneType"),  # type: ignore[arg-type]
    "k": (lambda f: f.search("id:00.png", k=0), errors.UsageError, "k is 0"),
    "large k": (lambda f: f.search("id:00.png", k=10**9), errors.UsageError, "k"),
    "get": (lambda f: f.get("nobody"), errors.ImageNotFoundError, "nobody: no image"),
    "get nothing": (lambda f: f.get(""), errors.ImageNotFoundError, "no image"),
    "get too much": (lambda f: f.get("x" * 70_000), errors.ImageNotFoundError, "no image"),
    "read": (lambda f: f.read("nobody"), errors.ImageNotFoundError, "nobody: no image"),
    "change": (lambda f: f.update_metadata("nobody", {}), errors.ImageNotFoundError, "nobody"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_say_the_same(finder: ImageFinder, name: str) -> None:
    call, error, words = BAD_CALLS[name]
    with pytest.raises(error, match=words) as caught:
        call(finder)
    assert type(caught.value) is error


def test_text_needs_a_model_with_a_text_side(finder: ImageFinder) -> None:
    for call in (finder.search, finder.embed):
        with pytest.raises(errors.ImageFinderError, match="no text side"):
            call(Query((TextPart("a cat"),)))


@pytest.mark.parametrize("filter", ["", "  ", "width >", "width >= 800 andd x == 1", "ü ==== 1"])
def test_errors_of_filters_point_at_the_same_column(
    both: tuple[ImageFinder, ImageFinder], filter: str
) -> None:
    texts = []
    for finder in both:
        for call in (
            lambda finder=finder: finder.search("id:00.png", filter=filter),
            lambda finder=finder: list(finder.images(filter=filter)),
        ):
            with pytest.raises(errors.FilterError) as caught:
                call()
            texts.append(str(caught.value))
    assert len(set(texts)) == 1, texts


def test_a_file_that_is_damaged_is_named(finder: ImageFinder, photos: Path) -> None:
    with pytest.raises(errors.ImageError, match=r"^\S*broken.png: the PNG is"):
        finder.search(photos / "broken.png")


def test_records_are_the_same(both: tuple[ImageFinder, ImageFinder]) -> None:
    local, remote = both
    assert list(remote.images()) == list(local.images())
    assert len(list(local.images())) == len(remote) == len(local) == 20 + len(ODD_IDS)
    for id in ["03.png", *ODD_IDS]:
        assert remote.get(id) == local.get(id)
        assert id in remote
        assert remote.read(id) == local.read(id)
    assert "nobody" not in remote
    assert "" not in remote
    assert "\udcff" not in remote


def test_images_are_listed_from_an_id_on(finder: ImageFinder) -> None:
    assert [r.id for r in finder.images(after="17.png", filter='id < "2"')] == ["18.png", "19.png"]
    assert [record.id for record in finder.images(filter='label == "cat"')] == ["03.png"]


def test_pages_join_without_a_gap(
    both: tuple[ImageFinder, ImageFinder], monkeypatch: pytest.MonkeyPatch
) -> None:
    local, remote = both
    for size in (7, 100_000):  # the last is more than the service takes
        monkeypatch.setattr("imagefinder.client.lookup.PAGE", size)
        assert [record.id for record in remote.images()] == [record.id for record in local.images()]


def test_embeddings_of_the_whole_collection(both: tuple[ImageFinder, ImageFinder]) -> None:
    local, remote = (list(one.embedded()) for one in both)
    assert [record for record, _ in remote] == [record for record, _ in local]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(local, remote, strict=True))


def test_the_state_is_the_same(both: tuple[ImageFinder, ImageFinder]) -> None:
    local, remote = both
    there, here = remote.status(), local.status()
    assert there.path.startswith("http://127.0.0.1:")
    assert there.sources == ()
    assert there.collection == "c"
    assert replace(there, collection=here.collection, path=here.path, sources=here.sources) == here
    assert [s.id for s in remote.skipped()] == [s.id for s in local.skipped()] == ["broken.png"]
    assert [s.reason for s in remote.skipped()] == [s.reason for s in local.skipped()]


def test_exports_hold_the_same(both: tuple[ImageFinder, ImageFinder], tmp_path: Path) -> None:
    local, remote = both
    assert local.export(tmp_path / "a.npz") == remote.export(tmp_path / "b.npz") == len(local)
    before, after = (list(read_exported(tmp_path / name).rows) for name in ("a.npz", "b.npz"))
    assert [record for record, _ in after] == [record for record, _ in before]
    assert np.array_equal([row for _, row in after], [row for _, row in before])
    with pytest.raises(errors.TransferError, match="ending"):
        remote.export(tmp_path / "a.xyz")


@pytest.fixture(params=["local", "remote"])
def writable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageFinder]:
    """An empty collection of the test's own, either way."""
    if request.param == "local":
        with ImageFinder.open(tmp_path / "own", embedder=FakeEmbedder()) as finder:
            finder.create()  # type: ignore[attr-defined]
            yield finder
    else:
        with service(tmp_path / "own") as (url, _), ImageFinder.open(url) as finder:
            yield finder


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def test_images_are_added_changed_and_removed(writable: ImageFinder) -> None:
    uploads = [
        Upload(png(1), "a.png", metadata={"label": "cat", "note": None, "n": [1, 2.5]}),
        Upload(png(2), "somewhere/else.png", id="b/ü.png"),
        Upload(png(3), "again.png", id="b/ü.png"),
        Upload(b"text", "notes.txt"),
        Upload(png(4)[:60], "cut.png"),
        Upload(b"", "empty.png"),
        Upload(png(5), ""),
        Upload(png(6), "x" * 2000),
    ]
    report = writable.add(uploads)
    assert (report.added, report.updated, report.unchanged) == (["a.png", "b/ü.png"], [], [])
    assert {(s.id[:9], s.uri[:9], s.reason) for s in report.skipped} == {
        ("b/ü.png", "again.png", "the id b/ü.png is given to another image of the same request"),
        ("notes.txt", "notes.txt", "not an image: the content is text"),
        ("cut.png", "cut.png", "the PNG is truncated"),
        ("empty.png", "empty.png", "empty file"),
        ("", "", "it has neither an id nor a name"),
        ("x" * 9, "x" * 9, "the id has 2000 bytes, the limit is 1024"),
    }
    assert {r.id: dict(r.metadata) for r in writable.images()} == {
        "a.png": {"label": "cat", "note": None, "n": [1, 2.5]},
        "b/ü.png": {},
    }
    assert writable.search(png(2), k=1)[0].id == "b/ü.png"
    changed = writable.update_metadata("b/ü.png", {"label": "dog", "x": 1})
    assert changed == writable.get("b/ü.png")
    assert dict(writable.update_metadata("b/ü.png", {"x": None}).metadata) == {"label": "dog"}
    assert writable.remove(["a.png", "nobody", "", "a.png"]) == 1
    assert [record.id for record in writable.images()] == ["b/ü.png"]
    assert writable.remove([]) == 0


def test_an_id_is_replaced_by_its_own_source_only(writable: ImageFinder) -> None:
    assert writable.add([Upload(png(1), "a.png")], source="one").added == ["a.png"]
    assert writable.add([Upload(png(1), "a.png")]).unchanged == ["a.png"]
    report = writable.add([Upload(png(2), "a.png")], source="two")
    assert [(s.id, "belongs to another image" in s.reason) for s in report.skipped] == [
        ("a.png", True)
    ]
    assert writable.add([Upload(png(2), "a.png")], source="one").updated == ["a.png"]
    assert writable.search(png(2), k=1)[0].score == pytest.approx(1, abs=1e-5)


def test_odd_ids_can_be_changed_and_removed(writable: ImageFinder) -> None:
    writable.add([Upload(png(n), str(n), id) for n, id in enumerate(ODD_IDS)])
    for id in ODD_IDS:
        assert dict(writable.update_metadata(id, {"x": 1}).metadata) == {"x": 1}
    assert writable.remove(ODD_IDS) == len(ODD_IDS)
    assert len(writable) == 0


def test_many_uploads_in_batches(
    served: tuple[ImageFinder, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, app = served
    uploads = [Upload(png(n), f"{n:02}") for n in range(20)]
    assert sorted(remote.add(uploads).added) == [f"{n:02}" for n in range(20)]
    assert app.asked["POST /v1/images"] == 3  # of 8 at most
    monkeypatch.setattr("imagefinder.client.uploading.BATCH_BYTES", 2 * len(png(1)) + 50)
    assert len(remote.add(uploads).unchanged) == 20
    assert app.asked["POST /v1/images"] >= 3 + 10


# indexing


def counts(report: IndexReport) -> dict[str, int]:
    return {name: count for name, count in report.counts().items() if count}


def test_indexing_sends_what_is_new_or_changed(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, app = served
    folder = tmp_path / "photos"
    write_pictures(folder, [f"trip/{n:02}.png" for n in range(60)])
    (folder / "notes.txt").write_text("notes")
    (folder / "broken.jpg").write_text("<html>")
    seen: list[int] = []
    report = remote.index(folder, on_progress=lambda report: seen.append(report.added))
    assert counts(report) == {"added": 60, "ignored": 1, "skipped": 1}
    assert [(s.id, s.uri, s.reason) for s in report.problems] == [
        ("broken.jpg", str(folder / "broken.jpg"), "not an image: the content is HTML")
    ]
    assert seen[0] == 0
    assert seen[-1] == 60
    assert len(set(seen)) >= 60 // 8
    assert app.uploaded == 60
    assert remote.search(folder / "trip" / "07.png", k=1)[0].id == "trip/07.png"

    touch_later(folder / "trip" / "01.png")
    assert counts(remote.index(folder)) == {"unchanged": 60, "ignored": 1, "skipped": 1}
    assert app.uploaded == 60

    picture(500).save(folder / "trip" / "07.png")
    picture(501).save(folder / "new.png")
    report = remote.index(folder)
    assert counts(report) == {
        "added": 1, "updated": 1, "unchanged": 59, "ignored": 1, "skipped": 1,
    }  # fmt: skip
    assert app.uploaded == 62
    assert remote.search(picture(500), k=1)[0].id == "trip/07.png"


def test_metadata_of_tables_is_kept_up_to_date(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, app = served
    write_pictures(tmp_path, ["a.png", "b.png"])
    table = tmp_path / "t.csv"
    table.write_text("id,path,label,n\n1,a.png,cat,1.5\n2,b.png,dog,2\n")
    assert counts(remote.index(table)) == {"added": 2}
    assert dict(remote.get("1").metadata) == {"label": "cat", "n": 1.5}
    assert counts(remote.index(table)) == {"unchanged": 2}
    assert app.uploaded == 2
    table.write_text("id,path,label,n\n1,a.png,tiger,1.5\n2,b.png,dog,2\n3,none.png,x,1\n")
    assert counts(remote.index(table)) == {"updated": 1, "unchanged": 1, "skipped": 1}
    assert dict(remote.get("1").metadata) == {"label": "tiger", "n": 1.5}


def test_metadata_set_at_the_service_stays(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, app = served
    write_pictures(tmp_path / "photos", ["a.png"])
    remote.index(tmp_path / "photos")
    remote.update_metadata("a.png", {"label": "cat"})
    assert counts(remote.index(tmp_path / "photos")) == {"unchanged": 1}
    assert dict(remote.get("a.png").metadata) == {"label": "cat"}
    assert app.uploaded == 1


def test_an_id_of_another_source_is_skipped_with_the_reason(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, _ = served
    write_pictures(tmp_path / "one", ["a.png", "b.png"])
    write_pictures(tmp_path / "two", ["a.png"], first=50)
    remote.index(tmp_path / "one")
    told: list[Skipped] = []
    report = remote.index(tmp_path / "two", on_skipped=told.append)
    assert counts(report) == {"skipped": 1}
    assert [(s.id, s.uri) for s in told] == [("a.png", str(tmp_path / "two" / "a.png"))]
    assert "the id a.png belongs to another image already" in told[0].reason
    assert told == report.problems
    assert remote.search(png(0), k=1)[0].score == pytest.approx(1, abs=1e-5)
    assert counts(remote.index(tmp_path / "two", id_prefix="two/")) == {"added": 1}
    assert "two/a.png" in remote


def test_ids_that_a_table_repeats_never_overwrite_each_other(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, _ = served
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "t.csv").write_text("id,path\n1,a.png\n1,b.png\n1,a.png\n")
    for first in ("added", "unchanged"):
        report = remote.index(tmp_path / "t.csv")
        assert counts(report) == {first: 1, "skipped": 1}
        assert "ids must be unique" in report.problems[0].reason
    assert remote.search(png(0), k=1)[0].score == pytest.approx(1, abs=1e-5)


def test_urls_that_are_known_cost_no_request(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, app = served
    server = ImageServer()
    server.plan("gone.jpg", Reply(404))
    with server.running():
        lines = [server.url(name) for name in ("a.jpg", "b.jpg", "gone.jpg")]
        (tmp_path / "urls.txt").write_text("\n".join(lines))
        report = remote.index(tmp_path / "urls.txt")
        assert counts(report) == {"added": 2, "skipped": 1}
        assert report.problems[0].reason == "HTTP 404"
        assert counts(remote.index(tmp_path / "urls.txt")) == {"unchanged": 2, "skipped": 1}
        assert server.requests["127.0.0.1/a.jpg"] == 1
    assert app.uploaded == 2


def test_part_of_a_source(served: tuple[ImageFinder, Watched], tmp_path: Path) -> None:
    remote, _ = served
    write_pictures(tmp_path / "p", ["a.png", "b.png", "x/c.png", "x/d.png", "e.gif"])
    assert counts(remote.index(tmp_path / "p", include=["*.png"], exclude=["x/"])) == {"added": 2}
    assert counts(remote.index(tmp_path / "p", sample=3, workers=1)) in (
        {"added": added, "unchanged": 3 - added} for added in (1, 2)
    )
    assert counts(remote.index(tmp_path / "p" / "e.gif", tmp_path / "p" / "a.png"))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f, _: f.index(), errors.UsageError, "nothing to index"),
        (lambda f, p: f.index(p, prune=True), errors.UsageError, "prune works on the service's"),
        (lambda f, p: f.index(p), errors.SourceError, "it is empty"),
        (lambda f, p: f.index(p / "no"), errors.SourceError, "no such file or folder"),
        (lambda f, p: f.relocate(p, p), errors.UsageError, "relocate works on the service's"),
        (lambda f, p: f.import_embeddings(p), errors.UsageError, "import works on the service's"),
        (lambda f, _: f.optimize(), errors.UsageError, "optimize works on the service's machine"),
    ],
)
def test_what_cannot_be_done_from_here(
    served: tuple[ImageFinder, Watched],
    tmp_path: Path,
    call: Callable[[ImageFinder, Path], object],
    error: type[Exception],
    words: str,
) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(error, match=words):
        call(served[0], tmp_path / "nothing")
    assert served[0].optimizing is False


def test_a_run_that_is_stopped_keeps_what_it_sent(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    remote, _ = served
    write_pictures(tmp_path / "p", [f"{n:03}.png" for n in range(200)])
    stop = Event()

    def stop_soon(report: IndexReport) -> None:
        if report.added >= 8:
            stop.set()

    report = remote.index(tmp_path / "p", stop=stop, on_progress=stop_soon, workers=1)
    assert report.interrupted
    assert 8 <= report.added < 200
    assert len(remote) == report.added
    assert counts(remote.index(tmp_path / "p")) == {
        "added": 200 - report.added, "unchanged": report.added,
    }  # fmt: skip


def test_an_image_that_the_service_does_not_take_is_skipped_alone(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", [f"{n}.png" for n in range(6)])
    Image.effect_noise((200, 200), 90).save(tmp_path / "p" / "large.png")
    rows = [f'{{"id": "{n}", "path": "{n}.png", "text": "{"x" * (70_000 * (n == 2))}"}}\n'
            for n in range(6)]  # fmt: skip
    (tmp_path / "p" / "t.jsonl").write_text("".join(rows))
    limits = ServeOptions(max_body_bytes=20_000)
    with service(tmp_path / "c", limits) as (url, _), ImageFinder.open(url) as remote:
        report = remote.index(tmp_path / "p")
        assert counts(report) == {"added": 6, "ignored": 1, "skipped": 1}
        assert (report.problems[0].id, "larger than" in report.problems[0].reason) == (
            "large.png", True,
        )  # fmt: skip
    with service(tmp_path / "d") as (url, _), ImageFinder.open(url) as remote:
        report = remote.index(tmp_path / "p" / "t.jsonl")
        assert counts(report) == {"added": 5, "skipped": 1}
        assert (report.problems[0].id, "metadata" in report.problems[0].reason) == ("2", True)


# what goes wrong between


def sometimes(app: Watched, answer: ASGIApp, times: int) -> None:
    """The next requests are answered so."""
    left = iter(range(times))
    app.answer = lambda _: None if next(left, None) is None else answer


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again(
    served: tuple[ImageFinder, Watched], tmp_path: Path, status: int
) -> None:
    remote, app = served
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    answer = problem(status, "busy", headers={"Retry-After": "0"})
    sometimes(app, answer, 3)
    assert counts(remote.index(tmp_path / "p")) == {"added": 2}
    sometimes(app, answer, 2)
    assert remote.search("id:a.png", k=1)[0].id == "a.png"
    assert app.asked["POST /v1/search"] == 3


def test_a_service_that_stays_busy_is_given_up(served: tuple[ImageFinder, Watched]) -> None:
    remote, app = served
    sometimes(app, problem(503, "Too busy", headers={"Retry-After": "3600"}), 10)
    with pytest.raises(errors.CollectionError, match="Too busy; try again later"):
        remote.status()
    assert app.asked["GET /v1/status"] == 1


def test_a_lost_answer_is_asked_for_again(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    """What the service did before the line broke is not done twice, and counts as it was."""
    remote, app = served
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    lost = []

    async def lose(scope: Scope, receive: Receive, send: Send) -> None:
        async def drop(_: object) -> None:
            pass

        await app.service(scope, receive, drop)
        await broken(scope, receive, send)

    def once(scope: Scope) -> ASGIApp | None:
        if scope["method"] != "POST" or lost:
            return None
        lost.append(scope)
        return lose

    app.answer = once
    assert counts(remote.index(tmp_path / "p")) == {"added": 2}
    assert len(lost) == 1
    assert app.asked["POST /v1/images"] == 2


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """Hangs up in the middle of an answer."""
    headers = [(b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


def test_no_service_at_all(tmp_path: Path) -> None:
    with service(tmp_path / "c") as (url, _):
        pass
    with ImageFinder.open(url) as remote, pytest.raises(errors.CollectionError) as caught:
        remote.status()
    assert str(caught.value) == (
        f"no service answers at {url} (connection refused); start it with: imagefinder serve"
    )


def test_a_service_that_goes_away_while_indexing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "GONE", 0.3)
    write_pictures(tmp_path / "p", [f"{n:03}.png" for n in range(100)])
    with service(tmp_path / "c") as (url, app):
        remote = ImageFinder.open(url)
        app.answer = lambda _: broken if app.uploaded >= 16 else None
        with pytest.raises(errors.CollectionError) as caught:
            remote.index(tmp_path / "p", workers=1)
        first, second = str(caught.value).split("\n")
        assert first.startswith(f"{url}: the service does not answer any more (")
        done = int(second.partition(" ")[0])
        assert second == f"{done} images were done; the same command goes on from there"
        assert 16 <= done < 100
        app.answer = lambda _: None
        report = remote.index(tmp_path / "p")
        assert (report.added, report.unchanged) == (100 - done, done)
        remote.close()


KEYS = (Key("reader", "r-secret"), Key("writer", "w-secret", Access.WRITE))


def test_keys(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    with service(tmp_path / "c", ServeOptions(keys=KEYS)) as (url, _):
        with ImageFinder.open(url, api_key="w-secret") as writer:
            assert writer.index(tmp_path / "p").added == 1
        with ImageFinder.open(url, api_key=" r-secret\n") as reader:
            assert reader.search("id:a.png", k=1)[0].id == "a.png"
            with pytest.raises(errors.CollectionError, match=r"may read.*IMAGEFINDER_API_KEY"):
                reader.remove(["a.png"])
            with pytest.raises(errors.FetchError, match="does not hand out original images"):
                reader.read("a.png")
        for key in (None, "wrong-secret"):
            with ImageFinder.open(url, api_key=key) as stranger:
                with pytest.raises(errors.CollectionError, match="IMAGEFINDER_API_KEY") as caught:
                    stranger.index(tmp_path / "p")
                assert "secret" not in str(caught.value)
                with pytest.raises(errors.CollectionError, match="API key"):
                    stranger.read("a.png")


def test_another_kind_of_server(tmp_path: Path) -> None:
    server = ImageServer()
    words = "no ImageFinder service"
    with server.running(), ImageFinder.open(server.url("")) as remote:
        with pytest.raises(errors.CollectionError, match=words):  # it answers with a picture
            remote.status()
        server.plan("v1/status", Reply(404))
        with pytest.raises(errors.CollectionError, match=words):
            remote.status()
        server.plan("v1/status", Reply(body=b'{"model": 7}'))
        with pytest.raises(errors.CollectionError, match=words):
            remote.status()
        server.plan("v1/status", Reply(301, headers={"Location": "https://else.where/v1/status"}))
        with pytest.raises(errors.CollectionError, match=r"redirects to https://else\.where"):
            remote.status()
        server.plan("v1/status", Reply(500, body=b"<html>"))
        with pytest.raises(errors.CollectionError, match="failed with HTTP 500"):
            remote.status()


def test_a_path_below_which_there_is_nothing(served: tuple[ImageFinder, Watched]) -> None:
    url = served[0].status().path
    with (
        ImageFinder.open(f"{url}/elsewhere") as remote,
        pytest.raises(errors.CollectionError, match="no ImageFinder service"),
    ):
        remote.status()


def test_a_service_below_a_prefix(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])

    async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith("/pictures/")
            scope = {**scope, "root_path": "/pictures"}
        await app(scope, receive, send)

    local = ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder())
    local.index(tmp_path / "p")
    app = create_app(local, ServeOptions())
    with running(prefixed) as url, ImageFinder.open(f"{url}/pictures/") as remote:
        assert remote.search(tmp_path / "p" / "a.png", k=1)[0].id == "a.png"
        assert remote.remove(["a.png"]) == 1


@pytest.mark.parametrize(
    "where",
    ["http://user:hunter2@host", "http://hunter2@host:80/x", "https://h?key=hunter2", "http://",
     "http://host:port", "http://[::1", "http://h#hunter2", "https://:hunter2@[::1"],
)  # fmt: skip
def test_addresses_that_are_none(where: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        ImageFinder.open(where)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"embedder": FakeEmbedder()}, "embeds with a model of its own"),
        ({"limits": DecodeLimits(max_megapixels=1)}, "sets how large an image may be"),
        ({"api_key": ""}, "the API key is empty"),
        ({"api_key": "hunter2\nx"}, "has letters that no key has"),
    ],
)
def test_options_that_are_the_service_s_own(options: dict[str, object], words: str) -> None:
    with pytest.raises(errors.UsageError, match=words) as caught:
        ImageFinder.open("http://127.0.0.1:9", **options)  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_the_model_must_be_the_service_s(
    served: tuple[ImageFinder, Watched], tmp_path: Path
) -> None:
    url = served[0].status().path
    write_pictures(tmp_path / "p", ["a.png"])
    with ImageFinder.open(url, model="fake") as same:
        assert same.index(tmp_path / "p").added == 1
        assert same.search("id:a.png", k=1)[0].id == "a.png"
    with ImageFinder.open(url, model="other") as other:
        with pytest.raises(errors.UsageError, match="other: there is no such space"):
            other.search("id:a.png")
        for call in (
            lambda: other.index(tmp_path / "p"),
            lambda: other.add([Upload(png(1), "b")]),
            lambda: list(other.embedded()),
            lambda: other.embed("id:a.png"),
        ):
            with pytest.raises(errors.ModelMismatchError, match="embeds with fake, not other"):
                call()


def test_a_closed_finder_says_so(served: tuple[ImageFinder, Watched]) -> None:
    with ImageFinder.open(served[0].status().path) as remote:
        pass
    with pytest.raises(errors.CollectionError, match="closed; open it again"):
        remote.status()


def test_local_collections_take_no_key(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="an API key is for a running service"):
        ImageFinder.open(tmp_path / "c", api_key="x")


# the command line


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty collection's service, for which the environment has the key."""
    monkeypatch.setenv("IMAGEFINDER_API_KEY", "w-secret")
    with service(tmp_path / "served", ServeOptions(keys=KEYS)) as (url, _):
        yield url


def test_commands_through_a_service(cli: Run, keyed: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png", "c.jpg"])
    (tmp_path / "p" / "broken.jpg").write_text("<html>")
    there = ("-c", keyed)
    code, out, err = cli("index", tmp_path / "p", *there)
    assert (code, out) == (0, "3 added, 1 skipped\n")
    assert "broken.jpg: not an image" in err
    code, out, _ = cli("index", tmp_path / "p", "--json", *there)
    assert (code, json.loads(out)["unchanged"]) == (0, 3)
    code, out, _ = cli("search", tmp_path / "p" / "a.png", "-k", "1", "--json", *there)
    found = json.loads(out)
    assert (code, found["model"], found["hits"][0]["id"]) == (0, "fake", "a.png")
    code, out, _ = cli("status", *there)
    assert (code, f"service\t{keyed}\n" in out) == (0, True)
    code, out, _ = cli("list", "--filter", 'format == "jpeg"', *there)
    assert (code, out.split("\t")[0]) == (0, "c.jpg")
    code, out, _ = cli("show", "b.png", "--json", *there)
    assert (code, json.loads(out)["width"]) == (0, 40)
    code, _, err = cli("remove", "b.png", "nobody", *there)
    assert (code, "nobody: no image" in err) == (1, True)
    assert cli("remove", "b.png", *there)[0] == 0
    code, _, err = cli("export", tmp_path / "out.csv", *there)
    assert (code, err) == (0, f"{tmp_path / 'out.csv'}: 2 images\n")
    assert cli("skipped", *there) == (0, "", "no image was skipped\n")


@pytest.mark.parametrize(
    "command",
    [
        ("index", ".", "--prune", "-c"),
        ("index", ".", "--max-megapixels", "5", "-c"),
        ("relocate", "a", "b", "-c"),
        ("import", "a.csv", "-c"),
        ("backup", "a.tar", "-c"),
        ("restore", "a.tar", "-c"),
        ("delete-collection", "--yes"),
        ("delete-collection",),
    ],
)
def test_commands_for_the_service_s_machine(cli: Run, command: tuple[str, ...]) -> None:
    code, _, err = cli(*command, "http://127.0.0.1:9")
    assert code == 2
    assert err.startswith("error: http://127.0.0.1:9: ")
    assert len(err.splitlines()) == 1
    assert ("service's machine" in err) != ("--max-megapixels" in command)


def test_no_secret_of_an_address_is_shown(cli: Run) -> None:
    for command in (("status", "-c"), ("backup", "a.tar", "-c"), ("delete-collection",)):
        code, out, err = cli(*command, "http://user:hunter2@127.0.0.1:9")
        assert (code, out, "hunter2" in err) == (2, "", False)


def test_commands_without_the_key(
    cli: Run, keyed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMAGEFINDER_API_KEY", "r-secret")
    write_pictures(tmp_path / "p", ["a.png"])
    code, out, err = cli("index", tmp_path / "p", "-c", keyed)
    assert (code, out) == (1, "")
    assert "may read, and not change" in err
    assert "IMAGEFINDER_API_KEY" in err
    monkeypatch.delenv("IMAGEFINDER_API_KEY")
    code, _, err = cli("status", "-c", keyed)
    assert (code, "IMAGEFINDER_API_KEY" in err) == (1, True)
    monkeypatch.setenv("IMAGEFINDER_API_KEY", "w-secret")
    with ImageFinder.open(tmp_path / "own", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "p")
    assert cli("status", "-c", tmp_path / "own")[0] == 0  # the key is for services only


def test_no_service_on_the_command_line(cli: Run) -> None:
    code, out, err = cli("search", "id:a", "-c", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert err == (
        "error: no service answers at http://127.0.0.1:9 (connection refused);"
        " start it with: imagefinder serve\n"
    )


def test_a_page_of_pictures_that_the_service_has(
    cli: Run, keyed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(pages.append(url)) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    cli("index", tmp_path / "p", "-c", keyed)
    code, _, _ = cli("search", "id:a.png", "--open", "-c", keyed)
    assert code == 0
    page = httpx.URL(pages[0]).path
    assert Path(page).read_text().count('src="data:image/jpeg;base64,') == 2


def test_a_second_interruption_ends_a_run_that_hangs(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    asked, done = Event(), Event()

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await asyncio.to_thread(done.wait, 30)
        await broken(scope, receive, send)

    with service(tmp_path / "served") as (url, app):  # one of its own: the request goes on hanging
        app.answer = lambda scope: hang if scope["method"] == "POST" else None
        command = [sys.executable, "-m", "imagefinder", "index", tmp_path / "p", "-c", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert asked.wait(30)
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                assert "Ctrl-C again to stop at once" in process.stderr.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
            finally:
                done.set()
                process.kill()


def test_the_command_in_a_process_of_its_own(keyed: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["a.png"])
    command = [sys.executable, "-m", "imagefinder", "index", str(tmp_path / "p"), "--json"]
    environment = os.environ | {"IMAGEFINDER_COLLECTION": keyed}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["added"] == 1
