"""What is in the collection: figures, formats, a sample, and what was skipped."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imagefinder import ImageFinder
from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.results import CARDS
from tests.browser.views import settle, visit
from tests.image_server import encoded
from tests.pictures import picture, write_pictures
from tests.serving import Served
from tests.uploads import opened

pytestmark = pytest.mark.browser

VIEW = "?view=collection"
BROKEN = 23  # more than are shown at once


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    """The collection of a folder in which not all is well."""
    folder = tmp_path / "photographs"
    write_pictures(folder, ["a.png", "b.png", "c.jpg", "d.gif"])
    for number in range(1, BROKEN):
        (folder / f"broken-{number:02}.jpg").write_text("this is no picture")
    (folder / "<b>cut.png").write_bytes(encoded(picture(9, (400, 300)), "PNG")[:200])
    with opened(tmp_path / "own") as finder:
        finder.index(folder)
        yield finder


def figures(page: Page) -> dict[str, str]:
    rows = page.locator("#collection .figures > div")
    return dict(
        rows.evaluate_all("all => all.map(one => [...one.children].map(part => part.innerText))")
    )


def sample(page: Page) -> list[str]:
    """The ids of the cards that are shown."""
    shown: list[str] = page.locator(".sample-part .card:not([hidden])").evaluate_all(
        "all => all.map(one => one.dataset.id)"
    )
    return shown


def test_figures_and_formats(page: Page, serve: Serve, finder: ImageFinder) -> None:
    service = serve(finder=finder)
    visit(page, service, VIEW)
    status = service.client.get("/v1/status").json()
    shown = figures(page)
    assert re.fullmatch(r"[\d.]+ [kM]B", shown.pop("On disk"))
    assert shown == {
        "Images": "4",
        "Skipped": str(BROKEN),
        "Model": "fake",
        "Dimensions": "48",
        "Version": status["version"],
    }
    rows = page.locator(".formats-list li")
    formats = dict(row.split() for row in rows.all_inner_texts())
    assert formats == {
        name: str(number)
        for name, number in Counter(record.format for record in finder.images()).items()
    }
    expect(page.get_by_role("heading", level=1)).to_have_text(status["collection"])


def test_formats_of_a_large_collection(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, VIEW)
    assert figures(desktop)["Images"] == "304"
    formats = desktop.locator(".formats-list li").all_inner_texts()
    records = demo_service.finder.images()
    assert {tuple(row.split()) for row in formats} == {
        (name, str(number)) for name, number in Counter(one.format for one in records).items()
    }
    expect(desktop.locator(".skipped-part")).to_contain_text("No image was skipped while indexing.")


def test_skipped_images_with_the_reasons(page: Page, serve: Serve, finder: ImageFinder) -> None:
    visit(page, serve(finder=finder), VIEW)
    part = page.get_by_role("region", name="Skipped")
    expect(part).to_contain_text(f"{BROKEN} images could not be indexed.")
    rows = part.locator("tbody tr")
    expect(rows).to_have_count(20)
    part.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(BROKEN)
    expect(part.get_by_role("button", name="Show more")).to_be_hidden()
    told = {tuple(row.split("\t", 1)) for row in rows.all_inner_texts()}
    assert told == {(Path(one.uri).name, one.reason) for one in finder.skipped()}
    assert ("broken-01.jpg", "not an image: the content is text") in told
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_another_sample(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, VIEW)
    first = sample(page)
    assert len(set(first)) == 16
    page.get_by_role("button", name="Show others").click()
    page.wait_for_function(
        "first => document.querySelector('.sample-part .card')?.dataset.id !== first", arg=first[0]
    )
    settle(page)
    second = sample(page)
    assert len(set(second)) == 16
    assert set(second) != set(first)


def test_an_image_of_the_sample_opens(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, VIEW)
    card = page.locator(".sample-part .card").nth(4)
    id, before = card.get_attribute("data-id"), sample(page)
    card.locator(".face").click()
    expect(page.locator("dialog.details")).to_have_attribute("data-id", id or "")
    page.keyboard.press("Escape")
    expect(card.locator(".face")).to_be_focused()
    assert sample(page) == before  # closing draws no other one
    card.hover()
    card.get_by_role("link", name=f"Similar to {id}").click()
    expect(page.locator("#query-name")).to_have_text(id or "")
    page.go_back()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Collection")


@pytest.mark.parametrize("view", ["", VIEW])
def test_an_empty_collection_says_what_to_do(page: Page, serve: Serve, view: str) -> None:
    service = serve()
    service.finder.remove([record.id for record in service.finder.images()])
    visit(page, service, view)
    state = page.locator("main .state:visible")
    expect(state).to_contain_text("The collection is empty")
    expect(state).to_contain_text("imagefinder index")
    state.get_by_role("link", name="Add images").click()
    expect(page.locator("#add-choose")).to_be_visible()
    page.set_input_files(
        "#add-files",
        {"name": "first.png", "mimeType": "image/png", "buffer": encoded(picture(1), "PNG")},
    )
    expect(page.locator("#where")).to_contain_text("1 image")
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator(CARDS)).to_have_attribute("data-id", "first.png")
    page.get_by_role("link", name="Collection", exact=True).click()
    expect(page.locator(".sample-part .card")).to_have_attribute("data-id", "first.png")


@pytest.mark.parametrize("view", ["", VIEW])
def test_an_empty_collection_that_one_may_only_read(page: Page, serve: Serve, view: str) -> None:
    service = serve(ServeOptions(read_only=True))
    service.finder.remove([record.id for record in service.finder.images()])
    visit(page, service, view)
    state = page.locator("main .state:visible")
    expect(state).to_contain_text("The collection is empty")
    expect(state).to_contain_text("Whoever runs it can add images.")
    expect(state.get_by_role("link")).to_have_count(0)


def test_the_figures_follow_what_is_deleted(page: Page, serve: Serve) -> None:
    service = serve(names=["one.png", "two.png"])
    visit(page, service, VIEW)
    for id, left in (("one.png", "1"), ("two.png", "0")):
        page.locator(f'.card[data-id="{id}"] .face').click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator("dialog")).to_have_count(0)
        assert id not in sample(page)
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".figures dd").first).to_have_text(left)
        if left == "1":
            name = re.compile("A map of 1 image[.]")
            expect(page.locator(".map canvas")).to_have_attribute("aria-label", name)
            assert page.locator(".formats-list li").inner_text().split() == ["png", "1"]
    expect(page.locator("#collection .state")).to_contain_text("The collection is empty")
