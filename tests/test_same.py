"""Searching without the same image: what is left out, and what comes in its place."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from imagefinder import Box, IdPart, ImageFinder, ImagePart, Query, TextPart, Upload, errors
from imagefinder.cli.main import run
from imagefinder.same import SAME, SPARE
from imagefinder.search import MAX_K
from imagefinder.serve.app import create_app
from imagefinder.testing import FakeTextEmbedder
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import listening

OTHERS = [f"{seed:02}" for seed in range(12)]
COPIES = [f"copy-{number:02}" for number in range(3 * SPARE)]  # of 00: a second search is needed
RIGHT = Box(0.5, 0, 0.5, 1)


def nearly(seed: int, change: int) -> Image.Image:
    """The picture with one of its tiles changed."""
    pixels = np.asarray(picture(seed)).copy()
    pixels[:10, :10, 0] = np.where(pixels[:10, :10, 0] < 128, change, 255 - change)
    return Image.fromarray(pixels)


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def right_of(seed: int) -> Image.Image:
    return picture(seed).crop((20, 0, 40, 30))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ImageFinder]]:
    """One collection, opened as it is and through a service."""
    place = tmp_path_factory.mktemp("same") / "collection"
    images = {
        **{id: png(int(id)) for id in OTHERS},
        **{id: encoded(picture(0), "BMP") for id in COPIES},
        "anew": encoded(picture(1), "WEBP"),
        "close": encoded(nearly(2, 140), "PNG"),
        "right": encoded(right_of(3), "PNG"),
        "red": encoded(Image.new("RGB", (40, 30), "red"), "PNG"),
    }
    finder = ImageFinder.open(place, embedder=FakeTextEmbedder())
    finder.add([Upload(data, id, id) for id, data in images.items()])
    with (
        listening(create_app(finder)) as port,
        ImageFinder.open(f"http://127.0.0.1:{port}") as remote,
    ):
        yield {"local": finder, "remote": remote}


@pytest.fixture(params=["local", "remote"])
def finder(request: pytest.FixtureRequest, pair: dict[str, ImageFinder]) -> ImageFinder:
    return pair[request.param]


def left_out(finder: ImageFinder, query: object, k: int = 1000) -> set[str]:
    """What `exclude_same` takes away; the rest stays in its order."""
    every = finder.search(query, k)  # type: ignore[arg-type]
    kept = finder.search(query, k, exclude_same=True)  # type: ignore[arg-type]
    ids = {hit.id for hit in kept}
    assert kept == [hit for hit in every if hit.id in ids]
    return {hit.id for hit in every} - ids


CASES: dict[str, tuple[object, set[str]]] = {
    "id": ("id:04", {"04"}),
    "copies of an id": ("id:00", {"00", *COPIES}),
    "copies of an image": (png(0), {"00", *COPIES}),
    "another format": (png(1), {"01", "anew"}),
    "nothing like it": (png(99), set()),
    "close by": ("id:02", {"02"}),
    "the mean of several": (["id:04", png(5), png(1)], {"04", "05", "01", "anew"}),
    "weights": (
        Query((IdPart("04", 0.1), ImagePart(png(1), -2.0), ImagePart(png(5), 3.0))),
        {"04", "01", "anew", "05"},
    ),
    "box of an id": (Query((IdPart("03", box=RIGHT),)), {"03", "right"}),
    "box of an image": (Query((ImagePart(png(3), box=RIGHT),)), {"03", "right"}),
    "box of a copy": (Query((IdPart("00", box=RIGHT),)), {"00", *COPIES}),
    "words": ("text:red", set()),
    "words and an id": (Query((TextPart("red"), IdPart("04"))), {"04"}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_left_out(finder: ImageFinder, name: str) -> None:
    query, same = CASES[name]
    assert left_out(finder, query) == same


def test_the_collection_has_what_the_cases_are_about(pair: dict[str, ImageFinder]) -> None:
    finder = pair["local"]
    scores = {hit.id: hit.score for hit in finder.search("id:02", 1000)}
    assert 0.95 < scores["close"] < SAME
    assert finder.search("text:red", 1)[0].id == "red"
    assert finder.search("text:red", 1)[0].score >= SAME
    mean = {hit.id: hit.score for hit in finder.search(CASES["the mean of several"][0], 1000)}  # type: ignore[arg-type]
    assert mean["04"] < SAME


@pytest.mark.parametrize("k", [1, 3, SPARE, 14])
def test_others_take_their_places(finder: ImageFinder, k: int) -> None:
    hits = finder.search("id:00", k, exclude_same=True)
    every = finder.search("id:00", 1000)
    assert hits == [hit for hit in every if hit.id not in {"00", *COPIES}][:k]
    assert len(hits) == k


def test_with_the_other_options(finder: ImageFinder) -> None:
    hits = finder.search("id:00", 3, filter='id < "03"', exact=True, exclude_same=True)
    assert {hit.id for hit in hits} == {"01", "02"}


@pytest.mark.parametrize("k", [0, -1, MAX_K + 1])
def test_a_k_that_makes_no_sense_is_refused(finder: ImageFinder, k: int) -> None:
    with pytest.raises(errors.UsageError, match="k"):
        finder.search("id:00", k, exclude_same=True)


def test_the_most_hits_there_can_be(pair: dict[str, ImageFinder]) -> None:
    assert len(pair["local"].search("id:04", MAX_K, exclude_same=True)) == len(pair["local"]) - 1


def test_a_query_that_is_not_there(finder: ImageFinder) -> None:
    with pytest.raises(errors.ImageNotFoundError, match="nobody"):
        finder.search("id:nobody", exclude_same=True)


def test_the_form_of_the_service(pair: dict[str, ImageFinder]) -> None:
    def ids(**fields: str) -> list[str]:
        form = {"id": "04", "k": "2", **fields}
        url = f"{pair['remote'].status().path}/v1/search"
        answer = httpx.post(url, data=form, trust_env=False)
        assert answer.status_code == 200, answer.text
        return [hit["id"] for hit in answer.json()["hits"]]

    assert ids()[0] == ids(exclude_same="false")[0] == "04"
    assert "04" not in ids(exclude_same="true")
    assert len(ids(exclude_same="1")) == 2


def test_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFINDER_COLLECTION", str(tmp_path / "collection"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, seed in {"a.png": 1, "again.png": 1, "b.png": 2, "c.png": 3}.items():
        picture(seed).save(folder / name)

    def cli(*words: object) -> list[str]:
        assert run(list(map(str, words))) == 0
        return capsys.readouterr().out.splitlines()

    cli("index", folder)
    assert [row.split("\t")[1] for row in cli("search", folder / "a.png", "-k", "2")] == [
        "a.png",
        "again.png",
    ]
    others = cli("search", folder / "a.png", "-k", "2", "--exclude-same")
    assert {row.split("\t")[1] for row in others} == {"b.png", "c.png"}
