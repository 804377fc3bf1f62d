"""The page below a proxy's prefix: all that it loads, asks for and links to is below it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Serve
from tests.browser.prefix import below
from tests.browser.results import CARDS
from tests.browser.views import settle
from tests.browser.watch import Watch
from tests.serving import Served
from tests.uploads import png

pytestmark = pytest.mark.browser

PREFIX = "/photos"


@pytest.fixture
def service(serve: Serve) -> Served:
    return serve(root_path=PREFIX)


@pytest.fixture
def address(service: Served, watch: Watch) -> Iterator[str]:
    with below(PREFIX, service) as address:
        watch.allow(address)
        yield address


def test_all_of_the_page_is_below_the_prefix(
    page: Page, service: Served, address: str, watch: Watch
) -> None:
    page.goto(f"{address}/")
    settle(page)
    page.locator('.card[data-id="bird.png"] .face').click()
    expect(page).to_have_url(f"{address}/?id=bird.png&others=1")
    settle(page)
    page.locator('.card[data-id="animals/dog.png"] .face').click()
    expect(page.get_by_role("dialog")).to_contain_text("animals/dog.png")
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download preview").click()
    assert download.value.path().read_bytes().startswith(b"\xff\xd8\xff")
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text("animals/dog.png")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.get_by_role("link", name="Collection", exact=True).click()
    expect(page.locator(".map canvas")).to_be_visible()
    expect(page).to_have_url(f"{address}/?view=collection")
    page.go_back()
    expect(page.locator("#query-name")).to_have_text("bird.png")
    page.set_input_files("#file", {"name": "q.png", "mimeType": "image/png", "buffer": png(2)})
    expect(page.locator(CARDS).first).to_have_attribute("data-id", "bird.png")
    page.get_by_role("link", name="ImageFinder").click()
    expect(page).to_have_url(re.compile(f"^{re.escape(address)}/[?]?$"))
    asked = {urlsplit(url).path for url in watch.requests if not url.startswith("blob:")}
    assert len(asked) > 20
    assert [path for path in asked if not path.startswith(f"{PREFIX}/")] == []


def test_adding_and_deleting_below_the_prefix(page: Page, service: Served, address: str) -> None:
    page.goto(f"{address}/?view=add")
    new = {"name": "a new%20one?.png", "mimeType": "image/png", "buffer": png(50)}
    page.set_input_files("#add-files", new)
    expect(page.locator("#add-summary")).to_contain_text("1 image added")
    expect(page.locator("#add-list img.there")).to_have_count(1)
    assert new["name"] in service.finder
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#where")).to_contain_text("5 images")
    assert new["name"] not in service.finder
