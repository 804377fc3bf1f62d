"""Nothing moves while pictures load, and results come soon."""

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.browser import SHIFTED, SHIFTS, SLOW, slow_down, waited
from tests.browser.views import settle
from tests.serving import Served

pytestmark = pytest.mark.browser

PENDING = "() => [...document.querySelectorAll('#gallery img')].filter((i) => !i.complete).length"
UNNOTICED = 0.001  # of the window, moved by its height; 0.1 is what people notice


def load(page: Page, service: Served, address: str) -> None:
    """Over a slow network, until the cards have their place and most pictures are on their way."""
    page.add_init_script(f"({SHIFTS})()")
    slow_down(page, SLOW)
    page.goto(f"{service.url}/{address}")
    page.wait_for_selector("#gallery .id")


@pytest.mark.parametrize("address", ["?id=cat-01", "?filter=width > 100", ""])
def test_nothing_moves_while_the_pictures_come(
    page: Page, demo_service: Served, address: str
) -> None:
    load(page, demo_service, address)
    assert page.evaluate(PENDING) > 3
    page.evaluate("window.shifts = []")
    settle(page)
    assert page.evaluate(SHIFTED) == 0


def test_the_start_stays_where_it_is(page: Page, demo_service: Served) -> None:
    load(page, demo_service, "")
    settle(page)
    assert page.evaluate(SHIFTED) < UNNOTICED


def test_what_moves_is_noticed(desktop: Page, demo_service: Served) -> None:
    """Without the room that the page keeps for its pictures."""
    load(desktop, demo_service, "?id=cat-01")
    desktop.evaluate(
        "document.styleSheets[0].insertRule('.frame { aspect-ratio: auto !important }')"
    )
    desktop.evaluate(
        "document.styleSheets[0].insertRule('.frame img { position: static !important;"
        " height: auto !important }')"
    )
    settle(desktop)
    assert desktop.evaluate(SHIFTED) > UNNOTICED


def test_the_benchmark_sees_the_results_come(
    browser: Browser, demo_service: Served, queries
) -> None:
    first, every = waited(browser, f"{demo_service.url}/", queries / "tiger.jpg", None)
    assert 0 < first <= every < 15_000
