"""What the page shows of a search, and what the service answers to the same one."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.serving import Served

CARDS = "#gallery > li.card:not(.waiting)"
FIRST = 60  # hits that the page shows at once

Hits = list[dict[str, Any]]


def found(service: Served, image: bytes | None = None, **form: object) -> Hits:
    """The hits that `POST /v1/search` answers."""
    files = None if image is None else {"image": ("query", image)}
    answer = service.client.post("/v1/search", data=form, files=files)
    assert answer.status_code == 200, answer.text
    hits: Hits = answer.json()["hits"]
    return hits


def expect_hits(page: Page, hits: Hits) -> None:
    """The page comes to show these, the best first, with their scores."""
    cards = page.locator(CARDS)
    expect(cards.locator(".id")).to_have_text([hit["id"] for hit in hits[:FIRST]])
    expect(cards.locator(".score")).to_have_text([f"{hit['score']:.3f}" for hit in hits[:FIRST]])
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    expect(page.locator("#results-title")).to_have_text(f"{len(hits):,} closest images")
    answered(page)


def answered(page: Page) -> None:
    """Nothing is asked for any more."""
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def ids(page: Page) -> list[str]:
    """Of the cards, in their order."""
    shown: list[str] = page.locator(CARDS).evaluate_all("all => all.map(one => one.dataset.id)")
    return shown
