"""Queries that are no files: words, and the choice of a model."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from imagefinder import ImageFinder
from imagefinder.models import DEFAULT_MODEL
from imagefinder.testing import FakeTextEmbedder
from tests.browser.conftest import Serve
from tests.browser.results import expect_hits, found
from tests.browser.sent import keep_forms, sent
from tests.browser.views import visit
from tests.serving import NAMES, Served
from tests.toy_models import write_clip

pytestmark = pytest.mark.browser


@pytest.fixture
def textual(serve: Serve) -> Served:
    """Its model understands the names of colours."""
    return serve(embedder=FakeTextEmbedder())


def test_words(page: Page, textual: Served) -> None:
    visit(page, textual)
    field = page.get_by_label("Words")
    field.fill("red blue")
    field.press("Enter")
    hits = found(textual, text="red blue", k=24)
    assert len(hits) == len(NAMES)
    expect_hits(page, hits)
    assert "text=red+blue" in page.url
    expect(page.locator("#picture")).to_have_text("red blue")
    expect(page.get_by_role("button", name="Search a part")).to_be_hidden()
    page.reload()
    expect_hits(page, hits)
    expect(page.locator("#text")).to_have_value("red blue")
    page.go_back()
    expect(page.locator("#start")).to_be_visible()


def test_words_beside_an_image(desktop: Page, textual: Served) -> None:
    keep_forms(desktop)
    visit(desktop, textual, "?id=bird.png")
    desktop.get_by_label("Words").fill("green")
    desktop.locator("#text-form").get_by_role("button", name="Search").click()
    expect_hits(desktop, found(textual, id="bird.png", text="green", k=24))
    fields = sent(desktop).fields
    assert (fields["id"], fields["text"]) == ("bird.png", "green")
    expect(desktop.locator("#picture")).to_contain_text("green")
    expect(desktop.get_by_role("img", name="The query, bird.png")).to_be_visible()


def test_no_field_for_words_that_no_model_understands(page: Page, demo_service: Served) -> None:
    visit(page, demo_service)
    expect(page.locator("#choose")).to_be_visible()
    expect(page.locator("#text-form")).to_be_hidden()
    expect(page.locator("#space-row")).to_be_hidden()


@pytest.fixture
def several(serve: Serve, tmp_path: Path) -> Served:
    """Pictures of colours in the spaces of the built-in model, which is in use, and of one that
    understands words."""
    for colour in ("red", "blue", "yellow"):
        place = tmp_path / "pictures" / f"{colour}.png"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), colour).save(place)
    write_clip(tmp_path / "toy-clip")
    finder = ImageFinder.open(tmp_path / "collection")
    finder.index(tmp_path / "pictures")
    finder.add_space(str(tmp_path / "toy-clip"))
    return serve(finder=finder)


def open_options(page: Page) -> None:
    if page.locator("#options-button").is_visible():
        page.locator("#options-button").click()


def test_several_models(page: Page, several: Served) -> None:
    keep_forms(page)
    visit(page, several, "?id=red.png")
    assert "space" not in sent(page).fields
    expect_hits(page, found(several, id="red.png", k=24))
    open_options(page)
    choice = page.get_by_label("Model")
    names = [DEFAULT_MODEL, "toy-clip", "All together"]
    assert choice.locator("option").all_inner_texts() == names
    expect(choice).to_have_value("")
    for label, space in (("toy-clip", "toy-clip"), (names[2], f"{DEFAULT_MODEL},toy-clip")):
        choice.select_option(label=label)
        expect_hits(page, found(several, id="red.png", k=24, space=space))
        assert sent(page).fields["space"] == space
        page.reload()
        expect(choice).to_have_value(space)
        expect_hits(page, found(several, id="red.png", k=24, space=space))
        open_options(page)


def test_words_take_a_model_that_understands_them(page: Page, several: Served) -> None:
    keep_forms(page)
    visit(page, several)
    page.get_by_label("Words").fill("something blue")
    page.get_by_label("Words").press("Enter")
    hits = found(several, text="something blue", k=24, space="toy-clip")
    assert hits[0]["id"] == "blue.png"
    expect_hits(page, hits)
    assert "space=toy-clip" in page.url
    open_options(page)
    choice = page.get_by_label("Model")
    expect(choice).to_have_value("toy-clip")
    assert choice.locator("option").all_inner_texts() == ["toy-clip"]  # no other understands words
