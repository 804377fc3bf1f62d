"""What the service says about itself, and what holds for all of its routes."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from imagefinder import __version__
from imagefinder.serve.options import Access, Key, ServeOptions
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import NAMES, Served, served

READ, WRITE = "a-key-that-may-read", "a-key-that-may-write"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as service:
        yield service


# the collection


def test_the_status(service: Served):
    status = service.client.get("/v1/status").json()
    assert status.pop("disk_bytes") > 1000
    assert status == {
        "collection": "collection",  # its name, and not where it is
        "model": "fake",
        "dim": 48,
        "images": len(NAMES),
        "skipped": 0,
        "spaces": ["fake"],
        "version": __version__,
        "read_only": False,
        "writable": True,
        "serves_content": False,
        "fetches_urls": True,
        "max_results": 1000,
        "max_upload_bytes": 50_000_000,
    }


def test_the_status_says_when_nothing_can_be_changed(tmp_path: Path):
    with served(tmp_path, ServeOptions(read_only=True)) as service:
        status = service.client.get("/v1/status").json()
        assert (status["read_only"], status["writable"]) == (True, False)
        assert service.client.delete("/v1/images/bird.png").status_code == 403
        search = service.client.post("/v1/search", data={"id": "bird.png"})
        assert search.status_code == 200


@pytest.mark.parametrize("read_only", [False, True])
def test_the_status_says_whether_this_key_may_change_anything(tmp_path: Path, read_only: bool):
    keys = (Key("r", READ, Access.READ), Key("w", WRITE, Access.WRITE))
    with served(tmp_path, ServeOptions(keys=keys, read_only=read_only)) as service:
        for key, writable in ((READ, False), (WRITE, not read_only)):
            known = {"Authorization": f"Bearer {key}"}
            status = service.client.get("/v1/status", headers=known).json()
            assert status["writable"] is writable
            assert status["read_only"] is read_only
            gone = service.client.delete("/v1/images/bird.png", headers=known)
            assert gone.status_code == (204 if writable else 403)


def test_the_status_says_what_the_operator_allows(tmp_path: Path):
    options = ServeOptions(
        serve_content=True, fetch_urls=False, max_results=7, max_body_bytes=123_456
    )
    with served(tmp_path, options) as service:
        status = service.client.get("/v1/status").json()
    assert status["serves_content"] is True
    assert status["fetches_urls"] is False
    assert status["max_results"] == 7
    assert status["max_upload_bytes"] == 123_456


def test_the_models(service: Served):
    fake = {"name": "fake", "dim": 48, "default": True, "text": False, "distance": "cosine"}
    counts = {"images": len(NAMES), "behind": 0}
    answer = service.client.get("/v1/models").json()
    assert answer == {"models": [{**fake, **counts}], "filling": None}


def test_an_empty_collection_is_served(tmp_path: Path):
    with served(tmp_path) as service:
        for id in NAMES:
            assert service.client.delete(f"/v1/images/{id}").status_code == 204
        assert service.client.get("/v1/images").json() == {"images": [], "next": None}
        png = encoded(picture(0), "PNG")
        search = service.client.post("/v1/search", files={"image": ("a", png)})
        assert search.json()["hits"] == []
        assert service.client.get("/v1/models").json()["models"][0]["dim"] == 48
        assert service.client.get("/readyz").status_code == 200


def test_skipped_images_are_told_without_the_folders_of_the_server(tmp_path: Path):
    far, tables = tmp_path / "elsewhere" / "far.png", tmp_path / "tables"
    for broken in (far, tmp_path / "pictures" / "sub" / "broken.png"):
        broken.parent.mkdir(parents=True)
        broken.write_bytes(encoded(picture(9), "PNG")[:100])
    tables.mkdir()
    picture(8).save(tables / "good.png")
    (tables / "some.csv").write_text(f"id,path\nfar,{far}\ngone,gone.png\ngood,good.png\n")

    with served(tmp_path) as service:
        service.finder.index(tables / "some.csv")
        assert service.client.get("/v1/status").json()["skipped"] == 3
        answer = service.client.get("/v1/skipped")
        assert str(tmp_path) not in answer.text
        assert all(one["reason"] for one in answer.json()["skipped"])
        assert uris(answer) == {
            "sub/broken.png": "sub/broken.png",
            "far": "far.png",
            "gone": "gone.png",
        }
    with served(tmp_path, ServeOptions(full_paths=True)) as service:
        assert uris(service.client.get("/v1/skipped")) == {
            "sub/broken.png": str(service.pictures / "sub/broken.png"),
            "far": str(far),
            "gone": str(tables / "gone.png"),
        }


def uris(answer: httpx.Response) -> dict[str, str]:
    return {one["id"]: one["uri"] for one in answer.json()["skipped"]}


# health


def test_the_routes_that_are_watched(service: Served):
    ping = service.client.get("/ping")
    assert (ping.content, ping.headers["content-type"]) == (b'"pong"', "application/json")
    assert service.client.get("/healthz").json() == {"status": "alive"}
    assert service.client.get("/readyz").json() == {"status": "ready"}


def figures(service: Served) -> dict[str, float]:
    """Name with labels -> value."""
    answer = service.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def test_the_metrics_count_what_happened(service: Served):
    before = figures(service)
    png = encoded(picture(2), "PNG")
    for _ in range(3):
        service.client.post("/v1/search", files={"image": ("a", png)})
    service.client.post("/v1/search", files=[("image", ("a", png))] * 2)
    service.client.get("/v1/images/nobody.png")
    service.client.get("/v1/images/nobody.jpg")
    service.client.get("/nothing/here")
    after = figures(service)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    requests = "imagefinder_requests_total"
    assert more(f'{requests}{{method="POST",route="/v1/search",status="200"}}') == 4
    shown = f'{requests}{{method="GET",route="/v1/images/{{id:id}}",status="404"}}'
    assert more(shown) == 2  # by route: images would be too many
    assert more(f'{requests}{{method="GET",route="none",status="404"}}') == 1
    assert more('imagefinder_request_seconds_count{route="/v1/search"}') == 4
    for stage in ("wait", "decode", "queue", "embed", "search"):
        assert more(f'imagefinder_stage_seconds_count{{stage="{stage}"}}') >= 4, stage
    assert more("imagefinder_batch_size_sum") == 5  # images
    assert after["imagefinder_collection_images"] == len(NAMES)
    assert after["imagefinder_queue_depth"] == 0
    assert after["imagefinder_worker_restarts"] == 0
    assert not any("nobody" in name for name in after)


def test_the_metrics_know_the_collection_as_it_is(tmp_path: Path):
    with served(tmp_path) as service:
        service.client.delete("/v1/images/bird.png")
        assert figures(service)["imagefinder_collection_images"] == 4


# all routes

READING = (
    "/ping",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/v1/status",
    "/v1/models",
    "/v1/skipped",
    "/v1/fields",
    "/v1/images",
    "/v1/images/bird.png",
    "/v1/images/bird.png/thumbnail",
)


@pytest.mark.parametrize("path", READING)
def test_head_is_get_without_the_body(service: Served, path: str):
    get, head = service.client.get(path), service.client.head(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    for name in ("content-type", "etag", "vary", "cache-control"):
        assert head.headers.get(name) == get.headers.get(name)
    if path != "/metrics":
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/status", "GET, HEAD"),
        ("GET", "/v1/search", "POST"),
        ("DELETE", "/v1/images", "GET, HEAD, POST"),
        ("PUT", "/ping", "GET, HEAD"),
    ],
)
def test_a_method_that_there_is_not(service: Served, method: str, path: str, allowed: str):
    answer = service.client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert method in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/", "/v1/nothing", "/v2/search"])
def test_a_path_that_there_is_not(service: Served, path: str):
    answer = service.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is nothing at this path"


def test_what_needs_a_key_and_what_does_not(tmp_path: Path):
    keys = (Key("r", READ, Access.READ), Key("w", WRITE, Access.WRITE))
    with served(tmp_path, ServeOptions(keys=keys)) as service:

        def status(path: str, key: str | None = None) -> int:
            headers = {"X-API-Key": key} if key else {}
            return service.client.get(path, headers=headers).status_code

        free = {path for path in READING if status(path) == 200}
        assert free == {"/ping", "/healthz", "/readyz", "/docs", "/redoc", "/openapi.json"}
        for path in set(READING) - free:
            assert status(path) == 401
            assert status(path, "a-key-that-is-wrong") == 401
            assert status(path, READ) == 200
            assert status(path, WRITE) == 200


def test_every_answer_has_the_id_of_its_request(service: Served):
    for path in ("/ping", "/v1/status", "/v1/images/nobody.png"):
        mine = service.client.get(path, headers={"X-Request-ID": "my.id_1-2"})
        assert mine.headers["x-request-id"] == "my.id_1-2"
        made = service.client.get(path, headers={"X-Request-ID": "not good"})
        assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])
