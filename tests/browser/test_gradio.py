"""The Gradio app below /gradio, as people see it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytest.importorskip("gradio", reason="the app needs its extra")

from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.watch import Watch
from tests.guarded import READ
from tests.serving import NAMES, Served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # as Gradio is imported
]

TIGER = ["0.770 · big-cat-06", "0.757 · big-cat-08", "0.701 · big-cat-09"]


def give(page: Page, picture: Path) -> None:
    page.locator("#query input[type=file]").set_input_files(picture)


def give_another(page: Page, picture: Path) -> None:
    page.get_by_label("Remove Image").click()
    give(page, picture)


def test_an_upload_finds_what_looks_like_it(
    page: Page, demo_service: Served, queries: Path, watch: Watch
) -> None:
    page.goto(f"{demo_service.url}/gradio/")
    expect(page).to_have_title("ImageFinder")
    give(page, queries / "tiger.jpg")
    captions = page.locator("#results .caption-label")
    expect(captions).to_have_count(12)
    for caption, known in zip(captions.all_inner_texts(), TIGER, strict=False):
        assert caption.partition(" · ")[2] == known.partition(" · ")[2]
        assert float(caption.split()[0]) == pytest.approx(float(known.split()[0]), abs=0.002)
    shown = page.locator("#results img").evaluate_all(
        "all => all.map(image => image.complete && image.naturalWidth)"
    )
    assert min(shown[:2]) > 100
    expect(page.get_by_alt_text("the image that is searched with")).to_be_visible()
    page.get_by_label("number input for Number of similar images").fill("5")
    expect(captions).to_have_count(5)
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, "the page is wider than the window"
    assert not [url for url in watch.requests if "/v1/" in url]


def test_a_duplicate_is_ignored(desktop: Page, serve: Serve) -> None:
    service = serve()
    desktop.goto(f"{service.url}/gradio/")
    give(desktop, service.pictures / NAMES[2])
    captions = desktop.locator("#results .caption-label")
    expect(captions).to_have_count(5)
    expect(captions.first).to_have_text(f"1.000 · {NAMES[2]}")
    desktop.get_by_label("Ignore duplicate").check()
    expect(captions).to_have_count(4)
    expect(desktop.locator("#results")).not_to_contain_text(NAMES[2])
    desktop.get_by_label("Remove Image").click()
    expect(captions).to_have_count(0)


def test_a_file_that_is_no_image_is_told(page: Page, serve: Serve, tmp_path: Path) -> None:
    service = serve()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is no picture")
    page.goto(f"{service.url}/gradio/")
    give(page, broken)
    expect(page.get_by_role("alert")).to_contain_text("query: ")
    give_another(page, service.pictures / NAMES[1])
    expect(page.locator("#results .caption-label")).to_have_count(5)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_key_opens_it(page: Page, serve: Serve, watch: Watch) -> None:
    watch.expect(r"400")
    service = serve(ServeOptions(keys=(READ,)))
    page.goto(f"{service.url}/gradio/")
    expect(page.get_by_text("an API key of this service")).to_be_visible()
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("not the key")
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_text(re.compile("incorrect credentials", re.IGNORECASE))).to_be_visible()
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill(READ.secret)
    page.get_by_role("button", name="Login").click()
    give(page, service.pictures / NAMES[0])
    expect(page.locator("#results .caption-label").first).to_have_text(f"1.000 · {NAMES[0]}")


def test_too_many_requests_are_told(desktop: Page, serve: Serve, watch: Watch) -> None:
    watch.expect(r"429")
    watch.expect(r"^Response ")  # of Gradio's own
    service = serve(ServeOptions(rate_limit="4/minute"))
    desktop.goto(f"{service.url}/gradio/")
    desktop.locator("#query input[type=file]").wait_for(state="attached")
    for _ in range(5):
        service.client.get("/v1/status")
    give(desktop, service.pictures / NAMES[0])
    expect(desktop.get_by_role("alert")).to_contain_text("Too many requests; try again in")
