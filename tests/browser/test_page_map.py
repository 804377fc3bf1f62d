"""The map of the collection."""

import re
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from imagefinder.projection import project
from tests.browser.conftest import Serve
from tests.browser.views import settle, visit
from tests.serving import Served
from tests.uploads import png

pytestmark = pytest.mark.browser

VIEW = "?view=collection"
CANVAS = ".map canvas"
PIXELS = """() => {
    const canvas = document.querySelector(".map canvas");
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const all = new Uint32Array(data.buffer);
    const solid = all.filter((pixel) => pixel >>> 24 === 255);
    return {drawn: all.filter((pixel) => pixel).length, colours: new Set(solid).size};
}"""


class Point(NamedTuple):
    id: str
    x: float  # of the window
    y: float


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No map is drawn before it is set."""
    gate = threading.Event()

    def slow(rows):
        assert gate.wait(60)
        return project(rows)

    monkeypatch.setattr("imagefinder.serve.map.project", slow)
    yield gate
    gate.set()


def see_map(page: Page, service: Served) -> None:
    visit(page, service, VIEW)
    page.locator(CANVAS).scroll_into_view_if_needed()
    settle(page)


def pointed(page: Page, *keys: str) -> Point:
    """Where the image is that these keys lead to."""
    canvas = page.locator(CANVAS)
    canvas.focus()
    for key in keys:
        canvas.press(key)
    tip = page.locator(".tip")
    expect(tip).to_be_visible()
    left, top = tip.evaluate("({style}) => [style.left, style.top].map(Number.parseFloat)")
    id = tip.inner_text()
    box = canvas.bounding_box()
    assert box
    canvas.blur()
    expect(tip).to_be_hidden()
    return Point(id, box["x"] + left, box["y"] + top)


def from_middle(page: Page) -> tuple[float, float]:
    """How far the image is that is nearest to the middle of the map."""
    _, x, y = pointed(page, "ArrowRight")
    box = page.locator(CANVAS).bounding_box()
    assert box
    return x - box["x"] - box["width"] / 2, y - box["y"] - box["height"] / 2


def wait_for_pictures(page: Page, colours: int) -> None:
    """Until it has so many colours; those of dots do not count, the ground shines through them."""
    page.wait_for_function(f"most => ({PIXELS})().colours > most", arg=colours)


def test_there_is_something_on_the_map(page: Page, demo_service: Served) -> None:
    see_map(page, demo_service)
    label = re.compile(r"A map of 304 images\.")
    expect(page.locator(CANVAS)).to_have_attribute("aria-label", label)
    wait_for_pictures(page, 500)
    assert page.evaluate(PIXELS)["drawn"] > 5000
    method = demo_service.client.get("/v1/map").json()["method"]
    expect(page.locator(".map-part")).to_contain_text(f"{method} of the efficientnet-lite0")


def test_pointing_at_an_image_shows_it(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve())
    tip = desktop.locator(".tip")
    expect(tip).to_be_hidden()
    id, x, y = pointed(desktop, "ArrowRight")
    desktop.mouse.move(x + 3, y - 3)
    expect(tip).to_have_text(id)
    expect(tip.locator("img")).to_have_class("there")
    assert tip.locator("img").evaluate("img => img.naturalWidth") == 40
    desktop.mouse.move(5, 5)
    expect(tip).to_be_hidden()


def test_a_click_opens_the_image(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve())
    id, x, y = pointed(desktop, "ArrowRight", "ArrowLeft")
    desktop.mouse.click(x, y)
    expect(desktop.locator("dialog.details")).to_have_attribute("data-id", id)
    desktop.keyboard.press("Escape")
    expect(desktop.locator("dialog")).to_have_count(0)
    expect(desktop.locator(CANVAS)).to_be_focused()


def test_a_tap_opens_the_image(phone: Page, serve: Serve) -> None:
    see_map(phone, serve())
    id, x, y = pointed(phone, "ArrowRight")
    phone.touchscreen.tap(x, y)
    expect(phone.locator("dialog.details")).to_have_attribute("data-id", id)


def test_nothing_happens_where_no_image_is(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve(names=["one.png"]))
    box = desktop.locator(CANVAS).bounding_box()
    assert box
    desktop.mouse.click(box["x"] + 10, box["y"] + 10)
    expect(desktop.locator(".tip")).to_be_hidden()
    expect(desktop.locator("dialog")).to_have_count(0)


def test_the_map_by_keys(desktop: Page, serve: Serve) -> None:
    """The arrows lead to every image, each to one that lies that way, and Enter opens it."""
    service = serve()
    see_map(desktop, service)
    canvas, tip = desktop.locator(CANVAS), desktop.locator(".tip")
    canvas.focus()
    canvas.press("ArrowRight")
    seen = set()
    drawn = service.client.get("/v1/map").json()
    places = dict(zip(drawn["ids"], zip(drawn["x"], drawn["y"], strict=True), strict=True))
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown") * 4:
        before = tip.inner_text()
        canvas.press(key)
        after = tip.inner_text()
        seen |= {before, after}
        (x0, y0), (x1, y1) = places[before], places[after]
        way = {
            "ArrowLeft": x0 - x1,
            "ArrowRight": x1 - x0,
            "ArrowUp": y0 - y1,
            "ArrowDown": y1 - y0,
        }
        assert way[key] > 0 or after == before
    assert len(seen) > 2
    expect(desktop.locator("#announcer")).to_have_text(tip.inner_text())
    id = tip.inner_text()
    canvas.press("Enter")
    expect(desktop.locator("dialog.details")).to_have_attribute("data-id", id)


def test_zooming_by_buttons(page: Page, serve: Serve) -> None:
    see_map(page, serve())
    x, y = from_middle(page)
    assert abs(x) + abs(y) > 5
    steps = [("Zoom in", 1.5), ("Zoom out", 1), ("Zoom in", 1.5), ("All", 1), ("Zoom out", 1)]
    for name, times in steps:
        page.get_by_role("button", name=name, exact=True).click()
        assert from_middle(page) == pytest.approx((x * times, y * times), abs=0.5)


def test_zooming_by_keys_and_wheel(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve())
    canvas = desktop.locator(CANVAS)
    x, y = from_middle(desktop)
    for key, times in (("+", 1.5), ("-", 1)):
        canvas.press(key)
        assert from_middle(desktop) == pytest.approx((x * times, y * times), abs=0.5)
    box = canvas.bounding_box()
    assert box
    scrolled = desktop.evaluate("scrollY")
    desktop.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    desktop.mouse.wheel(0, 20)
    desktop.wait_for_function("before => scrollY > before", arg=scrolled)
    assert from_middle(desktop) == pytest.approx((x, y), abs=0.5)
    box = canvas.bounding_box()
    assert box
    desktop.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    desktop.keyboard.down("Control")
    desktop.mouse.wheel(0, -100)
    desktop.keyboard.up("Control")
    desktop.wait_for_function(
        "() => document.querySelector('.map canvas').style.touchAction === 'none'"
    )
    far = from_middle(desktop)
    times = far[0] / x
    assert times > 1.2
    assert far == pytest.approx((x * times, y * times), abs=2)


def test_the_arrows_bring_images_into_view(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve())
    canvas = desktop.locator(CANVAS)
    canvas.focus()
    canvas.press("ArrowRight")
    for _ in range(6):
        canvas.press("+")
    box = canvas.bounding_box()
    assert box
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        canvas.press(key)
        left, top = desktop.locator(".tip").evaluate(
            "({style}) => [style.left, style.top].map(Number.parseFloat)"
        )
        assert 0 <= left <= box["width"]
        assert 0 <= top <= box["height"]


def test_dragging_moves_the_map(desktop: Page, serve: Serve) -> None:
    see_map(desktop, serve())
    id, x, y = pointed(desktop, "ArrowRight")
    desktop.mouse.move(x, y)
    desktop.mouse.down()
    desktop.mouse.move(x + 60, y + 45, steps=6)
    desktop.mouse.up()
    expect(desktop.locator("dialog")).to_have_count(0)  # it was no click
    desktop.mouse.move(x + 61, y + 45)
    expect(desktop.locator(".tip")).to_have_text(id)
    desktop.mouse.click(x + 60, y + 45)
    expect(desktop.locator("dialog.details")).to_have_attribute("data-id", id)


def drag_with_a_finger(page: Page, x: float, y: float, by: tuple[float, float]) -> None:
    debugger = page.context.new_cdp_session(page)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        debugger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    send("touchStart", (x, y))
    for step in range(1, 7):
        send("touchMove", (x + by[0] * step / 6, y + by[1] * step / 6))
    page.wait_for_timeout(300)  # it rests, so that nothing flies on: a tap would only stop that
    send("touchEnd")


def test_a_finger_scrolls_the_page(phone: Page, serve: Serve) -> None:
    see_map(phone, serve())
    before, scrolled = from_middle(phone), phone.evaluate("scrollY")
    box = phone.locator(CANVAS).bounding_box()
    assert box
    drag_with_a_finger(phone, box["x"] + 20, box["y"] + 300, (0, -90))
    phone.wait_for_function("before => scrollY > before", arg=scrolled)
    assert from_middle(phone) == pytest.approx(before, abs=0.5)


def test_a_finger_moves_the_map_that_is_zoomed(phone: Page, serve: Serve) -> None:
    see_map(phone, serve())
    phone.locator(CANVAS).press("+")
    id, x, y = pointed(phone, "ArrowRight")
    scrolled = phone.evaluate("scrollY")
    drag_with_a_finger(phone, x, y, (30, -60))
    expect(phone.locator("dialog")).to_have_count(0)
    assert phone.evaluate("scrollY") == scrolled
    phone.touchscreen.tap(x + 30, y - 60)
    expect(phone.locator("dialog.details")).to_have_attribute("data-id", id)


def test_while_it_is_drawn_the_page_says_so_and_then_shows_it(
    page: Page, serve: Serve, gate: threading.Event
) -> None:
    page.goto(f"{serve().url}/{VIEW}")
    expect(page.locator(".map")).to_contain_text("The map is being drawn.")
    expect(page.locator(".sample-part .card")).to_have_count(5)  # the rest does not wait
    gate.set()
    expect(page.locator(CANVAS)).to_be_visible()
    wait_for_pictures(page, 40)


def test_an_image_that_is_added_comes_to_the_map(
    page: Page, serve: Serve, gate: threading.Event
) -> None:
    gate.set()
    service = serve()
    see_map(page, service)
    label = re.compile("A map of 5 images")
    expect(page.locator(CANVAS)).to_have_attribute("aria-label", label)
    gate.clear()
    page.get_by_role("link", name="Add images").click()
    page.set_input_files(
        "#add-files", {"name": "new.png", "mimeType": "image/png", "buffer": png(77)}
    )
    expect(page.locator("#add-summary")).to_contain_text("1 image added")
    page.get_by_role("link", name="Collection", exact=True).click()
    canvas = page.locator(CANVAS)
    expect(canvas).to_have_attribute("aria-label", label)  # the last one until there is another
    gate.set()
    expect(canvas).to_have_attribute("aria-label", re.compile("A map of 6 images"))
    expect(canvas).to_have_count(1)
