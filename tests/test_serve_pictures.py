"""Thumbnails, and the images themselves."""

import csv
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder
from imagefinder.serve.options import ServeOptions
from imagefinder.testing import FakeEmbedder
from imagefinder.types import Upload
from tests.image_server import encoded
from tests.pictures import TURNED, picture, write_pictures
from tests.serving import Served, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    with served(folder, ServeOptions(serve_content=True)) as service:
        service.finder.add(
            [
                Upload(encoded(picture(50, (1600, 1200)), "JPEG"), "large.jpg"),
                Upload(encoded(picture(51, (300, 900)), "WEBP"), "tall.webp"),
                Upload(encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG"), "clear.png"),
            ]
        )
        yield service


def thumbnail(service: Served, id: str, accept: str = "", **params: object) -> httpx.Response:
    path = f"/v1/images/{id}/thumbnail"
    return service.client.get(path, params=params, headers={"Accept": accept})


def image_of(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(BytesIO(answer.content))


# how large, and how it looks


@pytest.mark.parametrize(
    ("id", "params", "size"),
    [
        ("large.jpg", {}, (256, 192)),
        ("large.jpg", {"size": 16}, (16, 12)),
        ("large.jpg", {"size": 400}, (400, 300)),
        ("large.jpg", {"size": 1024}, (1024, 768)),
        ("tall.webp", {}, (85, 256)),
        ("tall.webp", {"size": 1024}, (300, 900)),
        ("animals/cat.png", {"size": 1024}, (40, 30)),
    ],
)
def test_no_side_is_longer_than_asked_for_and_nothing_is_enlarged(
    service: Served, id: str, params: dict, size: tuple[int, int]
):
    assert image_of(thumbnail(service, id, **params)).size == size


@pytest.mark.parametrize("size", ["15", "1025", "-1", "large", ""])
def test_sizes_that_are_not_made(service: Served, size: str):
    answer = thumbnail(service, "large.jpg", size=size)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "size"


def test_a_thumbnail_shows_the_image(service: Served):
    shown = np.asarray(image_of(thumbnail(service, "large.jpg")).convert("RGB"), dtype=float)
    expected = np.asarray(picture(50, (256, 192)), dtype=float)
    assert np.abs(shown - expected).mean() < 10


def test_what_is_transparent_is_white(service: Served):
    assert image_of(thumbnail(service, "clear.png")).convert("RGB").getpixel((32, 32)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_photos_stand_upright(service: Served, orientation: int, format: str):
    upright = picture(60 + orientation, (400, 300))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNED[orientation]
    stored = BytesIO()
    (upright if turn is None else upright.transpose(turn)).save(stored, format, exif=exif)
    id = f"turned-{orientation}.{format}"
    service.finder.add([Upload(stored.getvalue(), id)])
    shown = image_of(thumbnail(service, id, size=200))
    assert shown.size == (200, 150)
    assert 0x0112 not in shown.getexif()  # or it would be turned once more
    expected = np.asarray(upright.resize((200, 150)), dtype=float)
    assert np.abs(np.asarray(shown.convert("RGB"), dtype=float) - expected).mean() < 12


# in which format


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "avif"),
        ("image/webp,*/*", "webp"),
        ("image/webp,image/avif", "avif"),
        ("image/avif;q=0.5,image/webp", "webp"),
        ("image/avif;q=0, image/webp", "webp"),
        ("image/avif;q=0.0,image/webp;q=0", "jpeg"),
        ("image/avif; q=0", "jpeg"),
        ("image/webp;q=0.5,image/jpeg", "jpeg"),
        ("IMAGE/WEBP", "webp"),
        ("image/*", "jpeg"),
        ("*/*", "jpeg"),
        ("text/html", "jpeg"),
        ("", "jpeg"),
        ("image/webp;q=nan", "jpeg"),
        ("image/webp;q=x", "jpeg"),
        (",;,=;q", "jpeg"),
    ],
)
def test_the_format_is_one_that_the_client_reads(service: Served, accept: str, format: str):
    answer = thumbnail(service, "large.jpg", accept)
    assert answer.headers["content-type"] == f"image/{format}"
    assert image_of(answer).format == format.upper()
    assert "Accept" in answer.headers["vary"]


# what a browser need not ask for again


def test_a_thumbnail_that_the_client_has_is_not_sent_again(service: Served):
    first = thumbnail(service, "large.jpg")
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert "max-age" in first.headers["cache-control"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = service.client.get("/v1/images/large.jpg/thumbnail", headers=none_match(known))
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["vary"] == first.headers["vary"]
        assert again.headers["cache-control"] == first.headers["cache-control"]
    other = service.client.get("/v1/images/large.jpg/thumbnail", headers=none_match('"other"'))
    assert (other.status_code, other.content) == (200, first.content)


def none_match(tag: str) -> dict[str, str]:
    return {"If-None-Match": tag, "Accept": ""}


def test_tags_tell_images_sizes_and_formats_apart(service: Served):
    answers = [
        thumbnail(service, "large.jpg"),
        thumbnail(service, "tall.webp"),
        thumbnail(service, "large.jpg", size=100),
        thumbnail(service, "large.jpg", "image/webp"),
        thumbnail(service, "large.jpg", "image/avif"),
        service.client.get("/v1/images/large.jpg/content"),
    ]
    assert len({answer.headers["etag"] for answer in answers}) == len(answers)


def test_a_replaced_image_has_another_thumbnail(service: Served):
    tags = set()
    for seed in (70, 71):
        service.finder.add([Upload(encoded(picture(seed), "PNG"), "new.png")], source="shop")
        answer = thumbnail(service, "new.png")
        tags.add(answer.headers["etag"])
        shown = np.asarray(image_of(answer).convert("RGB"), dtype=float)
        assert np.abs(shown - np.asarray(picture(seed), dtype=float)).mean() < 12
    assert len(tags) == 2


# files that are gone


def test_a_file_that_is_gone_or_spoilt(tmp_path: Path):
    with served(tmp_path, ServeOptions(serve_content=True)) as service:
        (service.pictures / "bird.png").unlink()
        (service.pictures / "fish.png").write_bytes(b"not an image any more")
        for id in ("bird.png", "fish.png"):
            answer = thumbnail(service, id)
            assert answer.status_code == 404
            assert answer.json()["detail"] == f"{id}: the image's file cannot be read any more"
        assert service.client.get("/v1/images/bird.png/content").status_code == 404
        assert service.client.get("/v1/images/bird.png").status_code == 200
        assert thumbnail(service, "tree.png").status_code == 200


def test_images_of_which_only_the_embeddings_were_imported(tmp_path: Path):
    write_pictures(tmp_path / "pictures", ["a.png", "b.png"])
    with ImageFinder.open(tmp_path / "other", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "pictures")
        finder.export(tmp_path / "all.csv")
    table = tmp_path / "pictures" / "some.csv"
    with (tmp_path / "all.csv").open() as file, table.open("w") as out:
        rows = list(csv.DictReader(file))
        kept = [name for name in rows[0] if name in {"id", "embedding", "embedding_model"}]
        writer = csv.DictWriter(out, [*kept, "uri", "format"])
        writer.writeheader()
        for row in rows:
            format = "p\u014bg" if row["id"] == "a.png" else ""
            writer.writerow(
                {name: row[name] for name in kept} | {"uri": row["id"], "format": format}
            )
        writer.writerow(
            {name: rows[0][name] for name in kept} | {"id": "c.png", "uri": "", "format": ""}
        )
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.import_embeddings(table, space="fake")
    with served(tmp_path, ServeOptions(serve_content=True)) as service:
        first, second = thumbnail(service, "a.png"), thumbnail(service, "b.png")
        assert first.headers["etag"] != second.headers["etag"]
        assert first.content != second.content
        content = service.client.get("/v1/images/a.png/content")
        assert content.content == (tmp_path / "pictures" / "a.png").read_bytes()
        assert content.headers["content-type"] == "application/octet-stream"
        assert thumbnail(service, "c.png").status_code == 404


# the images themselves


def test_images_are_handed_out_only_where_the_operator_says_so(service: Served, tmp_path: Path):
    answer = service.client.get("/v1/images/animals/cat.png/content")
    assert answer.content == (service.pictures / "animals/cat.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = service.client.get(
        "/v1/images/animals/cat.png/content", headers=none_match(answer.headers["etag"])
    )
    assert (again.status_code, again.content) == (304, b"")
    assert service.client.get("/v1/images/large.jpg/content").headers["content-type"] == (
        "image/jpeg"
    )
    with served(tmp_path) as closed:
        answer = closed.client.get("/v1/images/animals/cat.png/content")
        assert answer.status_code == 403
        assert thumbnail(closed, "animals/cat.png").status_code == 200


@pytest.mark.parametrize("what", ["thumbnail", "content"])
def test_pictures_of_an_image_that_is_not_there(service: Served, what: str):
    answer = service.client.get(f"/v1/images/nobody.png/{what}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "nobody.png: no image of the collection has this id"
