"""POST /v1/search and /v1/embed."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from ipaddress import ip_network
from math import exp
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder, Query
from imagefinder.query import IdPart, ImagePart, TextPart
from imagefinder.serve.forms import embeds_picture
from imagefinder.serve.options import ServeOptions
from imagefinder.testing import FAKE, FakeEmbedder
from imagefinder.types import Box, Upload
from tests.image_server import ImageServer, Reply, encoded
from tests.pictures import picture
from tests.serving import NAMES, Served, served

LOOPBACK = (ip_network("127.0.0.0/8"),)
LABELS = {"animals/cat.png": "cat", "animals/dog.png": "dog", "bird.png": "bird"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def jpeg(seed: int) -> bytes:
    return encoded(picture(seed), "JPEG")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    with served(folder, ServeOptions(allowed_networks=LOOPBACK)) as service:
        label(service.finder)
        yield service


@pytest.fixture(scope="module")
def library(service: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageFinder]:
    """The same collection without a service."""
    place = tmp_path_factory.mktemp("library") / "collection"
    with ImageFinder.open(place, embedder=FakeEmbedder()) as finder:
        finder.index(service.pictures)
        label(finder)
        yield finder


def label(finder: ImageFinder) -> None:
    for id, value in LABELS.items():
        finder.update_metadata(id, {"label": value})


def search(
    service: Served, *images: bytes, accept: str = "*/*", **fields: object
) -> httpx.Response:
    files = [("image", (f"{number}.png", data)) for number, data in enumerate(images)]
    return service.client.post(
        "/v1/search", data=fields, files=files or None, headers={"Accept": accept}
    )


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


# what is found


@pytest.mark.parametrize(
    ("images", "fields", "query"),
    [
        ([jpeg(2)], {}, jpeg(2)),
        ([jpeg(2), jpeg(3)], {}, [jpeg(2), jpeg(3)]),
        ([], {"id": "fish.png"}, "id:fish.png"),
        ([], {"id": ["fish.png", "tree.png"]}, ["id:fish.png", "id:tree.png"]),
        ([jpeg(9)], {"id": "tree.png"}, [jpeg(9), "id:tree.png"]),
        (
            [jpeg(2)],
            {"id": "tree.png", "weights": "1,-0.5"},
            Query((ImagePart(jpeg(2)), IdPart("tree.png", -0.5))),
        ),
        (
            [jpeg(2)],
            {"box": "0.25,0,0.5,0.5"},
            Query((ImagePart(jpeg(2), box=Box(0.25, 0, 0.5, 0.5)),)),
        ),
        (
            [jpeg(2), jpeg(3)],
            {"box": ["", "0,0,0.5,1"]},
            Query((ImagePart(jpeg(2)), ImagePart(jpeg(3), box=Box(0, 0, 0.5, 1)))),
        ),
        (
            [],
            {"id": "tree.png", "box": "0.25,0,0.5,0.5"},
            Query((IdPart("tree.png", box=Box(0.25, 0, 0.5, 0.5)),)),
        ),
        (
            [jpeg(2)],
            {"id": ["fish.png", "tree.png"], "box": ["", "", "0,0,0.5,1"], "weights": "1,-1,2"},
            Query(
                (
                    ImagePart(jpeg(2)),
                    IdPart("fish.png", -1),
                    IdPart("tree.png", 2, Box(0, 0, 0.5, 1)),
                )
            ),
        ),
    ],
    ids=[
        "image",
        "images",
        "id",
        "ids",
        "image and id",
        "weights",
        "box",
        "one box of two",
        "box of an id",
        "box of the last",
    ],
)
def test_the_hits_are_those_of_the_library(
    service: Served, library: ImageFinder, images: list, fields: dict, query: object
):
    hits = search(service, *images, k=5, **fields).json()["hits"]
    expected = library.search(query, 5)
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected])
    assert [hit["metadata"] for hit in hits] == [dict(hit.metadata) for hit in expected]
    assert [hit["uri"] for hit in hits] == list(map(str, (hit["id"] for hit in hits)))


@pytest.mark.parametrize("seed", range(5))
def test_an_image_finds_itself(service: Served, seed: int):
    hit = search(service, png(seed), k=1).json()["hits"][0]
    assert hit["id"] == NAMES[seed]
    assert hit["score"] == pytest.approx(1)


def test_an_image_by_its_url(service: Served):
    with ImageServer().running() as pictures:
        pictures.plan("some/bird.png", Reply(body=png(2)))
        url = pictures.url("some/bird.png")
        assert ids(search(service, url=url, k=1)) == ["bird.png"]
        assert pictures.requests.total() == 1
        # in the order of the weights: images, urls, ids
        both = search(service, png(3), url=url, id="tree.png", weights="-1,1,0", k=5)
        assert ids(both)[0] == "bird.png"
        assert ids(both)[-1] == "fish.png"


def test_boxes_are_for_images_then_urls_then_ids(service: Served, library: ImageFinder):
    boxes = ["0,0,0.5,1", "0.5,0,0.5,1", "0,0,1,0.5"]
    with ImageServer().running() as pictures:
        pictures.plan("bird.png", Reply(body=png(2)))
        fields = {"url": pictures.url("bird.png"), "id": "tree.png", "box": boxes, "k": 5}
        hits = search(service, png(3), **fields).json()["hits"]
    expected = library.search(
        Query(
            (
                ImagePart(png(3), box=Box(0, 0, 0.5, 1)),
                ImagePart(png(2), box=Box(0.5, 0, 0.5, 1)),
                IdPart("tree.png", box=Box(0, 0, 1, 0.5)),
            )
        ),
        5,
    )
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in expected])


def test_a_box_on_an_image_whose_file_is_gone(tmp_path: Path):
    with served(tmp_path) as service:
        (service.pictures / "bird.png").unlink()
        answer = search(service, id="bird.png", box="0,0,0.5,0.5")
        assert answer.status_code == 422
        assert answer.json()["detail"] == "bird.png: the image's file cannot be read any more"
        assert answer.json()["code"] == "fetch"
        assert ids(search(service, id="bird.png", k=1)) == ["bird.png"]


@pytest.mark.parametrize(
    ("query", "embeds"),
    [
        (Query((IdPart("a"), TextPart("b"))), False),
        (Query((IdPart("a"), IdPart("b", box=Box(0, 0, 1, 1)))), True),
        (Query((TextPart("b"), ImagePart(b""))), True),
    ],
)
def test_who_waits_for_the_model(query: Query, embeds: bool):
    assert embeds_picture(query) is embeds


def test_a_url_that_gives_no_image(service: Served):
    with ImageServer().running() as pictures:
        pictures.plan("gone.png", Reply(status=404))
        assert search(service, url=pictures.url("gone.png")).status_code == 422
        pictures.plan("text.png", Reply(body=b"hello"))
        assert search(service, url=pictures.url("text.png")).status_code == 422


def test_fetching_can_be_switched_off(tmp_path: Path):
    with served(tmp_path, ServeOptions(fetch_urls=False)) as service:
        answer = search(service, url="http://127.0.0.1:9/a.png")
    assert answer.status_code == 400
    assert "switched off" in answer.json()["detail"]


def test_how_many(service: Served):
    assert len(ids(search(service, png(2)))) == 3
    assert len(ids(search(service, png(2), k=1))) == 1
    assert len(ids(search(service, png(2), k=1000))) == 5


def test_a_filter(service: Served):
    assert set(ids(search(service, png(4), filter='label in ["cat", "dog"]'))) == {
        "animals/cat.png",
        "animals/dog.png",
    }
    assert ids(search(service, png(4), filter="width > 40")) == []
    # of uris, what is seen is compared
    assert ids(search(service, png(4), filter='uri == "bird.png"')) == ["bird.png"]


def test_fields_that_a_browser_sends_empty_are_as_good_as_left_out(service: Served):
    empty = {"url": "", "id": "", "text": "", "filter": "", "box": "", "weights": "", "space": ""}
    assert ids(search(service, png(2), **empty)) == ids(search(service, png(2)))
    no_file = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nbird.png\r\n--b--\r\n'
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.client.post("/v1/search", content=no_file, headers=kind)
    assert ids(answer)[0] == "bird.png"


def test_the_space_is_named(service: Served):
    answer = search(service, png(2), space="fake", exact=True)
    assert ids(answer)[0] == "bird.png"
    assert answer.json()["model"] == "fake"
    assert answer.json()["took_ms"] > 0


def test_a_form_without_files_may_be_sent_in_the_other_encoding(service: Served):
    answer = service.client.post("/v1/search", data={"id": "fish.png", "k": "1"})
    assert answer.request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert ids(answer) == ["fish.png"]


def test_confidence_is_calibrated(tmp_path: Path):
    class Calibrated(FakeEmbedder):
        spec = replace(FAKE, calibration=(4.0, -1.0))

    with served(tmp_path, embedder=Calibrated()) as service:
        hits = search(service, png(2)).json()["hits"]
    for hit in hits:
        assert hit["confidence"] == pytest.approx(1 / (1 + exp(1 - 4 * hit["score"])))


def test_confidence_is_null_without_calibration(service: Served):
    assert search(service, png(2), k=1).json()["hits"][0]["confidence"] is None


def test_pictures_of_the_query_for_who_cannot_show_it(service: Served):
    with ImageServer().running() as pictures:
        pictures.plan("tree.png", Reply(body=png(4)))
        found = search(service, jpeg(3), url=pictures.url("tree.png"), preview=True).json()
    shown = [np.asarray(Image.open(BytesIO(data_of(url)))) for url in found["previews"]]
    for seed, pixels in zip((3, 4), shown, strict=True):
        assert np.abs(pixels - np.asarray(picture(seed), float)).mean() < 20  # JPEG
    assert "previews" not in search(service, jpeg(3)).json()


def data_of(url: str) -> bytes:
    kind, _, data = url.partition(",")
    assert kind == "data:image/jpeg;base64"
    return b64decode(data)


def test_the_links_to_thumbnails_work(service: Served):
    for hit in search(service, png(2), k=5).json()["hits"]:
        answer = service.client.get(hit["thumbnail"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"


def test_links_behind_a_proxy_have_its_prefix(tmp_path: Path):
    with served(tmp_path, root_path="/finder") as service:
        hit = search(service, png(2), k=1).json()["hits"][0]
        assert hit["thumbnail"] == "/finder/v1/images/bird.png/thumbnail"
        page = search(service, png(2), k=1, accept="text/html").text
        assert '"/finder/v1/images/bird.png/thumbnail?size=400"' in page
        assert "/finder/openapi.json" in service.client.get("/docs").text


def test_whole_paths_only_where_the_operator_shows_them(service: Served, tmp_path: Path):
    assert search(service, png(2), k=1).json()["hits"][0]["uri"] == "bird.png"
    with served(tmp_path, ServeOptions(full_paths=True)) as open_service:
        hit = search(open_service, png(2), k=1).json()["hits"][0]
        assert Path(hit["uri"]) == open_service.pictures / "bird.png"


# the page


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("application/json;q=0.5, text/html", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0", False),
        ("text/*", False),
    ],
)
def test_a_page_for_who_asks_for_one(service: Served, accept: str, page: bool):
    answer = search(service, png(2), accept=accept)
    assert answer.status_code == 200
    kind = "text/html; charset=utf-8" if page else "application/json"
    assert answer.headers["content-type"] == kind


def test_the_page_shows_the_query_and_the_hits(service: Served):
    answer = search(service, png(2), accept=BROWSER, k=2)
    page = answer.text
    assert page.count("<figure>") == 2
    assert "2 closest images" in page
    assert 'alt="the query" src="data:image/jpeg;base64,' in page
    assert 'src="/v1/images/bird.png/thumbnail?size=400"' in page
    assert 'href="/v1/images/bird.png/thumbnail?size=1024"' in page
    assert "label: bird" in page
    assert "script-src" not in answer.headers["content-security-policy"]  # nor default-src
    assert answer.headers["vary"] == "Accept"


def test_the_page_links_to_the_images_where_they_are_served(tmp_path: Path):
    with served(tmp_path, ServeOptions(serve_content=True)) as service:
        page = search(service, png(2), accept="text/html", k=1).text
        assert "1 closest image<" in page
        assert 'href="/v1/images/bird.png/content"' in page
        assert service.client.get("/v1/images/bird.png/content").status_code == 200


def test_names_cannot_break_out_of_the_page(tmp_path: Path):
    id = '"><script>alert(1)</script>.png'
    with served(tmp_path) as service:
        service.finder.add([Upload(jpeg(9), "x", id, {"<b>": '"<i>'})])
        page = search(service, jpeg(9), accept="text/html", k=1).text
    assert "<script" not in page
    assert "<b>:" not in page
    assert "%22%3E%3Cscript%3E" in page


def test_a_page_without_hits(service: Served):
    answer = search(service, png(2), accept="text/html", filter="width > 9000")
    assert answer.status_code == 200
    assert "No image" in answer.text


# what goes wrong


@pytest.mark.parametrize(
    ("images", "fields", "status", "words"),
    [
        ([], {}, 400, "no image, url, id or text came"),
        ([], {"id": ["bird.png"] * 33}, 400, "33 parts of a query, the limit is 32"),
        ([], {"url": ["http://127.0.0.1:9/"] * 33}, 400, "33 parts"),
        ([b"not an image"], {}, 422, "not an image"),
        ([b""], {}, 422, "empty"),
        ([png(2)[:100]], {}, 422, "query"),
        ([], {"id": "nobody.png"}, 404, "nobody.png"),
        ([], {"text": "a bird"}, 422, "no text side"),
        ([png(2)], {"k": 0}, 422, "k: Input should be greater"),
        ([png(2)], {"k": 1001}, 422, "k: Input should be less"),
        ([png(2)], {"k": "many"}, 422, "k: Input should be a valid integer"),
        ([png(2)], {"exact": "perhaps"}, 422, "exact"),
        ([png(2)], {"space": "resnet50"}, 400, "there is: fake"),
        ([png(2)], {"weights": "1,2"}, 400, "weights: 1 number"),
        ([png(2)], {"weights": "nan"}, 400, "weights"),
        ([png(2)], {"weights": "inf"}, 400, "weights"),
        ([png(2)], {"weights": "0"}, 400, "cancel out"),
        ([png(2)], {"weights": "1e-30"}, 400, "cancel out"),
        ([png(2), png(2)], {"weights": "1,-1"}, 400, "cancel out"),
        ([png(2)], {"box": "0,0,1"}, 400, "box"),
        ([png(2)], {"box": "1.5,0,0.5,1"}, 400, "box"),
        ([png(2)], {"box": "0,0,inf,1"}, 400, "box"),
        ([png(2)], {"box": "nan,0,1,1"}, 400, "box"),
        ([png(2)], {"box": ["0,0,1,1"] * 2}, 400, "2 boxes for 1 image"),
        ([], {"id": "bird.png", "box": ["0,0,1,1"] * 2}, 400, "2 boxes for 1 image"),
        ([], {"id": "nobody.png", "box": "0,0,1,1"}, 404, "nobody.png"),
        ([], {"id": "bird.png", "box": "1.5,0,0.5,1"}, 400, "box"),
        ([png(2)], {"exclude_same": "perhaps"}, 422, "exclude_same"),
        ([png(2)], {"filter": "label = 1"}, 400, "column 7"),
    ],
)
def test_what_is_not_valid(service: Served, images: list, fields: dict, status: int, words: str):
    answer = search(service, *images, **fields)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


def test_a_filter_that_cannot_be_read_is_told_with_its_column(service: Served):
    answer = search(service, png(2), filter='größe == "ä" and (')
    assert answer.status_code == 400
    assert answer.json()["column"] == 19


def test_a_file_that_is_sent_as_text(service: Served):
    answer = service.client.post("/v1/search", data={"image": "cat.jpg"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("image")
    assert "image=@FILE" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/embed", "/v1/images"])
def test_a_body_that_is_no_form(service: Served, path: str):
    answer = service.client.post(path, json={"id": "bird.png"})
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.json()["detail"]


def test_a_form_that_cannot_be_read(service: Served):
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert service.client.post("/v1/search", content=b"--b", headers=kind).status_code == 400
    no_boundary = {"Content-Type": "multipart/form-data"}
    answer = service.client.post("/v1/search", content=b"--b", headers=no_boundary)
    assert answer.status_code == 400


# embedding


def test_embeddings_are_those_of_the_library(service: Served, library: ImageFinder):
    files = [("image", ("a", jpeg(2))), ("image", ("b", jpeg(3)))]
    answer = service.client.post("/v1/embed", files=files, data={"box": ["", "0,0,0.5,1"]})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["dim"]) == ("fake", 48)
    cut = Query((ImagePart(jpeg(3), box=Box(0, 0, 0.5, 1)),))
    expected = [library.embed(jpeg(2)), library.embed(cut)]
    np.testing.assert_allclose(body["embeddings"], expected, atol=1e-6)


def test_images_of_the_collection_can_be_embedded(service: Served, library: ImageFinder):
    fields = {"id": ["tree.png", "fish.png"], "box": ["", "", "0,0,0.5,1"]}
    answer = service.client.post("/v1/embed", files={"image": ("a", jpeg(2))}, data=fields)
    cut = Query((IdPart("fish.png", box=Box(0, 0, 0.5, 1)),))
    expected = [library.embed(jpeg(2)), library.embed("id:tree.png"), library.embed(cut)]
    np.testing.assert_allclose(answer.json()["embeddings"], expected, atol=1e-6)
    assert service.client.post("/v1/embed", data={"id": "nobody.png"}).status_code == 404


def test_embeddings_are_of_unit_length(service: Served):
    answer = service.client.post("/v1/embed", files={"image": ("a", jpeg(8))})
    assert np.linalg.norm(answer.json()["embeddings"][0]) == pytest.approx(1)


def test_nothing_to_embed(service: Served):
    assert service.client.post("/v1/embed").status_code == 400
    answer = service.client.post("/v1/embed", data={"text": "a bird"})
    assert answer.status_code == 422
    assert "no text side" in answer.json()["detail"]
