"""One image large: what is known of it, and what can be done with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imagefinder import ImageFinder
from imagefinder.serve.options import ServeOptions
from imagefinder.types import Upload
from tests.browser.conftest import Serve
from tests.browser.views import settle, visit
from tests.browser.watch import Watch
from tests.image_server import ImageServer
from tests.serving import Served
from tests.uploads import opened, png

pytestmark = pytest.mark.browser

TIMES = "\N{MULTIPLICATION SIGN}"
MARKUP = "<img src=x onerror='window.hacked=1'>"
ODD_IDS = (
    "a/" + "folder-with-a-long-name/" * 8 + "picture.png",
    "ünï cödé/☃ ß.png",
    "what?x=#1&y=100%25+%2F.png",
    f"{MARKUP}.png",
    "cat/thumbnail",
    "a//b (1)",
    "ends/",
)
ALL = "?filter=width%20%3E%200"  # a list whose cards open details


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    """No image in it yet."""
    with opened(tmp_path / "own") as finder:
        yield finder


def facts(page: Page) -> dict[str, str]:
    """What the details say, by name."""
    rows = page.locator("dialog.details dl > div")
    rows.first.wait_for()
    return dict(
        rows.evaluate_all("all => all.map(one => [...one.children].map(part => part.innerText))")
    )


def open_details(page: Page, id: str) -> None:
    """By its card."""
    page.locator(f'.card[data-id="{id}"] .face').click()
    expect(page.locator("dialog.details .large img")).to_have_class("there")


def test_an_image_is_shown_large_with_what_is_known_of_it(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    card = page.locator(".card").nth(2)
    id = card.locator(".id").inner_text()
    open_details(page, id)
    expect(page.get_by_role("dialog", name=id)).to_be_visible()
    record = demo_service.client.get(f"/v1/images/{id}").json()
    shown = facts(page)
    assert shown.pop("Size") == f"{round(record['size'] / 1000, 1):g} kB"
    assert shown == {
        "Id": id,
        "Path": record["uri"],
        "Pixels": f"{record['width']} {TIMES} {record['height']}",
        "Format": record["format"],
        "label": record["metadata"]["label"],
    }
    large = page.locator("dialog .large")
    width = large.evaluate("node => node.clientWidth")
    assert width > 0.6 * (page.viewport_size or {"width": 0})["width"] - 200
    pixels = large.locator("img").evaluate("img => [img.naturalWidth, img.naturalHeight]")
    assert pixels == [record["width"], record["height"]]


def test_an_image_of_the_web_is_shown_with_its_address(
    page: Page, serve: Serve, finder: ImageFinder, tmp_path: Path
) -> None:
    with ImageServer().running() as images:
        address = images.url("cat.png?size=large&a=b")
        (tmp_path / "table.csv").write_text(f"id,url\nfrom-the-web,{address}\n")
        finder.index(tmp_path / "table.csv")
        visit(page, serve(finder=finder), "?show=from-the-web")
        assert facts(page)["URL"] == address
    link = page.get_by_role("dialog").get_by_role("link", name=address)
    assert link.get_attribute("href") == address
    assert link.get_attribute("rel") == "noreferrer"


def by_escape(page: Page) -> None:
    page.keyboard.press("Escape")


def by_button(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Close").click()


def beside(page: Page) -> None:
    page.mouse.click(5, 400)


def by_back(page: Page) -> None:
    page.go_back()


@pytest.mark.parametrize("leave", [by_escape, by_button, beside, by_back])
def test_ways_out(desktop: Page, demo_service: Served, leave) -> None:
    visit(desktop, demo_service, "?id=cat-01")
    here, card = desktop.url, desktop.locator(".card .face").nth(3)
    card.click()
    expect(desktop).to_have_url(re.compile("show="))
    facts(desktop)
    leave(desktop)
    expect(desktop.locator("dialog")).to_have_count(0)
    expect(desktop).to_have_url(here)
    expect(card).to_be_focused()


@pytest.mark.parametrize("leave", [by_button, by_back])
def test_ways_out_on_a_phone(phone: Page, demo_service: Served, leave) -> None:
    visit(phone, demo_service, "?id=cat-01")
    here = phone.url
    phone.locator(".card .face").nth(3).tap()
    facts(phone)
    leave(phone)
    expect(phone.locator("dialog")).to_have_count(0)
    expect(phone).to_have_url(here)


def test_an_address_opens_details_and_escape_closes_them(page: Page, demo_service: Served) -> None:
    """Browsers let nobody keep a dialog open that no one has touched yet."""
    visit(page, demo_service, "?id=cat-01&show=dog-02")
    assert facts(page)["Id"] == "dog-02"
    by_escape(page)
    expect(page.locator("dialog")).to_have_count(0)
    expect(page).to_have_url(f"{demo_service.url}/?id=cat-01")


def test_looking_at_images_leaves_no_steps_to_take_back(desktop: Page, demo_service: Served):
    visit(desktop, demo_service, "")
    visit(desktop, demo_service, "?id=cat-01")
    for number in range(2):
        desktop.locator(".card .face").nth(number).click()
        facts(desktop)
        by_escape(desktop)
        expect(desktop.locator("dialog")).to_have_count(0)
    desktop.go_back()
    expect(desktop).to_have_url(f"{demo_service.url}/")


def test_from_one_image_to_the_next(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&k=12")
    first, second = (card.get_attribute("data-id") for card in page.locator(".card").all()[:2])
    page.locator(".card .face").first.click()
    title = page.locator("#details-title")
    expect(title).to_have_text(first)
    expect(page.get_by_role("button", name="The image before")).to_be_disabled()
    page.get_by_role("button", name="The next image").click()
    expect(title).to_have_text(second)
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text(first)
    page.go_back()  # one step, however many images there were
    expect(page.locator("dialog")).to_have_count(0)
    expect(page).to_have_url(f"{demo_service.url}/?id=cat-01&k=12")
    expect(page).to_have_title("cat-01 - ImageFinder")


def test_similar_images_from_the_details(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&k=12&show=dog-02")
    page.get_by_role("dialog").get_by_role("link", name="Similar images").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page).to_have_url(f"{demo_service.url}/?id=dog-02&k=12&others=1")
    expect(page.locator("#query-name")).to_have_text("dog-02")
    settle(page)
    assert page.locator('.card[data-id="dog-02"]').count() == 0  # the same image is left out


def test_copying_the_id(page: Page, serve: Serve, finder: ImageFinder) -> None:
    id = ODD_IDS[2]
    finder.add([Upload(png(1), id, id)])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(page, serve(finder=finder), ALL)
    open_details(page, id)
    page.get_by_role("button", name="Copy id").click()
    expect(page.locator(".toast")).to_contain_text("The id is copied")
    assert page.evaluate("navigator.clipboard.readText()") == id
    page.get_by_role("button", name="Dismiss").click()  # it lies above the dialog
    expect(page.locator(".toast")).to_have_count(0)
    page.get_by_role("button", name="Copy id").click()
    by_button(page)
    expect(page.locator(".toast")).to_be_visible()  # and outlives it


@pytest.mark.parametrize(
    "clipboard",
    ["undefined", "{writeText: () => Promise.reject(new DOMException('', 'NotAllowedError'))}"],
    ids=["over plain HTTP", "forbidden"],
)
def test_where_the_browser_does_not_copy(page: Page, demo_service: Served, clipboard: str) -> None:
    page.add_init_script(f"Object.defineProperty(navigator, 'clipboard', {{value: {clipboard}}})")
    visit(page, demo_service, "?show=cat-01")
    page.get_by_role("button", name="Copy id").click()
    expect(page.locator(".toast")).to_contain_text("not let pages copy here. The id is cat-01")
    page.get_by_role("button", name="Dismiss").click()


def test_downloading_a_preview(page: Page, serve: Serve) -> None:
    visit(page, serve(names=["animals/cat.png"]), ALL)
    open_details(page, "animals/cat.png")
    expect(page.get_by_role("button", name="Download", exact=True)).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download preview").click()
    assert download.value.suggested_filename == "cat.jpg"
    assert download.value.path().read_bytes().startswith(b"\xff\xd8\xff")


def test_downloading_the_file_itself(page: Page, serve: Serve) -> None:
    service = serve(ServeOptions(serve_content=True), names=["animals/cat.png"])
    visit(page, service, ALL)
    open_details(page, "animals/cat.png")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "cat.png"
    original = (service.pictures / "animals/cat.png").read_bytes()
    assert download.value.path().read_bytes() == original


def test_ids_and_metadata_are_text_whatever_is_in_them(
    page: Page, serve: Serve, finder: ImageFinder
) -> None:
    values = {"note": MARKUP, "<b>bold</b>": "&lt;", "number": 3, "yes": True}
    finder.add([Upload(png(n), "a.png", id, values) for n, id in enumerate(ODD_IDS)])
    service = serve(finder=finder)
    visit(page, service, ALL)
    width = page.evaluate("document.documentElement.clientWidth")
    for id in ODD_IDS:
        open_details(page, id)
        expect(page.get_by_role("heading", name=id, exact=True)).to_be_visible()
        shown = facts(page)
        assert shown["Id"] == id
        assert {name: shown[name] for name in values} == {
            "note": MARKUP,
            "<b>bold</b>": "&lt;",
            "number": "3",
            "yes": "true",
        }
        assert page.locator("dialog").evaluate("node => node.scrollWidth") <= width
        page.reload()  # the address says it, too
        assert facts(page)["Id"] == id
        page.get_by_role("dialog").get_by_role("link", name="Similar images").click()
        expect(page.locator("#query-name")).to_have_text(id)
        expect(page.locator("#results-title")).to_contain_text("closest image")
        visit(page, service, ALL)
    assert not page.evaluate("'hacked' in window")


def test_the_end_of_an_id_stays_at_its_end(
    desktop: Page, serve: Serve, finder: ImageFinder
) -> None:
    """Of a long one the end is shown, by writing from right to left; that must not turn it."""
    finder.add([Upload(png(1), "is it a cat?")])
    visit(desktop, serve(finder=finder), ALL)
    left, right = desktop.locator(".card .id").evaluate(
        """node => {
            const at = (from) => {
                const range = document.createRange();
                range.setStart(node.firstChild, from);
                range.setEnd(node.firstChild, from + 1);
                return range.getBoundingClientRect().left;
            };
            return [at(0), at(node.textContent.length - 1)];
        }"""
    )
    assert left < right


def test_an_image_whose_file_is_gone(page: Page, serve: Serve, watch: Watch) -> None:
    watch.expect("404|410|422|500")
    service = serve()
    (service.pictures / "bird.png").unlink()
    visit(page, service, "?show=bird.png")
    expect(page.locator("dialog .large")).to_have_text("The picture cannot be read any more")
    assert facts(page)["Pixels"] == f"40 {TIMES} 30"
    page.get_by_role("button", name="Download preview").click()
    expect(page.locator(".toast")).to_contain_text("bird.png")


def test_an_id_that_is_not_there(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?show=no-such-image")
    expect(page.get_by_role("dialog")).to_contain_text("No image of the collection has this id.")
    by_button(page)
    expect(page.locator("dialog")).to_have_count(0)
