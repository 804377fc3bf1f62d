"""/v1/images: listing, showing, changing and removing."""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.types import Upload
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import NAMES, Served, served

COUNT = 12  # images with a number, beside those of the folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as service:
        service.finder.add(
            [
                Upload(
                    encoded(picture(100 + n), "JPEG"),
                    f"n/{n:02}.jpg",
                    metadata={"n": n, "even": n % 2 == 0},
                )
                for n in range(COUNT)
            ]
        )
        yield service


def listed(service: Served, **params: object) -> dict:
    answer = service.client.get("/v1/images", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(page: dict) -> list[str]:
    return [image["id"] for image in page["images"]]


def everything(service: Served, **params: object) -> list[str]:
    """Page after page."""
    found: list[str] = []
    page = listed(service, **params)
    while page["next"] is not None and len(found) < 100:
        found += ids(page)
        assert page["next"] == found[-1]
        page = listed(service, **params, after=page["next"])
    return found + ids(page)


# listing


def test_the_list_is_that_of_the_library(service: Served):
    page = listed(service)
    assert ids(page) == [record.id for record in service.finder.images()]
    assert len(ids(page)) == len(NAMES) + COUNT
    assert page["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 5, 16, 17, 18])
def test_pages_make_up_the_whole(service: Served, limit: int):
    assert everything(service, limit=limit) == ids(listed(service))
    assert len(listed(service, limit=limit)["images"]) == min(limit, len(NAMES) + COUNT)


def test_pages_of_what_is_filtered(service: Served):
    odd = [f"n/{n:02}.jpg" for n in range(1, COUNT, 2)]
    assert everything(service, filter="even == false", limit=2) == odd
    assert listed(service, filter="n > 1000") == {"images": [], "next": None}


def test_beginning_after_an_id_that_may_be_gone(service: Served):
    assert ids(listed(service, after="n/10", limit=1)) == ["n/10.jpg"]
    assert ids(listed(service, after="zzz")) == []


def test_only_the_ids_that_are_asked_for(service: Served):
    asked = ["tree.png", "nobody", "n/03.jpg", "bird.png", "n/04.jpg", "bird.png"]
    assert ids(listed(service, id=asked)) == ["bird.png", "n/03.jpg", "n/04.jpg", "tree.png"]
    assert everything(service, id=asked, limit=2) == ids(listed(service, id=asked))
    assert ids(listed(service, id=asked, after="n")) == ["n/03.jpg", "n/04.jpg", "tree.png"]
    assert ids(listed(service, id=asked, filter="even == true")) == ["n/04.jpg"]
    assert ids(listed(service, id=asked, filter='uri == "bird.png"')) == ["bird.png"]
    assert listed(service, id="nobody") == {"images": [], "next": None}


def test_embeddings_where_they_are_asked_for(service: Served):
    assert all("embedding" not in image for image in listed(service)["images"])
    images = listed(service, embeddings=True)["images"]
    assert len(images) == len(NAMES) + COUNT
    for image in images:
        row = service.finder.embed(f"id:{image['id']}")
        np.testing.assert_allclose(image["embedding"], row, atol=1e-6)


def test_some_at_random(service: Served):
    known = {image["id"]: image for image in listed(service)["images"]}
    drawn = [listed(service, sample=4) for _ in range(200)]
    assert {page["next"] for page in drawn} == {None}
    for page in drawn:
        assert len(set(ids(page))) == 4
        assert all(image == known[image["id"]] for image in page["images"])
    assert len({tuple(ids(page)) for page in drawn}) > 190  # of 57,120
    places = [Counter(ids(page)[place] for page in drawn) for place in range(4)]
    for place in places:  # 11.8 are expected of each, with a standard deviation of 3.3
        assert set(place) == set(known)
        assert max(place.values()) < 40


def test_more_at_random_than_there_are(service: Served):
    every = sorted(ids(listed(service)))
    orders = [ids(listed(service, sample=1000, limit=1)) for _ in range(5)]
    assert all(sorted(order) == every for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    # a sample has no pages
    assert sorted(ids(listed(service, sample=1000, after="zzz"))) == every


def test_some_at_random_with_their_embeddings(service: Served):
    for image in listed(service, sample=3, embeddings=True)["images"]:
        row = service.finder.embed(f"id:{image['id']}")
        np.testing.assert_allclose(image["embedding"], row, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"limit": 0}, 422, "limit"),
        ({"limit": 1001}, 422, "limit"),
        ({"limit": "all"}, 422, "limit"),
        ({"embeddings": "perhaps"}, 422, "embeddings"),
        ({"sample": 0}, 422, "sample"),
        ({"sample": 1001}, 422, "sample"),
        ({"sample": "all"}, 422, "sample"),
        ({"sample": 3, "filter": "even == true"}, 422, "leave out filter and id"),
        ({"sample": 3, "id": "bird.png"}, 422, "leave out filter and id"),
        ({"filter": "n >"}, 400, "filter, column 4"),
        ({"filter": "n >", "id": "bird.png"}, 400, "filter, column 4"),
    ],
)
def test_what_is_not_valid(service: Served, params: dict, status: int, words: str):
    answer = service.client.get("/v1/images", params=params)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_page_is_as_large_as_the_operator_allows(tmp_path: Path):
    with served(tmp_path, ServeOptions(max_results=2)) as service:
        for count in ("limit", "sample"):
            assert service.client.get("/v1/images", params={count: 3}).status_code == 422
        assert len(everything(service, limit=2)) == 5


# showing


def test_a_record_is_that_of_the_library(service: Served):
    answer = service.client.get("/v1/images/animals/cat.png")
    record = service.finder.get("animals/cat.png")
    assert answer.json() == {
        "id": "animals/cat.png",
        "uri": "animals/cat.png",
        "sha256": record.sha256,
        "width": 40,
        "height": 30,
        "format": "png",
        "size": (service.pictures / "animals/cat.png").stat().st_size,
        "mtime": pytest.approx((service.pictures / "animals/cat.png").stat().st_mtime),
        "date": None,
        "camera": None,
        "latitude": None,
        "longitude": None,
        "metadata": {},
        "thumbnail": "/v1/images/animals/cat.png/thumbnail",
    }


def test_what_the_camera_wrote_is_shown(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0110] = "Camera 1"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:06 07:08:09"
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 30.0, 0.0), 3: "E", 4: (8.0, 15.0, 0.0)})
    with served(tmp_path, names=["a.jpg"]) as service:
        picture(0).save(service.pictures / "a.jpg", exif=exif)
        os.utime(service.pictures / "a.jpg", (1e9, 1e9))
        service.finder.index(service.pictures)
        record = service.client.get("/v1/images/a.jpg").json()
    assert datetime.fromisoformat(record["date"]) == datetime(2021, 5, 6, 7, 8, 9)
    assert record["camera"] == "Camera 1"
    assert (record["latitude"], record["longitude"]) == (47.5, 8.25)
    assert record["mtime"] == 1e9


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("id", ["nobody.png", "a/b/c", "👒", "a b", "?", "bird.png/", ""])
def test_an_image_that_is_not_there(service: Served, method: str, id: str):
    body = {"json": {"metadata": {}}} if method == "PATCH" else {}
    answer = service.client.request(method, f"/v1/images/{quote(id)}", **body)
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"{id}: no image of the collection has this id"


def test_a_method_that_there_is_not(service: Served):
    answer = service.client.post("/v1/images/bird.png")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, PATCH, DELETE"


# changing


def patch(service: Served, id: str, changes: object) -> httpx.Response:
    return service.client.patch(f"/v1/images/{id}", json={"metadata": changes})


def test_values_are_merged_into_the_metadata(service: Served):
    first = patch(service, "fish.png", {"label": "fish", "n": 1, "tags": ["a", "b"]})
    assert first.status_code == 200
    assert first.json()["metadata"] == {"label": "fish", "n": 1, "tags": ["a", "b"]}
    second = patch(service, "fish.png", {"n": None, "nothing": None, "tags": ["c"], "ok": True})
    assert second.json()["metadata"] == {"label": "fish", "tags": ["c"], "ok": True}
    assert patch(service, "fish.png", {}).json()["metadata"] == second.json()["metadata"]
    shown = service.client.get("/v1/images/fish.png").json()
    assert shown == second.json()
    assert ids(listed(service, filter='tags contains "c"')) == ["fish.png"]
    # the search knows as well, and finds it where it was
    found = service.client.post(
        "/v1/search", data={"id": "fish.png", "filter": 'label == "fish"'}
    ).json()
    assert [(hit["id"], hit["metadata"]["ok"]) for hit in found["hits"]] == [("fish.png", True)]


def test_the_media_type_of_merge_patches_is_taken(service: Served):
    answer = service.client.patch(
        "/v1/images/tree.png",
        content=b'{"metadata": {"label": "tree"}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    assert answer.json()["metadata"]["label"] == "tree"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Field required"),
        (b"{", "JSON"),
        (b"{}", "metadata: Field required"),
        (b'{"metadata": null}', "metadata"),
        (b'{"metadata": []}', "metadata"),
        (b'{"metadata": {"a": {"b": 1}}}', "metadata.a: must be text, a number"),
        (b'{"metadata": {"a": [[1]]}}', "metadata.a: must be text"),
        (b'{"metadata": {"a": [null]}}', "metadata.a: must be text"),
        (b'{"metadata": {"a": NaN}}', "metadata.a"),
        (b'{"metadata": {"a": [-Infinity]}}', "metadata.a"),
        (b'{"metadata": {"a": "\\ud800"}}', "metadata.a"),
        (b'{"metadata": {"\\ud800": 1}}', "metadata"),
        (b'{"metadata": {}, "id": "other"}', "id: Extra inputs"),
        (b'{"metadata": ' + b"[" * 100_000, "parsing the body"),
    ],
)
def test_a_change_that_is_not_valid(service: Served, body: bytes, words: str):
    before = service.client.get("/v1/images/bird.png").json()
    answer = service.client.patch(
        "/v1/images/bird.png", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}, answer.text
    assert words in answer.json()["detail"]
    assert service.client.get("/v1/images/bird.png").json() == before


def test_a_change_that_is_too_long(service: Served):
    answer = patch(service, "bird.png", {"a": "b" * 65_536})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "metadata: longer than 65536 bytes"


def test_a_change_that_is_no_json(service: Served):
    answer = service.client.patch("/v1/images/bird.png", data={"metadata": "{}"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/images", "/v1/search", "/image_finder"])
def test_no_room_for_the_body(
    service: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
):
    """It is not the client's fault, and the operator is told."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")  # files above 1 MB go there
    field = "file" if path == "/image_finder" else "image"
    answer = service.client.post(path, files={field: bytes(2_000_000)})
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]
    assert "cannot be kept on the disk" in caplog.text


# removing


def test_a_removed_image_is_found_no_more(tmp_path: Path):
    with served(tmp_path) as service:
        answer = service.client.delete("/v1/images/animals/cat.png")
        assert (answer.status_code, answer.content) == (204, b"")
        assert service.client.delete("/v1/images/animals/cat.png").status_code == 404
        data = (service.pictures / "animals/cat.png").read_bytes()  # the file is the user's
        hits = service.client.post("/v1/search", files={"image": ("a", data)}, data={"k": 10})
        assert "animals/cat.png" not in [hit["id"] for hit in hits.json()["hits"]]
        assert len(hits.json()["hits"]) == 4
        assert len(listed(service)["images"]) == 4


def test_who_may_read_may_not_write(tmp_path: Path):
    keys = (Key("r", "a-key-that-may-read", Access.READ),)
    with served(tmp_path, ServeOptions(keys=keys), key="a-key-that-may-read") as service:
        assert len(listed(service)["images"]) == 5
        assert patch(service, "bird.png", {"a": 1}).status_code == 403
        assert service.client.delete("/v1/images/bird.png").status_code == 403
        added = service.client.post("/v1/images", files={"image": ("a", b"")})
        assert added.status_code == 403
        assert service.client.get("/v1/images/bird.png").json()["metadata"] == {}
