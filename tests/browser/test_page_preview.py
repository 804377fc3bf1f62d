"""The query's picture where the page cannot have it itself: the service makes a small one."""

from collections.abc import Iterator
from io import BytesIO
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.results import expect_hits, found
from tests.browser.sent import keep_forms, sent
from tests.browser.views import visit
from tests.image_server import ImageServer, Reply
from tests.serving import Served

pytestmark = pytest.mark.browser

BOX = "0.25,0.25,0.5,0.5"


@pytest.fixture
def images(queries: Path) -> Iterator[ImageServer]:
    with ImageServer().running() as server:
        server.plan("tiger.jpg", Reply(body=(queries / "tiger.jpg").read_bytes()))
        yield server


@pytest.fixture
def tiff(queries: Path) -> bytes:
    """What Chromium does not read."""
    data = BytesIO()
    with Image.open(queries / "tiger.jpg") as image:
        image.save(data, "TIFF")
    return data.getvalue()


def expect_preview(page: Page, width: int, height: int) -> Locator:
    """A picture of this shape."""
    preview = page.locator("#picture img[src^='data:']")
    expect(preview).to_be_visible()
    shape = preview.evaluate("img => img.decode().then(() => img.naturalWidth / img.naturalHeight)")
    assert shape == pytest.approx(width / height, rel=0.02)
    return preview


def test_of_an_address(page: Page, serve: Serve, images: ImageServer, queries: Path) -> None:
    local = ServeOptions(allowed_networks=(IPv4Network("127.0.0.0/8"),))
    service = serve(local, demo=True)
    tiger = (queries / "tiger.jpg").read_bytes()
    keep_forms(page)
    visit(page, service, f"?url={images.url('tiger.jpg')}&k=12")
    with Image.open(queries / "tiger.jpg") as image:
        expect_preview(page, *image.size)
    page.get_by_role("button", name="Search a part").click()
    expect_hits(page, found(service, tiger, k=12, box=BOX))
    assert sent(page).fields["box"] == BOX
    expect(page.locator(".box")).to_be_visible()


def test_of_a_file_that_the_browser_cannot_read(
    page: Page, demo_service: Served, tiff: bytes
) -> None:
    keep_forms(page)
    visit(page, demo_service, "?k=12")
    page.set_input_files("#file", {"name": "a.tif", "mimeType": "image/tiff", "buffer": tiff})
    expect_hits(page, found(demo_service, tiff, k=12))
    with Image.open(BytesIO(tiff)) as image:
        expect_preview(page, *image.size)
    page.get_by_role("button", name="Search a part").click()
    expect_hits(page, found(demo_service, tiff, k=12, box=BOX))
    assert sent(page).fields["box"] == BOX
    assert sent(page).image == tiff


def test_none_of_a_file_that_the_browser_shows(
    desktop: Page, demo_service: Served, queries: Path
) -> None:
    keep_forms(desktop)
    visit(desktop, demo_service)
    desktop.set_input_files("#file", queries / "tiger.jpg")
    expect(desktop.locator("#picture img[src^='blob:']")).to_be_visible()
    assert "preview" not in sent(desktop).fields
