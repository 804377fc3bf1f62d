"""A service that wants a key."""

import re

import pytest
from playwright.sync_api import Page, expect

from imagefinder.serve.options import Access, Key, ServeOptions
from tests.browser.conftest import NewPage, Serve
from tests.browser.results import CARDS
from tests.browser.views import settle
from tests.browser.watch import Watch
from tests.browser.windows import DESKTOP
from tests.serving import Served
from tests.uploads import png

pytestmark = pytest.mark.browser

READ = Key("reader", "the-key-that-may-read")
WRITE = Key("writer", "the-key-that-may-write", Access.WRITE)
FOREIGN = Key("foreign", "ключ-для-чтения-ünd-☃")
COLOURS = """() => {
    const canvas = document.querySelector(".map canvas");
    if (!canvas?.width) return 0;
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const solid = new Uint32Array(data.buffer).filter((pixel) => pixel >>> 24 === 255);
    return new Set(solid).size;  // dots let the ground shine through
}"""


@pytest.fixture
def service(serve: Serve, watch: Watch) -> Served:
    watch.expect("401")
    return serve(ServeOptions(keys=(READ, WRITE, FOREIGN)), key=WRITE.secret)


def give(page: Page, key: Key | str) -> None:
    """To the page that asks for it."""
    page.get_by_label("API key").fill(key if isinstance(key, str) else key.secret)
    page.get_by_role("button", name="Open the collection").click()


def enter(page: Page, service: Served, key: Key, address: str = "") -> None:
    page.goto(f"{service.url}/{address}")
    give(page, key)
    expect(page.locator("dialog#key-dialog")).to_have_count(0)
    settle(page)


def test_a_wrong_key_is_told_and_asked_again(page: Page, service: Served) -> None:
    page.goto(f"{service.url}/?id=bird.png")
    question = page.get_by_role("dialog", name="This collection needs a key")
    expect(question).to_contain_text("Ask whoever runs the service for an API key.")
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.get_by_label("API key").get_attribute("type") == "password"
    give(page, "   ")
    expect(question).to_be_visible()
    for wrong in ("a wrong one", "ein schlüssel, ☃"):
        give(page, wrong)
        expect(question).to_contain_text("The API key is not valid.")
        expect(page.get_by_label("API key")).to_have_value("")
        expect(page.locator(CARDS)).to_have_count(0)
    give(page, f"  {READ.secret} ")
    expect(page.locator(CARDS)).to_have_count(5)
    expect(page.locator(f"{CARDS} img.there")).to_have_count(5)


def test_the_question_stays_until_it_is_answered(page: Page, service: Served) -> None:
    page.goto(service.url)
    question = page.locator("dialog#key-dialog")
    for _ in range(4):
        expect(question).to_be_visible()
        page.keyboard.press("Escape")
    page.wait_for_timeout(100)
    expect(question).to_be_visible()
    give(page, READ)
    expect(question).to_have_count(0)
    expect(page.locator(CARDS)).to_have_count(5)


def test_a_key_in_any_letters(page: Page, service: Served) -> None:
    enter(page, service, FOREIGN)
    expect(page.locator(f"{CARDS} img.there")).to_have_count(5)


def test_all_pictures_come_with_the_key(page: Page, service: Served) -> None:
    """An <img> cannot send it."""
    enter(page, service, READ, "?id=bird.png&show=fish.png")
    expect(page.locator("dialog .large img.there")).to_have_count(1)
    expect(page.locator("#picture img")).to_have_js_property("naturalWidth", 40)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download preview").click()
    assert download.value.path().read_bytes().startswith(b"\xff\xd8\xff")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Collection", exact=True).click()
    page.wait_for_function(f"() => ({COLOURS})() > 40")  # five pictures, not dots
    page.locator(".map canvas").press("ArrowRight")
    expect(page.locator(".tip img")).to_have_class("there")


def test_it_is_kept_in_this_tab_only(page: Page, service: Served, watch: Watch) -> None:
    enter(page, service, READ)
    page.reload()
    expect(page.locator(f"{CARDS} img.there")).to_have_count(5)
    expect(page.locator("dialog")).to_have_count(0)
    assert not [url for url in watch.requests if READ.secret in url]
    assert page.evaluate("Object.values(sessionStorage)") == [READ.secret]
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    other = page.context.new_page()
    other.goto(service.url)
    expect(other.locator("dialog#key-dialog")).to_be_visible()


def test_a_key_that_may_read(page: Page, service: Served) -> None:
    enter(page, service, READ, "?id=bird.png&show=fish.png")
    page.get_by_role("button", name="Copy id").wait_for()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Add images")).to_be_hidden()
    page.goto(f"{service.url}/?view=add")
    expect(page.locator("#add")).to_contain_text("your key allows searching only")


def test_a_key_that_may_write(page: Page, service: Served) -> None:
    enter(page, service, WRITE)
    page.get_by_role("link", name="Add images").click()
    page.set_input_files(
        "#add-files", {"name": "new.png", "mimeType": "image/png", "buffer": png(50)}
    )
    expect(page.locator("#add-summary")).to_contain_text("1 image added")
    expect(page.locator("#add-list img.there")).to_have_count(1)
    assert "new.png" in service.finder
    page.goto(f"{service.url}/?id=bird.png&show=new.png")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").wait_for()
    page.reload()  # whoever leaves deletes, with the key
    for _ in range(100):
        if "new.png" not in service.finder:
            break
        page.wait_for_timeout(50)
    assert "new.png" not in service.finder


def test_many_requests_ask_once(new_page: NewPage, service: Served) -> None:
    """Several are under way when the answers come."""
    page = new_page(DESKTOP)
    page.goto(f"{service.url}/?view=collection")
    give(page, "not the key at all")
    expect(page.get_by_role("dialog")).to_contain_text("The API key is not valid.")
    expect(page.locator("dialog")).to_have_count(1)
    give(page, READ)
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".figures dd").first).to_have_text(re.compile("^5$"))


def test_a_key_that_is_withdrawn_is_asked_for_again(page: Page, service: Served) -> None:
    enter(page, service, READ)
    page.evaluate("sessionStorage.setItem('imagefinder-key', 'it was changed meanwhile')")
    page.locator(f"{CARDS} .face").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("The API key is not valid.")
    give(page, READ)
    expect(page.locator("#query-name")).not_to_be_empty()
    expect(page.locator(f"{CARDS} img.there")).to_have_count(4)
