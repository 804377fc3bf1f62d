"""The gallery: how many hits, page by page, which of them, and that nothing moves."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.results import CARDS, FIRST, answered, expect_hits, found, ids
from tests.browser.views import settle, visit
from tests.browser.watch import Watch
from tests.serving import Served, served

pytestmark = pytest.mark.browser

MANY = 1050
SHIFTS = """(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
            if (entry.hadRecentInput) continue;
            const moved = entry.sources.map(({node}) => node?.outerHTML?.slice(0, 80) ?? "text");
            window.shifts.push({value: entry.value, moved});
        }
    }).observe({type: "layout-shift", buffered: true});
})()"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """More images than a search may ask for."""
    names = [f"{number:04}.png" for number in range(MANY)]
    with served(tmp_path_factory.mktemp("many"), names=names) as service:
        yield service


def to_the_end(page: Page) -> None:
    """Scroll, until there is no more."""
    more = page.locator("#more")
    for _ in range(100):
        if more.is_hidden():
            return
        before = page.locator(CARDS).count()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_function(
            """([cards, before]) => document.querySelector("#more").hidden
                || document.querySelectorAll(cards).length > before""",
            arg=[CARDS, before],
        )
    raise AssertionError("it does not end")


def test_the_number_of_results(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    expect_hits(page, found(demo_service, id="cat-01", k=24))
    if page.locator("#options-button").is_visible():
        page.locator("#options-button").click()
    page.get_by_label("Results").focus()
    page.get_by_label("Results").select_option("12")
    expect_hits(page, found(demo_service, id="cat-01", k=12))
    expect(page.locator("#more")).to_be_hidden()
    assert "k=12" in page.url
    expect(page.get_by_label("Results")).to_be_focused()
    page.get_by_label("Results").select_option("200")
    hits = found(demo_service, id="cat-01", k=200)
    expect_hits(page, hits)
    to_the_end(page)
    assert ids(page) == [hit["id"] for hit in hits]


def test_a_thousand_results_come_page_by_page(page: Page, many: Served, watch: Watch) -> None:
    watch.allow(many.url)
    visit(page, many, "?id=0007.png&k=1000")
    hits = found(many, id="0007.png", k=1000)
    assert len(hits) == 1000
    expect_hits(page, hits)  # the first page of them
    assert page.locator(CARDS).count() == FIRST
    before = len(watch.requests)
    page.locator("#more").evaluate("button => button.click()")
    expect(page.locator(CARDS)).to_have_count(2 * FIRST)
    to_the_end(page)
    assert ids(page) == [hit["id"] for hit in hits]
    assert len(set(ids(page))) == 1000
    asked = watch.requests[before:]
    assert all("/thumbnail?" in url for url in asked), "only pictures were still to come"


def test_a_list_comes_page_by_page_from_the_service(page: Page, many: Served, watch: Watch) -> None:
    watch.allow(many.url)
    visit(page, many, "?filter=width == 40")
    expect(page.locator("#results-title")).to_have_text("Images that match the filter")
    expect(page.locator(CARDS)).to_have_count(FIRST)
    to_the_end(page)
    assert ids(page) == [f"{number:04}.png" for number in range(MANY)]
    pages = [url for url in watch.requests if "/v1/images?" in url]
    assert len(pages) == -(-MANY // FIRST)


def test_a_page_that_did_not_come_can_be_asked_for_again(
    desktop: Page, many: Served, watch: Watch
) -> None:
    watch.allow(many.url)
    watch.expect("ERR_CONNECTION_REFUSED")
    visit(desktop, many, "?filter=width == 40")
    expect(desktop.locator(CARDS)).to_have_count(FIRST)
    desktop.route("**/v1/images?*", lambda route: route.abort("connectionrefused"))
    desktop.locator("#more").evaluate("button => button.click()")
    expect(desktop.locator(".toast")).to_contain_text("No more images could be loaded")
    desktop.unroute("**/v1/images?*")
    desktop.locator("#more").evaluate("button => button.click()")
    expect(desktop.locator(CARDS)).to_have_count(2 * FIRST)
    to_the_end(desktop)
    assert len(ids(desktop)) == MANY


def test_a_page_that_is_not_wanted_any_more_is_no_mistake(
    desktop: Page, many: Served, watch: Watch
) -> None:
    watch.allow(many.url)
    visit(desktop, many, "?filter=width == 40")
    expect(desktop.locator(CARDS)).to_have_count(FIRST)
    with held(desktop, re.compile(r"/v1/images\?.*after=\d")):
        desktop.locator("#more").evaluate("button => button.click()")
        desktop.get_by_label("Only images where").fill('uri contains "0001"')
        desktop.keyboard.press("Enter")
        expect(desktop.locator("#results-title")).to_have_text("1 image matches the filter")
    assert ids(desktop) == ["0001.png"]
    assert desktop.locator(".toast").count() == 0  # at once: one that is there goes by itself


def test_without_the_same_image(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    assert ids(page)[0] == "cat-01"
    if page.locator("#options-button").is_visible():
        page.locator("#options-button").click()
    others = page.get_by_label("Leave out the same image")
    others.check()
    hits = found(demo_service, id="cat-01", k=24, exclude_same=True)
    expect_hits(page, hits)
    assert "cat-01" not in ids(page)
    assert "others=1" in page.url
    others.uncheck()
    expect_hits(page, found(demo_service, id="cat-01", k=24))


def test_nothing_moves_while_the_pictures_come(page: Page, demo_service: Served) -> None:
    page.add_init_script(SHIFTS)
    with held(page, "**/thumbnail?*"):
        page.goto(f"{demo_service.url}/?id=cat-01&k=200")
        expect(page.locator(CARDS)).to_have_count(FIRST)
        page.wait_for_timeout(300)  # room for what is drawn before the pictures
    settle(page)
    page.wait_for_timeout(300)
    assert page.evaluate("shifts") == []


def test_nothing_moves_at_the_start(page: Page, demo_service: Served) -> None:
    page.add_init_script(SHIFTS)
    visit(page, demo_service)
    expect(page.locator(CARDS)).to_have_count(18)
    page.wait_for_timeout(300)
    assert page.evaluate("shifts") == []


def test_the_keyboard_is_led_to_the_hits(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    id = ids(page)[1]
    page.get_by_role("link", name=f"Similar to {id}").press("Enter")
    expect(page.locator("#query-name")).to_have_text(id)
    answered(page)
    expect(page.locator("#results-title")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(CARDS).first.locator(".face")).to_be_focused()
    page.get_by_role("button", name="New search").press("Enter")
    expect(page.get_by_role("button", name="Choose an image")).to_be_focused()


@contextmanager
def held(page: Page, pattern: str | re.Pattern[str]) -> Iterator[None]:
    """Requests like this wait until the end."""
    waiting: list[Route] = []
    holding = True

    def hold(route: Route) -> None:
        if holding:
            waiting.append(route)
        else:
            route.continue_()

    page.route(pattern, hold)
    yield
    holding = False
    for route in waiting:
        route.continue_()
