"""What goes wrong is said in words, with a way out."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.results import CARDS, expect_hits, found
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.serving import Served

pytestmark = pytest.mark.browser

SEARCH = "**/v1/search"


def refuse(route: Route) -> None:
    """As when nothing listens there."""
    route.abort("connectionrefused")


class Busy:
    """Answers 503 so many times; then the service does."""

    def __init__(self, times: int, wait: str = "0") -> None:
        self.left, self.wait, self.asked = times, wait, 0

    def __call__(self, route: Route) -> None:
        self.asked += 1
        if self.asked > self.left:
            route.continue_()
            return
        detail = "32 requests wait already; try again in a moment"
        body = {"status": 503, "title": "Service Unavailable", "detail": detail}
        route.fulfill(
            status=503,
            headers={"Retry-After": self.wait, "Content-Type": "application/problem+json"},
            body=json.dumps(body),
        )


def test_the_service_does_not_answer(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("ERR_CONNECTION_REFUSED|ConnectionRefused|connectionrefused")
    visit(page, demo_service)
    page.route(SEARCH, refuse)
    page.locator(CARDS).first.locator("a").click()
    state = page.locator("#results-state")
    expect(state).to_contain_text("The service does not answer")
    expect(state).to_contain_text("Check that it still runs")
    expect(page.locator("#announcer")).to_contain_text("The service does not answer")
    again = state.get_by_role("button", name="Try again")
    again.click()
    expect(again).to_be_visible()
    page.unroute(SEARCH)
    again.click()
    id = page.locator("#query-name").inner_text()
    expect_hits(page, found(demo_service, id=id, k=24, exclude_same=True))
    expect(state).to_be_hidden()
    expect(page.locator("#results-title")).to_be_focused()


def test_the_service_is_gone_when_the_page_comes(
    page: Page, demo_service: Served, watch: Watch
) -> None:
    watch.expect("ERR_CONNECTION_REFUSED|ConnectionRefused|connectionrefused")
    page.route("**/v1/status", refuse)
    page.goto(f"{demo_service.url}/?id=cat-01")
    expect(page.locator("main")).to_contain_text("The service does not answer")
    page.unroute("**/v1/status")
    page.get_by_role("button", name="Try again").click()
    expect_hits(page, found(demo_service, id="cat-01", k=24))


def test_a_busy_service_is_asked_again(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("503")
    busy = Busy(2, wait="1")
    page.route(SEARCH, busy)
    visit(page, demo_service, "?id=cat-01")
    expect_hits(page, found(demo_service, id="cat-01", k=24))
    assert busy.asked == 3


def test_a_service_that_stays_busy(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("503")
    busy = Busy(4)
    page.route(SEARCH, busy)
    visit(page, demo_service, "?id=cat-01")
    state = page.locator("#results-state")
    expect(state).to_contain_text("The service is busy")
    expect(state).to_contain_text("32 requests wait already; try again in a moment.")
    assert busy.asked == 4
    state.get_by_role("button", name="Try again").click()
    expect_hits(page, found(demo_service, id="cat-01", k=24))


def test_a_busy_service_is_not_waited_for_without_end(
    page: Page, demo_service: Served, watch: Watch
) -> None:
    watch.expect("503")
    busy = Busy(1, wait="600")
    page.route(SEARCH, busy)
    visit(page, demo_service, "?id=cat-01")
    expect(page.locator("#results-state")).to_contain_text("The service is busy")
    assert busy.asked == 1


def test_a_file_that_is_no_picture(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("422")
    visit(page, demo_service)
    file = {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture at all"}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    state = page.locator("#results-state")
    expect(state).to_contain_text("This did not work")
    expect(state).to_contain_text("image")
    expect(page.locator("#picture")).to_contain_text("This browser cannot show the picture")
    assert page.locator(CARDS).count() == 0


def test_a_file_that_is_cut_short(
    page: Page, demo_service: Served, watch: Watch, queries: Path
) -> None:
    watch.expect("422")
    visit(page, demo_service)
    half = (queries / "guitar.png").read_bytes()[:3000]
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": half})
    state = page.locator("#results-state")
    expect(state.get_by_role("paragraph")).to_have_text("The PNG is truncated.")


def test_a_file_that_is_too_large(page: Page, serve: Serve, watch: Watch) -> None:
    watch.expect("413")
    service = serve(ServeOptions(max_body_bytes=100_000))
    visit(page, service)
    file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(3_000_000)}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    expect(page.locator("#results-state")).to_contain_text("larger than 0.1 MB")


@pytest.mark.parametrize("id", ["nope", "no/such.jpg"])
def test_an_id_that_is_not_there(page: Page, demo_service: Served, watch: Watch, id: str) -> None:
    watch.expect("404")
    visit(page, demo_service)
    page.evaluate("(id) => { location.search = new URLSearchParams({id}) }", id)
    state = page.locator("#results-state")
    expect(state).to_contain_text("Not found")
    expect(state).to_contain_text(f"{id}: no image of the collection has this id.")


def test_a_number_of_results_that_is_too_large(
    page: Page, demo_service: Served, watch: Watch
) -> None:
    watch.expect("422")
    visit(page, demo_service, "?id=cat-01&k=100000")
    expect(page.locator("#results-state")).to_contain_text("1000")


def test_a_box_that_is_none_is_left_out(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&box=0.5,0.5,nonsense")
    expect_hits(page, found(demo_service, id="cat-01", k=24))
    expect(page.locator(".box")).to_be_hidden()
