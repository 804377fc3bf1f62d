"""The reference routes: requests and answers as clients of the old services know them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from imagefinder import ImageFinder
from imagefinder.errors import FetchError, ModelError, StoreError
from imagefinder.same import SPARE
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.reference.query_dir import read_below
from imagefinder.serve.reference.routes import PIXEL, wire_id
from imagefinder.testing import FakeEmbedder
from tests.image_server import ImageServer, Reply
from tests.pictures import picture, write_pictures
from tests.serving import Served, served

IDS = ("461828", "165352", "224667", "007", "cats/a b.png", "9007199254740993")
MISSING_FILE = {"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required"}]}
NOT_VALID = {"detail": "Image not valid"}
UPLOADS = ["/closest_img_ids", "/predict/", "/predict", "/similarity-search", "/image_finder"]
QUERY = 2  # the query is the picture of this number of IDS

OPTIONS = ServeOptions(
    max_body_bytes=200_000,
    allowed_networks=(ip_network("127.0.0.0/8"),),
    model_aliases={"vgg": "fake", "elsewhere": "no-such-space"},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of a table of ids, and a directory `queries`."""
    root = tmp_path_factory.mktemp("reference")
    names = [f"file {number}.png" for number in range(len(IDS))]
    write_pictures(root / "pictures", names)
    rows = [f"{id},{name}" for id, name in zip(IDS, names, strict=True)]
    table = root / "pictures" / "table.csv"
    table.write_text("\n".join(["id,path", *rows]), encoding="utf-8")
    with ImageFinder.open(root / "collection", embedder=FakeEmbedder()) as finder:
        assert finder.index(table).added == len(IDS)
    write_pictures(root / "queries", ["query.png", "sub/query.png"], first=QUERY)
    return root


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Served]:
    with served(folder, replace(OPTIONS, query_dir=folder / "queries")) as running:
        yield running


@pytest.fixture(scope="module")
def query(folder: Path) -> bytes:
    return (folder / "pictures" / f"file {QUERY}.png").read_bytes()


@contextmanager
def copied(tmp_path: Path, copies: int) -> Iterator[tuple[Served, bytes]]:
    """A collection with so many copies of one picture and four others, and the picture's bytes."""
    names = [*(f"copy-{number:02}.png" for number in range(copies)), "a.png", "b.png", "c.png"]
    write_pictures(tmp_path / "pictures", names)
    data = (tmp_path / "pictures" / "copy-00.png").read_bytes()
    for name in names[:copies]:
        (tmp_path / "pictures" / name).write_bytes(data)
    # another file that shows the same
    picture(0).save(tmp_path / "pictures" / "same-look.bmp")
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "pictures")
    with served(tmp_path) as running:
        yield running, data


def closest(service: Served, data: bytes, k: int = 3) -> list[tuple[str, float]]:
    """What the library finds."""
    return [(hit.id, hit.score) for hit in service.finder.search(data, k)]


def send(service: Served, path: str, data: bytes, **fields: object) -> httpx.Response:
    return service.client.post(path, files={"file": ("query.png", data)}, data=fields)


# the table of routes


def test_closest_img_ids_are_the_ids_of_the_three_closest(service: Served, query: bytes) -> None:
    answer = send(service, "/closest_img_ids", query)
    assert answer.status_code == 200
    assert answer.json() == [wire_id(id) for id, _ in closest(service, query)]
    assert answer.json()[0] == 224667


@pytest.mark.parametrize("path", ["/predict/", "/predict"])
def test_predict_tells_ids_names_and_scores(service: Served, query: bytes, path: str) -> None:
    answer = send(service, path, query, ignore_duplicate="false")
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == ["pretrained_model", "top_3_similar_images"]
    assert found["pretrained_model"] == "fake"
    expected = [
        {"id": wire_id(id), "name": f"file {IDS.index(id)}.png", "score": score}
        for id, score in closest(service, query)
    ]
    assert found["top_3_similar_images"] == expected
    assert found["top_3_similar_images"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_similarity_search_answers_ids(service: Served, query: bytes) -> None:
    answer = send(service, "/similarity-search", query)
    assert answer.status_code == 200
    assert answer.json() == {"ids": [wire_id(id) for id, _ in closest(service, query)]}


def test_image_finder_answers_scores_by_id_best_first(service: Served, query: bytes) -> None:
    answer = send(service, "/image_finder", query)
    assert answer.status_code == 200
    assert list(answer.json().items()) == closest(service, query)


def test_health_has_name_and_versions(service: Served) -> None:
    answer = service.client.get("/health")
    assert answer.status_code == 200
    version = service.app.version
    assert answer.json() == {
        "name": "ImageFinder",
        "api_version": version,
        "model_version": "fake",
    }


def test_the_examples_of_the_description_can_be_sent(service: Served) -> None:
    for path in UPLOADS:
        assert send(service, path, PIXEL.encode()).status_code == 200


# ids


@pytest.mark.parametrize(
    ("id", "sent"),
    [
        ("461828", 461828),
        ("0", 0),
        ("-5", -5),
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ("9007199254740993", "9007199254740993"),
        ("9" * 5000, "9" * 5000),
        ("007", "007"),
        ("-0", "-0"),
        ("+5", "+5"),
        (" 5", " 5"),
        ("5\n", "5\n"),
        ("1_000", "1_000"),
        ("1.0", "1.0"),
        ("1e3", "1e3"),
        ("٣", "٣"),
        ("", ""),
        ("cat.png", "cat.png"),
    ],
)
def test_an_id_is_a_number_only_where_it_stays_the_same(id: str, sent: object) -> None:
    assert wire_id(id) == sent
    assert type(wire_id(id)) is type(sent)


def test_whole_numbers_are_numbers_and_other_ids_strings(service: Served, query: bytes) -> None:
    answer = send(service, "/predict/", query, nb_similar_images=6, ignore_duplicate="false")
    ids = [image["id"] for image in answer.json()["top_6_similar_images"]]
    expected = [461828, 165352, 224667, "007", "cats/a b.png", "9007199254740993"]
    assert sorted(ids, key=str) == sorted(expected, key=str)


# predict: its fields


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ("id", ["id"]),
        ("score,name", ["score", "name"]),
        (" id , score ", ["id", "score"]),
        ("name,", ["name"]),
        ("id,name,score", ["id", "name", "score"]),
        ("", ["id", "name", "score"]),
    ],
)
def test_retrieved_ref_chooses_fields(
    service: Served, query: bytes, asked: str, fields: list[str]
) -> None:
    images = send(service, "/predict/", query, retrieved_ref=asked).json()["top_3_similar_images"]
    assert len(images) == 3
    assert all(list(image) == fields for image in images)


def test_the_number_asked_for_is_in_the_key(service: Served, query: bytes) -> None:
    one = send(service, "/predict/", query, nb_similar_images=1).json()
    assert len(one["top_1_similar_images"]) == 1
    more = send(service, "/predict/", query, nb_similar_images=50, ignore_duplicate="no").json()
    assert len(more["top_50_similar_images"]) == len(IDS)


@pytest.mark.parametrize("field", ["model_name", "image_model_name"])
@pytest.mark.parametrize("name", ["vgg", "fake"])
def test_a_model_is_named_as_the_client_does(
    service: Served, query: bytes, field: str, name: str
) -> None:
    answer = send(service, "/predict/", query, **{field: name})
    assert answer.json()["pretrained_model"] == name


def test_without_a_name_the_model_is_resnet50_where_that_is_an_alias(
    folder: Path, tmp_path: Path, query: bytes
) -> None:
    write_pictures(tmp_path / "pictures", ["a.png"])
    with served(tmp_path, ServeOptions(model_aliases={"resnet50": "fake"})) as running:
        assert send(running, "/predict/", query).json()["pretrained_model"] == "resnet50"
        named = send(running, "/predict/", query, model_name="fake").json()
        assert named["pretrained_model"] == "fake"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model_name": "resnet50"}, "resnet50: there is no such space here; there is: fake"),
        ({"image_model_name": "elsewhere"}, "elsewhere: there is no such space"),
        ({"retrieved_ref": "id,colour"}, "retrieved_ref: there is no 'colour'; there are: id, "),
        ({"retrieved_ref": " , "}, "retrieved_ref: nothing is asked for"),
        ({"nb_similar_images": "0"}, "nb_similar_images: "),
        ({"nb_similar_images": "-3"}, "nb_similar_images: "),
        ({"nb_similar_images": "1001"}, "nb_similar_images: "),
        ({"nb_similar_images": "many"}, "nb_similar_images: Input should be a valid integer"),
        ({"nb_similar_images": "9" * 5000}, "nb_similar_images: "),
        ({"ignore_duplicate": "maybe"}, "ignore_duplicate: "),
    ],
)
def test_predict_tells_what_is_wrong(
    service: Served, query: bytes, fields: dict[str, str], told: str
) -> None:
    answer = send(service, "/predict/", query, **fields)
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    assert list(answer.json()["detail"]) == ["error"]
    assert answer.json()["detail"]["error"].startswith(told)
    assert len(answer.content) < 1000


# duplicates


@pytest.mark.parametrize("copies", [2, 3 * SPARE])
def test_duplicates_are_left_out_and_replaced(tmp_path: Path, copies: int) -> None:
    with copied(tmp_path, copies) as (running, data):
        answer = send(running, "/predict/", data, nb_similar_images=4).json()
        names = [image["name"] for image in answer["top_4_similar_images"]]
        assert names[0] == "same-look.bmp"  # it looks the same, and is another file
        assert sorted(names[1:]) == ["a.png", "b.png", "c.png"]
        rest = send(running, "/predict/", data, nb_similar_images=9).json()
        assert len(rest["top_9_similar_images"]) == 4


def test_duplicates_come_where_they_are_wanted(tmp_path: Path) -> None:
    with copied(tmp_path, 2) as (running, data):
        answer = send(running, "/predict/", data, ignore_duplicate="False").json()
        names = {image["name"] for image in answer["top_3_similar_images"]}
        assert names == {"copy-00.png", "copy-01.png", "same-look.bmp"}


# images that cannot be used


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_what_is_no_image_is_refused_in_the_form_of_the_route(service: Served, data: bytes) -> None:
    answers = {path: send(service, path, data) for path in UPLOADS}
    assert {answer.status_code for answer in answers.values()} == {400}
    assert answers["/closest_img_ids"].json() == NOT_VALID
    for path in ("/predict/", "/predict"):
        assert list(answers[path].json()["detail"]) == ["error"]
    for path in ("/similarity-search", "/image_finder"):
        assert isinstance(answers[path].json()["detail"], str)


@pytest.mark.parametrize("path", UPLOADS)
def test_a_file_that_is_missing_is_told_as_it_always_was(service: Served, path: str) -> None:
    for request in ({}, {"data": {"model_name": "vgg"}}, {"files": {"image": b"x"}}):
        answer = service.client.post(path, **request)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == MISSING_FILE


@pytest.mark.parametrize("path", UPLOADS)
def test_a_broken_form_is_refused(service: Served, path: str) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    answer = service.client.post(path, content=b"--x", headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    text = service.client.post(path, data={"file": "query.png"})
    assert text.status_code == 400
    assert "<class" not in text.text


# images by path


def by_path(service: Served, path: object) -> httpx.Response:
    return service.client.post("/closest_img_ids", json={"image_path": path})


@pytest.fixture
def tricks(folder: Path) -> Path:
    """The directory of queries, with all that may not be read."""
    queries = folder / "queries"
    (folder / "queries-too").mkdir(exist_ok=True)
    (folder / "queries-too" / "query.png").write_bytes((queries / "query.png").read_bytes())
    for name, target in {
        "out.png": folder / "pictures" / "file 0.png",
        "away": folder / "pictures",
        "loop": queries / "loop",
        "within.png": queries / "query.png",
    }.items():
        (queries / name).unlink(missing_ok=True)
        (queries / name).symlink_to(target)
    if not (queries / "pipe").exists():
        os.mkfifo(queries / "pipe")
    (queries / "huge.png").write_bytes((queries / "query.png").read_bytes())
    os.truncate(queries / "huge.png", OPTIONS.max_body_bytes + 1)
    (queries / "words.png").write_text("no image")
    return queries


@pytest.mark.parametrize(
    "path", ["query.png", "sub/query.png", "./sub/../query.png", "within.png", "ABSOLUTE"]
)
def test_an_image_below_the_query_directory_is_found(
    service: Served, tricks: Path, path: str
) -> None:
    path = str(tricks / "query.png") if path == "ABSOLUTE" else path
    answer = by_path(service, path)
    assert answer.status_code == 200
    expected = closest(service, (tricks / path).read_bytes())
    assert answer.json() == [wire_id(id) for id, _ in expected]


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "sub",
        "nothing.png",
        "query.png/..",
        "../pictures/file 0.png",
        "../queries-too/query.png",
        "sub/../../pictures/file 0.png",
        "away/file 0.png",
        "away/../pictures/file 0.png",
        "out.png",
        "loop",
        "pipe",
        "huge.png",
        "words.png",
        "query.png\0",
        "query\0.png",
        "/dev/zero",
        "/proc/self/environ",
        "file:///etc/passwd",
        "~/query.png",
        "a" * 5000,
        "a/" * 5000,
        "OUTSIDE",
        "BESIDE",
        17,
        None,
        ["query.png"],
    ],
)
def test_no_other_path_is_read(service: Served, tricks: Path, path: object) -> None:
    outside = {
        "OUTSIDE": str(tricks.parent / "pictures" / "file 0.png"),
        "BESIDE": f"{tricks}-too/query.png",
    }
    answer = by_path(service, outside.get(path, path) if isinstance(path, str) else path)
    assert answer.status_code == 400
    assert answer.json() == NOT_VALID


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"query.png"', b'{"image_path": "\\ud800"}']
)
def test_json_that_names_no_path_is_refused(service: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/closest_img_ids", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json() == NOT_VALID


def test_json_without_the_path_misses_it(service: Served) -> None:
    answer = service.client.post("/closest_img_ids", json={"path": "query.png"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "image_path"]


def test_without_a_query_directory_no_path_is_allowed(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        allowed = running.pictures / "bird.png"
        assert by_path(running, str(allowed)).json() == NOT_VALID
        assert send(running, "/closest_img_ids", allowed.read_bytes()).status_code == 200


def test_a_query_directory_may_be_a_link_itself(tricks: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tricks)
    data = (tricks / "query.png").read_bytes()
    for name in ("query.png", str(link / "query.png"), str(tricks / "query.png")):
        assert read_below(link, name, 10**6) == data
    with pytest.raises(FetchError):
        read_below(link, "out.png", 10**6)


def test_a_way_in_from_outside_is_not_even_looked_at(tricks: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tricks)
    assert (tmp_path / "link" / "query.png").exists()
    with pytest.raises(FetchError, match="outside"):
        read_below(tricks, str(tmp_path / "link" / "query.png"), 10**6)


# images by URL


@pytest.fixture(scope="module")
def web() -> Iterator[ImageServer]:
    with ImageServer().running() as server:
        yield server


@pytest.mark.parametrize("how", ["params", "json"])
def test_search_by_url_links_to_the_pictures(
    service: Served, web: ImageServer, query: bytes, how: str
) -> None:
    web.plan("query.png", Reply(body=query))
    answer = service.client.post("/search-by-url", **{how: {"url": web.url("query.png")}})
    assert answer.status_code == 200
    assert [(hit["id"], hit["score"]) for hit in answer.json()] == [
        (wire_id(id), score) for id, score in closest(service, query)
    ]
    assert answer.json()[0]["image"] == f"{service.url}/v1/images/224667/thumbnail"
    for hit in answer.json():
        shown = httpx.get(hit["image"], trust_env=False)
        assert shown.status_code == 200
        assert shown.headers["content-type"].startswith("image/")


def test_the_link_leads_to_the_content_where_that_is_served(
    tmp_path: Path, web: ImageServer
) -> None:
    options = replace(OPTIONS, serve_content=True)
    with served(tmp_path, options, names=["a b.png"]) as running:
        data = (running.pictures / "a b.png").read_bytes()
        web.plan("one.png", Reply(body=data))
        address = {"url": web.url("one.png")}
        (hit,) = running.client.post("/search-by-url", params=address).json()
        assert hit["image"] == f"{running.url}/v1/images/a%20b.png/content"
        assert httpx.get(hit["image"], trust_env=False).content == data


def test_the_guard_stands_before_every_fetch(tmp_path: Path, web: ImageServer) -> None:
    with served(tmp_path, names=["a.png"]) as running:
        for how in ("params", "json"):
            address = {"url": web.url("guarded.png")}
            answer = running.client.post("/search-by-url", **{how: address})
            assert answer.status_code == 400
            assert list(answer.json()) == ["detail"]
            assert "127.0.0.1" not in answer.text
        assert not web.seen["guarded.png"]


def test_nothing_is_fetched_where_that_is_switched_off(tmp_path: Path, web: ImageServer) -> None:
    options = replace(OPTIONS, fetch_urls=False)
    with served(tmp_path, options, names=["a.png"]) as running:
        address = {"url": web.url("off.png")}
        answer = running.client.post("/search-by-url", params=address)
        assert answer.status_code == 400
        assert "switched off" in answer.json()["detail"]
        assert not web.seen["off.png"]


@pytest.mark.parametrize(
    ("reply", "told"),
    [(Reply(status=404), "HTTP 404"), (Reply(body=b"no image"), "not an image")],
)
def test_a_url_without_an_image_is_told(
    service: Served, web: ImageServer, reply: Reply, told: str
) -> None:
    web.plan("bad.png", reply)
    answer = service.client.post("/search-by-url", params={"url": web.url("bad.png")})
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "no url", "http://", "\ud7ff", "id:461828"])
def test_what_is_no_url_is_refused(service: Served, url: str) -> None:
    answer = service.client.post("/search-by-url", params={"url": url})
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


def test_a_url_that_is_missing_is_told_as_it_always_was(service: Served) -> None:
    for request, place in (
        ({}, "query"),
        ({"params": {"url": ""}}, "query"),
        ({"json": {"link": "http://example.org/a.png"}}, "body"),
    ):
        answer = service.client.post("/search-by-url", **request)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == [place, "url"]


def test_a_url_of_a_wrong_kind_is_refused(service: Served) -> None:
    answer = service.client.post("/search-by-url", json={"url": ["http://example.org/a.png"]})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "url: Input should be a valid string"}


# the service's own troubles


def test_overload_is_a_problem_as_everywhere(
    tmp_path: Path, query: bytes, web: ImageServer
) -> None:
    options = replace(OPTIONS, max_waiting=-100_000)  # no place for anybody
    with served(tmp_path, options, names=["a.png"]) as running:
        answers = [send(running, path, query) for path in UPLOADS]
        address = {"url": web.url("query.png")}
        answers.append(running.client.post("/search-by-url", params=address))
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
        assert running.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (StoreError("/srv/photos: the disk is full"), 503, "try again later"),
        (ModelError("the model failed"), 400, "the model failed"),
    ],
)
def test_failures_are_told_in_the_form_of_the_route(
    service: Served,
    query: bytes,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    told: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(service.finder, "search", fail)
    answers = {path: send(service, path, query) for path in UPLOADS}
    for path, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)
        assert "/srv" not in answer.text
        detail = answer.json()["detail"]
        text = detail["error"] if path.startswith("/predict") else detail
        hidden = path == "/closest_img_ids" and status == 400
        assert ("Image not valid" if hidden else told) in text


def test_they_are_described_under_a_tag_of_their_own(service: Served) -> None:
    document = service.client.get("/openapi.json").json()
    tagged = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation["tags"] == ["reference"]
    }
    assert tagged == {
        "/closest_img_ids",
        "/predict/",
        "/similarity-search",
        "/search-by-url",
        "/image_finder",
        "/health",
    }
