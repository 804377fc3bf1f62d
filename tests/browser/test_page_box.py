"""A part of the query: drawn, moved, resized and taken away, and its hits follow."""

import math
import re
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.browser.results import CARDS, Hits, answered, expect_hits, found, ids
from tests.browser.sent import count_sent, keep_forms, sent
from tests.browser.views import settle, visit
from tests.serving import Served

pytestmark = pytest.mark.browser

BOX = "0.25,0.25,0.5,0.5"
NEAR = math.sqrt(2 - 2 * 0.99)  # how far a score can be off where the query's cosine is 0.99


def box_of(page: Page) -> list[float] | None:
    """As the address has it."""
    value = page.evaluate("new URLSearchParams(location.search).get('box')")
    return None if value is None else [float(part) for part in value.split(",")]


def point(image: Locator, x: float, y: float) -> tuple[float, float]:
    """Where these fractions of it are in the window."""
    frame = image.bounding_box()
    assert frame
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def query_image(page: Page) -> Locator:
    return page.locator("#picture img")


def expect_box(page: Page, *wanted: float) -> None:
    """In the address, up to a pixel of the picture."""
    page.wait_for_function("() => new URLSearchParams(location.search).has('box')")
    box = box_of(page)
    assert box == pytest.approx(wanted, abs=0.01)


DRAWN = (0.5, 0.1, 0.45, 0.5)


def test_a_box_is_drawn_and_the_hits_follow_before_it_stays(
    desktop: Page, demo_service: Served
) -> None:
    keep_forms(desktop)
    visit(desktop, demo_service, "?id=cat-01&k=12")
    whole = ids(desktop)
    image, mouse = query_image(desktop), desktop.mouse
    mouse.move(*point(image, 0.5, 0.1))
    mouse.down()
    mouse.move(*point(image, 0.7, 0.5), steps=4)
    mouse.move(*point(image, 0.95, 0.6), steps=4)
    expect(desktop.locator(CARDS).locator(".id")).not_to_have_text(whole)
    for _ in range(200):  # the search before the last one may just have been answered
        answered(desktop)
        moving = sent(desktop).fields["box"]
        if [float(part) for part in moving.split(",")] == pytest.approx(DRAWN, abs=0.01):
            break
        desktop.wait_for_timeout(50)
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, box=moving))
    assert box_of(desktop) is None, "it is still drawn"
    before = count_sent(desktop)
    mouse.up()
    expect_box(desktop, *DRAWN)
    assert count_sent(desktop) == before, "it was asked already"
    expect(desktop.get_by_role("button", name="Search the whole")).to_be_visible()


def test_a_box_is_moved_and_resized(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, f"?id=cat-01&k=12&box={BOX}")
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, box=BOX))
    image, mouse = query_image(desktop), desktop.mouse
    mouse.move(*point(image, 0.5, 0.5))
    mouse.down()
    mouse.move(*point(image, 0.6, 0.4), steps=3)
    mouse.up()
    expect_box(desktop, 0.35, 0.15, 0.5, 0.5)
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, box=_value(desktop)))
    mouse.move(*point(image, 0.35, 0.15))  # the corner
    mouse.down()
    mouse.move(*point(image, 0.1, 0.05), steps=3)
    mouse.up()
    desktop.wait_for_function("() => !location.search.includes('0.35')")
    expect_box(desktop, 0.1, 0.05, 0.75, 0.6)
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, box=_value(desktop)))
    desktop.go_back()
    expect_box(desktop, 0.35, 0.15, 0.5, 0.5)


def test_a_box_stays_within_the_picture(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, f"?id=cat-01&k=12&box={BOX}")
    image, mouse = query_image(desktop), desktop.mouse
    mouse.move(*point(image, 0.5, 0.5))
    mouse.down()
    mouse.move(*point(image, 3, 2), steps=3)
    mouse.up()
    desktop.wait_for_function("() => !location.search.includes('0.25')")
    expect_box(desktop, 0.5, 0.5, 0.5, 0.5)
    answered(desktop)


def test_a_click_beside_the_box_takes_it_away(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, f"?id=cat-01&k=12&box={BOX}")
    desktop.mouse.click(*point(query_image(desktop), 0.1, 0.1))
    expect(desktop.locator(".box")).to_be_hidden()
    expect_hits(desktop, found(demo_service, id="cat-01", k=12))
    assert box_of(desktop) is None


def test_a_click_on_the_picture_is_no_box(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, "?id=cat-01&k=12")
    before = desktop.url
    desktop.mouse.click(*point(query_image(desktop), 0.4, 0.4))
    expect(desktop.locator(".box")).to_be_hidden()
    assert desktop.url == before


def test_the_keys(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&k=12")
    page.get_by_role("button", name="Search a part").press("Enter")
    box = page.get_by_role("group", name=re.compile("From the left 25 %, from the top 25 %"))
    expect(box).to_be_focused()
    expect_hits(page, found(demo_service, id="cat-01", k=12, box=BOX))
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_function("() => location.search.includes('0.21')")
    expect_box(page, 0.21, 0.23, 0.52, 0.52)
    expect_hits(page, found(demo_service, id="cat-01", k=12, box=_value(page)))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    expect_hits(page, found(demo_service, id="cat-01", k=12))
    assert box_of(page) is None
    steps = page.evaluate("history.length")
    page.wait_for_timeout(600)  # longer than keys are waited for
    assert page.evaluate("history.length") == steps


def test_the_whole_again(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, f"?id=cat-01&k=12&box={BOX}")
    page.get_by_role("button", name="Search the whole").click()
    expect_hits(page, found(demo_service, id="cat-01", k=12))
    assert box_of(page) is None


def test_a_box_is_moved_with_a_finger(phone: Page, demo_service: Served) -> None:
    visit(phone, demo_service, "?id=cat-01&k=12")
    phone.get_by_role("button", name="Search a part").tap()
    expect_hits(phone, found(demo_service, id="cat-01", k=12, box=BOX))
    image, finger = query_image(phone), Finger(phone)
    whole = ids(phone)
    finger.down(*point(image, 0.5, 0.5))
    finger.move(*point(image, 0.55, 0.4))
    finger.move(*point(image, 0.7, 0.3))
    phone.wait_for_function("() => !document.querySelector('.box').style.left.startsWith('25')")
    expect(phone.locator(CARDS).locator(".id")).not_to_have_text(whole)
    finger.up()
    phone.wait_for_function("() => !location.search.includes('0.25')")
    expect_box(phone, 0.45, 0.05, 0.5, 0.5)
    expect_hits(phone, found(demo_service, id="cat-01", k=12, box=_value(phone)))
    finger.down(*point(image, 0.45, 0.55))  # the corner below, left
    finger.move(*point(image, 0.3, 0.7))
    finger.move(*point(image, 0.2, 0.9))
    finger.up()
    phone.wait_for_function("() => !location.search.includes('0.45')")
    expect_box(phone, 0.2, 0.05, 0.75, 0.85)
    assert phone.evaluate("scrollY") == 0, "the page stayed where it was"


def test_a_box_that_moves_keeps_the_filter(desktop: Page, demo_service: Served) -> None:
    keep_forms(desktop)
    visit(desktop, demo_service, f"?id=cat-01&k=12&box={BOX}")
    field = desktop.get_by_label("Only images where")
    field.fill('label == "dog"')
    field.press("Enter")
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, box=BOX, filter='label == "dog"'))
    image, mouse = query_image(desktop), desktop.mouse
    before = count_sent(desktop)
    mouse.move(*point(image, 0.5, 0.5))
    mouse.down()
    mouse.move(*point(image, 0.7, 0.4), steps=3)
    desktop.wait_for_function("before => window.sentForms.length > before", arg=before)
    assert sent(desktop).fields["filter"] == 'label == "dog"'
    mouse.up()
    answered(desktop)
    assert {id.rpartition("-")[0] for id in ids(desktop)} == {"dog"}


@pytest.mark.parametrize("box", [[0.0, 0.0, 0.5, 1.0], [0.2, 0.1, 0.6, 0.7]])
def test_a_part_of_a_file_has_the_hits_that_the_service_finds(
    page: Page, demo_service: Served, queries: Path, box: list[float]
) -> None:
    visit(page, demo_service)
    for name in ("tiger.jpg", "guitar.png", "hat.png", "flower.jpg", "house.webp"):
        page.set_input_files("#file", queries / name)
        expect(page.locator("#query-name")).to_have_text(name)
        settle(page)
        _put(page, box)
        answered(page)
        where = ",".join(map(str, box))
        wanted = found(demo_service, (queries / name).read_bytes(), k=24, box=where)
        shown: Hits = page.locator(CARDS).evaluate_all(
            "all => all.map(one => ({id: one.dataset.id,"
            " score: Number(one.querySelector('.score').textContent)}))"
        )
        assert shown[0]["id"] == wanted[0]["id"]
        scores = {hit["id"]: hit["score"] for hit in wanted}
        both = [hit for hit in shown if hit["id"] in scores]
        assert len(both) >= 20
        for hit in both:
            assert hit["score"] == pytest.approx(scores[hit["id"]], abs=NEAR)


class Finger:
    """One that touches the window."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)

    def down(self, x: float, y: float) -> None:
        self._send("touchStart", [{"x": x, "y": y}])

    def move(self, x: float, y: float) -> None:
        self._send("touchMove", [{"x": x, "y": y}])

    def up(self) -> None:
        self._send("touchEnd", [])

    def _send(self, kind: str, points: list[dict[str, float]]) -> None:
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def _value(page: Page) -> str:
    value: str = page.evaluate("new URLSearchParams(location.search).get('box')")
    return value


def _put(page: Page, box: list[float]) -> None:
    """As by an address; the picture stays."""
    page.evaluate("box => import('./page/address.js').then(({go}) => go({box}))", box)
    page.wait_for_function("() => new URLSearchParams(location.search).has('box')")
