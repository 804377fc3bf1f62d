"""The page of results: one file with everything in it, whatever the ids and images are."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imagefinder.results_page import write_page
from imagefinder.types import Hit
from tests.pictures import picture


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "a picture & more.png"
    picture(1).resize((900, 300)).save(path)
    return str(path)


def page_of(
    queries: list[str], hits: list[Hit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tags:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Tags(write_page(queries, hits).read_text(encoding="utf-8"))


def test_query_and_hits_are_pictures_in_the_page(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = [Hit("one", 0.8765, image, {"label": "cat"}), Hit("two", -0.25, image)]
    page = page_of([image], hits, tmp_path, monkeypatch)
    sources = [str(attributes["src"]) for attributes in page.all("img")]
    assert len(sources) == 3
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        assert Image.open(BytesIO(data)).size == (400, 133)
    assert "2 images closest to a picture & more.png" in page.text
    assert re.findall(r"-?\d\.\d{3}", page.text) == ["0.876", "-0.250"]
    assert "label: cat" in page.text
    assert [a["href"] for a in page.all("a")] == [Path(image).as_uri()] * 2


def test_nothing_that_an_image_brings_becomes_markup(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = '"><script>alert(1)</script>'
    hits = [Hit(evil, 0.5, image, {evil: evil}), Hit("b", 0.4, f"javascript://x/{evil}")]
    page = page_of([evil], hits, tmp_path, monkeypatch)
    assert page.all("script") == []
    assert len(page.all("a")) == 1
    assert evil in page.text


@pytest.mark.parametrize("uri", ["", "relative.png", "/no/such/file.png", "unknown://x/a.png"])
def test_an_image_that_cannot_be_read_says_why(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(["id:a", "/no/query.png"], [Hit("a", 0.5, uri)], tmp_path, monkeypatch)
    assert page.all("img") == []
    missing = [attributes for attributes in page.all("p") if attributes.get("class") == "missing"]
    assert len(missing) == 1


def test_no_hits_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No image matches id:a" in page_of(["id:a"], [], tmp_path, monkeypatch).text
