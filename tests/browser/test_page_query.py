"""Queries that are no files: words, and the choice of a model."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from imagefinder.testing import FakeTextEmbedder
from tests.browser.conftest import Serve
from tests.browser.results import expect_hits, found
from tests.browser.sent import keep_forms, sent
from tests.browser.views import visit
from tests.serving import NAMES, Served

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


def test_several_models(page: Page, demo_service: Served) -> None:
    model = demo_service.client.get("/v1/models").json()["models"][0]
    other = {**model, "name": "dinov2-small", "default": False}

    def two(route: Route) -> None:
        route.fulfill(json={"models": [model, other]})

    def of_the_first(route: Route) -> None:
        hits = found(demo_service, id="cat-02", k=24)
        answer = {"model": other["name"], "took_ms": 1, "hits": hits}
        route.fulfill(content_type="application/json", body=json.dumps(answer))

    page.route("**/v1/models", two)
    keep_forms(page)
    visit(page, demo_service, "?id=cat-01")
    assert "space" not in sent(page).fields
    if page.locator("#options-button").is_visible():
        page.locator("#options-button").click()
    choice = page.get_by_label("Model")
    assert choice.locator("option").all_inner_texts() == [model["name"], "dinov2-small"]
    expect(choice).to_have_value("")
    page.route("**/v1/search", of_the_first)
    choice.select_option("dinov2-small")
    expect_hits(page, found(demo_service, id="cat-02", k=24))
    assert sent(page).fields["space"] == "dinov2-small"
    assert "space=dinov2-small" in page.url
    page.reload()
    expect(choice).to_have_value("dinov2-small")
    assert sent(page).fields["space"] == "dinov2-small"
