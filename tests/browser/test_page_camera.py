"""A photograph with the camera of a laptop."""

from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.launched import launched
from tests.browser.results import answered, expect_hits, found
from tests.browser.sent import keep_forms, sent
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.browser.windows import DESKTOP
from tests.serving import Served

pytestmark = pytest.mark.browser

FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def filming(browser: Browser) -> Iterator[Browser]:
    """A browser with a camera that shows a test picture."""
    with launched(browser, *FAKE) as running:
        yield running


@pytest.fixture
def context(filming: Browser, watch: Watch) -> Iterator[BrowserContext]:
    with filming.new_context(**DESKTOP, permissions=["camera"]) as context:
        watch.follow(context)
        yield context


@pytest.fixture
def laptop(context: BrowserContext, demo_service: Served) -> Page:
    page = context.new_page()
    keep_forms(page)
    visit(page, demo_service)
    page.get_by_role("button", name="Photograph").click()
    return page


def test_a_photograph(laptop: Page, demo_service: Served) -> None:
    dialog = laptop.get_by_role("dialog", name="Photograph")
    shutter = dialog.get_by_role("button", name="Take the photograph")
    expect(shutter).to_be_focused()
    shutter.press("Enter")
    expect(dialog).to_have_count(0)
    expect(laptop.locator("#query-name")).to_have_text("photograph.jpg")
    answered(laptop)
    taken = sent(laptop).image
    assert taken
    with Image.open(BytesIO(taken)) as image:
        assert image.width >= 320
        assert image.convert("L").getextrema() != (0, 0), "it is black"
    expect_hits(laptop, found(demo_service, taken, k=24))


def test_no_photograph(laptop: Page) -> None:
    dialog = laptop.get_by_role("dialog", name="Photograph")
    laptop.evaluate("window.stream = document.querySelector('video').srcObject")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(laptop.locator("#start")).to_be_visible()
    expect(laptop.get_by_role("button", name="Photograph")).to_be_focused()


def test_the_camera_is_let_go(laptop: Page) -> None:
    expect(laptop.get_by_role("button", name="Take the photograph")).to_be_enabled()
    tracks = "() => window.stream.getTracks().map(track => track.readyState)"
    laptop.evaluate("() => { window.stream = document.querySelector('video').srcObject }")
    assert laptop.evaluate(tracks) == ["live"]
    laptop.keyboard.press("Escape")
    expect(laptop.get_by_role("dialog")).to_have_count(0)
    assert laptop.evaluate(tracks) == ["ended"]


def test_a_camera_that_may_not_be_used(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service)
    desktop.get_by_role("button", name="Photograph").click()
    dialog = desktop.get_by_role("dialog", name="Photograph")
    expect(dialog).to_contain_text("There is no camera, or the browser may not use it.")
    expect(dialog.get_by_role("button", name="Take the photograph")).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
