"""How a picture comes into the page, and that its hits are there at once."""

from base64 import b64encode
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.results import expect_hits, found
from tests.browser.transfer import drag, transfer
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.image_server import ImageServer, Reply
from tests.serving import Served

pytestmark = pytest.mark.browser

LOCAL = ServeOptions(allowed_networks=(IPv4Network("127.0.0.0/8"),))


@pytest.fixture
def images() -> Iterator[ImageServer]:
    with ImageServer().running() as server:
        yield server


@pytest.fixture
def tiger(queries: Path) -> Path:
    return queries / "tiger.jpg"


def test_a_file_that_is_chosen(page: Page, demo_service: Served, tiger: Path) -> None:
    visit(page, demo_service)
    with page.expect_file_chooser() as choosing:
        page.get_by_role("button", name="Choose an image").click()
    choosing.value.set_files(tiger)
    hits = found(demo_service, tiger.read_bytes(), k=24)
    expect_hits(page, hits)
    assert hits[0]["id"].startswith("big-cat")
    expect(page.locator("#query-name")).to_have_text("tiger.jpg")
    expect(page.get_by_role("img", name="The query")).to_be_visible()


def test_another_file_after_the_first(page: Page, demo_service: Served, queries: Path) -> None:
    visit(page, demo_service)
    for name in ("tiger.jpg", "guitar.png", "guitar.png", "house.webp"):
        page.set_input_files("#file", queries / name)
        expect_hits(page, found(demo_service, (queries / name).read_bytes(), k=24))
        expect(page.locator("#query-name")).to_have_text(name)


def test_a_file_that_is_dropped_anywhere(page: Page, demo_service: Served, tiger: Path) -> None:
    visit(page, demo_service)
    file = transfer(page, file=tiger.read_bytes(), name="dropped.jpg")
    veil = page.locator("#drop-veil")
    expect(veil).to_be_hidden()
    drag(page, "dragenter", file)
    drag(page, "dragenter", file, "#gallery")  # into a child, and out of its parent
    drag(page, "dragleave", file)
    expect(veil).to_be_visible()
    drag(page, "drop", file, "#gallery")
    expect(veil).to_be_hidden()
    expect_hits(page, found(demo_service, tiger.read_bytes(), k=24))
    expect(page.locator("#query-name")).to_have_text("dropped.jpg")


def test_the_veil_goes_when_the_drag_does(page: Page, demo_service: Served, tiger: Path) -> None:
    visit(page, demo_service)
    file = transfer(page, file=tiger.read_bytes())
    drag(page, "dragenter", file)
    expect(page.locator("#drop-veil")).to_be_visible()
    drag(page, "dragleave", file)
    expect(page.locator("#drop-veil")).to_be_hidden()
    expect(page.locator("#start")).to_be_visible()


def test_a_drop_from_another_view(page: Page, demo_service: Served, tiger: Path) -> None:
    visit(page, demo_service, "?view=collection")
    drag(page, "drop", transfer(page, file=tiger.read_bytes()))
    expect_hits(page, found(demo_service, tiger.read_bytes(), k=24))
    expect(page.locator("nav [aria-current=page]")).to_have_text("Search")


def test_a_drop_that_is_no_image(page: Page, demo_service: Served) -> None:
    visit(page, demo_service)
    drag(page, "drop", transfer(page, file=b"a, b", name="table.csv", type="text/csv"))
    expect(page.locator(".toast")).to_contain_text("That is no image. Drop a picture file")
    expect(page.locator("#start")).to_be_visible()


def test_what_is_dragged_within_the_page_is_no_drop(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, "?id=cat-01")
    link = desktop.locator(".card .face").nth(1)
    here = desktop.url
    start, end = link.bounding_box(), desktop.locator("#results-title").bounding_box()
    assert start
    assert end
    desktop.mouse.move(start["x"] + 20, start["y"] + 20)
    desktop.mouse.down()
    desktop.mouse.move(end["x"] + 5, end["y"] + 5, steps=5)
    expect(desktop.locator("#drop-veil")).to_be_hidden()
    desktop.mouse.up()
    assert desktop.url == here


def test_an_image_from_the_clipboard(desktop: Page, demo_service: Served, queries: Path) -> None:
    guitar = queries / "guitar.png"
    desktop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(desktop, demo_service)
    desktop.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const picture = new Blob([bytes], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
        }""",
        b64encode(guitar.read_bytes()).decode(),
    )
    desktop.keyboard.press("Control+V")
    expect_hits(desktop, found(demo_service, guitar.read_bytes(), k=24))
    expect(desktop.get_by_role("img", name="The query")).to_be_visible()


def test_words_are_pasted_into_a_field(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service)
    desktop.locator("#url").focus()
    text = transfer(desktop, texts={"text/plain": "http://pictures.example/a.jpg"})
    taken = desktop.evaluate(
        """(data) => !document.activeElement.dispatchEvent(
            new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}))""",
        text,
    )
    assert not taken
    expect(desktop.locator("#start")).to_be_visible()


def test_a_photograph_of_the_phone_s_own_camera(
    phone: Page, demo_service: Served, tiger: Path
) -> None:
    visit(phone, demo_service)
    with phone.expect_file_chooser() as choosing:
        phone.get_by_role("button", name="Photograph").tap()
    assert choosing.value.element.get_attribute("capture") == "environment"
    choosing.value.set_files(tiger)
    expect_hits(phone, found(demo_service, tiger.read_bytes(), k=24))


def test_the_address_of_an_image(
    page: Page, serve: Serve, images: ImageServer, tiger: Path
) -> None:
    service = serve(LOCAL, demo=True)
    images.plan("tiger.jpg", Reply(body=tiger.read_bytes()))
    visit(page, service)
    page.get_by_label("Address of an image").fill(images.url("tiger.jpg"))
    page.locator("#url-form").get_by_role("button", name="Search").click()
    expect_hits(page, found(service, tiger.read_bytes(), k=24))
    assert "url=http" in page.url
    expect(page.locator("#query-name")).to_have_text(images.url("tiger.jpg"))
    assert not any(str(images.port) in url for url in _hosts(page)), "the page asked for it"


def test_the_address_of_an_image_is_dropped(
    desktop: Page, serve: Serve, images: ImageServer, tiger: Path
) -> None:
    service = serve(LOCAL, demo=True)
    images.plan("tiger.jpg", Reply(body=tiger.read_bytes()))
    visit(desktop, service)
    what = transfer(desktop, texts={"text/uri-list": images.url("tiger.jpg")})
    drag(desktop, "dragenter", what)
    expect(desktop.locator("#drop-veil")).to_be_visible()
    drag(desktop, "drop", what)
    expect_hits(desktop, found(service, tiger.read_bytes(), k=24))


def test_an_address_that_has_no_image(
    page: Page, serve: Serve, images: ImageServer, watch: Watch
) -> None:
    watch.expect("422")
    service = serve(LOCAL, demo=True)
    images.plan("gone.jpg", Reply(status=404, body=b"gone"))
    visit(page, service, f"?url={images.url('gone.jpg')}")
    expect(page.locator("#results-state")).to_contain_text("404")


def test_a_service_that_fetches_nothing_has_no_field_for_it(page: Page, serve: Serve) -> None:
    visit(page, serve(ServeOptions(fetch_urls=False)))
    expect(page.locator("#choose")).to_be_visible()
    expect(page.locator("#url-form")).to_be_hidden()


def _hosts(page: Page) -> list[str]:
    names: list[str] = page.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    return names
