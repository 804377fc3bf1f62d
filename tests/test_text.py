"""Searching with words, through a model that has a text side and through those that have none."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder, Query, TextPart, errors
from imagefinder.arrays import Embeddings
from imagefinder.models import load_embedder
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.serve.batcher import Batcher, TextBatcher
from imagefinder.serve.jobs import GivenUp, Job, working_on
from imagefinder.testing import FakeEmbedder, FakeTextEmbedder
from tests.pictures import picture
from tests.serving import Served, served

COLOURS = ("red", "blue", "lime", "white")


def collection(folder: Path) -> Path:
    """Of plain pictures named by their colours; where `served` looks for one."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for colour in COLOURS:
        Image.new("RGB", (40, 30), colour).save(pictures / f"{colour}.png")
    with ImageFinder.open(folder / "collection", embedder=FakeTextEmbedder()) as finder:
        finder.index(pictures)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = collection(tmp_path_factory.mktemp("text"))
    with served(folder, embedder=FakeTextEmbedder()) as service:
        yield service


@pytest.fixture(params=["local", "remote"])
def finder(request: pytest.FixtureRequest, service: Served) -> Iterator[ImageFinder]:
    if request.param == "local":
        yield service.finder
        return
    with ImageFinder.open(service.url) as remote:
        yield remote


def test_a_text_side_is_told_from_none() -> None:
    assert isinstance(FakeTextEmbedder(), TextEmbedder)
    for model in (FakeEmbedder(), load_embedder()):
        assert not isinstance(model, TextEmbedder)


@pytest.mark.parametrize("colour", COLOURS)
def test_words_find_what_they_name(finder: ImageFinder, colour: str) -> None:
    hits = finder.search(f"text:a {colour.upper()} car", k=4)
    assert hits[0].id == f"{colour}.png"
    assert hits[0].score == pytest.approx(1)
    assert hits[1].score < 0.9


def test_words_beside_pictures_and_ids(finder: ImageFinder, service: Served) -> None:
    away = Query((TextPart("blue", 2.0), TextPart("white", -1.0)))
    assert finder.search(away, k=4)[0].id == "blue.png"
    assert finder.search(away, k=4)[-1].id == "white.png"
    both = finder.search(["text:red", service.pictures / "blue.png", "id:red.png"], k=4)
    assert both[0].id == "red.png"
    rows = [finder.embed("text:red"), finder.embed("id:blue.png")]
    mean = np.sum(rows, axis=0) / np.linalg.norm(np.sum(rows, axis=0))
    np.testing.assert_allclose(finder.embed(["text:red", "id:blue.png"]), mean, atol=1e-6)


def test_the_same_words_are_the_same() -> None:
    model = FakeTextEmbedder()
    rows = model.embed_texts(["red", "my red hat", "sunset", "sunset", "dawn"])
    assert rows.shape == (5, 48)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[2], rows[3])
    assert rows[2] @ rows[4] < 0.999
    assert model.calls == 0  # no image was embedded


def test_the_routes_take_words(service: Served) -> None:
    answer = service.client.post("/v1/search", data={"text": "lime", "k": "1"})
    assert [hit["id"] for hit in answer.json()["hits"]] == ["lime.png"]
    answer = service.client.post("/v1/embed", data={"text": ["lime", "red"], "id": "red.png"})
    rows = answer.json()["embeddings"]
    words = FakeTextEmbedder().embed_texts(["lime", "red"])
    np.testing.assert_allclose(rows, [service.finder.embed("id:red.png"), *words], atol=1e-6)


@pytest.mark.parametrize(("model", "text"), [(FakeTextEmbedder(), True), (FakeEmbedder(), False)])
def test_the_model_tells_whether_it_understands_words(
    tmp_path: Path, model: Embedder, text: bool
) -> None:
    with served(collection(tmp_path), embedder=model) as service:
        (told,) = service.client.get("/v1/models").json()["models"]
        assert (told["name"], told["default"], told["text"]) == ("fake", True, text)
        status = service.client.post("/v1/search", data={"text": "red"}).status_code
        assert status == (200 if text else 422)


def test_imported_embeddings_understand_none(tmp_path: Path) -> None:
    with ImageFinder.open(collection(tmp_path) / "collection", embedder=FakeEmbedder()) as finder:
        finder.export(tmp_path / "e.npz")
    with ImageFinder.open(tmp_path / "imported") as finder:
        finder.import_embeddings(tmp_path / "e.npz", space="theirs")
        assert [space.text for space in finder.spaces()] == [False]
        with pytest.raises(errors.ModelError, match="theirs"):
            finder.search("text:red")


class Failing(FakeTextEmbedder):
    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        if texts[0] == "nothing":
            return np.zeros((1, 48), np.float32)
        raise RuntimeError("no such word")


def test_a_model_that_fails_at_words(tmp_path: Path) -> None:
    with served(collection(tmp_path), embedder=Failing()) as service:
        answer = service.client.post("/v1/search", data={"text": "nothing"})
        assert answer.status_code == 422
        assert "no embedding of this text" in answer.json()["detail"]
        answer = service.client.post("/v1/search", data={"text": "red"})
        assert answer.status_code == 422
        assert answer.json()["detail"] == "the model failed: no such word"
        assert service.client.post("/v1/search", data={"id": "red.png"}).status_code == 200


# what stands around the model in a service


def test_the_batcher_has_the_text_side_of_its_model() -> None:
    batchers: list[Batcher] = []
    try:
        batchers += [TextBatcher(FakeTextEmbedder(), threads=1), Batcher(FakeEmbedder(), threads=1)]
        assert [isinstance(one, TextEmbedder) for one in batchers] == [True, False]
        with_text = batchers[0]
        assert isinstance(with_text, TextBatcher)
        expected = FakeTextEmbedder().embed_texts(["red", "blue"])
        np.testing.assert_array_equal(with_text.embed_texts(["red", "blue"]), expected)
        pixels = np.asarray(picture(1))
        tensor = with_text.preprocess(pixels)[None]
        np.testing.assert_array_equal(with_text.embed(tensor), FakeEmbedder().embed(tensor))
    finally:
        for one in batchers:
            one.close()


def test_words_for_nobody_are_not_embedded() -> None:
    batcher = TextBatcher(Failing(), threads=1)
    try:
        job = Job()
        with working_on(job):
            with pytest.raises(errors.ModelError, match="no such word"):
                batcher.embed_texts(["red"])
            job.gone.set()
            with pytest.raises(GivenUp):
                batcher.embed_texts(["red"])
        assert "embed" in job.seconds
    finally:
        batcher.close()
