"""Every view with axe-core, and the page without a mouse."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from imagefinder.serve.options import Key, ServeOptions
from tests.browser.axe import violations
from tests.browser.conftest import NewPage, Serve
from tests.browser.views import settle, visit
from tests.browser.watch import Watch
from tests.pictures import write_pictures
from tests.serving import Served

pytestmark = pytest.mark.browser

VIEWS = {
    "start": "",
    "hits": "?id=cat-01",
    "part": "?id=cat-01&box=0.1,0.2,0.5,0.5",
    "filtered": '?filter=label == "cat"',
    "nothing": '?filter=label == "unicorn"',
    "details": "?id=cat-01&show=cat-02",
    "collection": "?view=collection",
    "add": "?view=add",
}
NARROWEST = 320  # pixels, in which WCAG 1.4.10 wants all of it without scrolling sideways

# What the element with the focus is, whether it shows that, and whether it can be seen.
FOCUSED = """() => {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const { top, bottom, left, right, width, height } = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    return {
        name: node.id || node.textContent.trim() || node.className,
        ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: width > 0 && height > 0 && bottom > 0 && top < innerHeight
            && right > 0 && left < innerWidth,
    };
}"""


def check(page: Page) -> None:
    """Light and dark."""
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        found = violations(page)
        assert found == [], f"{colours}:\n" + "\n".join(found)


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_serious_violation(page: Page, demo_service: Served, view: str) -> None:
    visit(page, demo_service, VIEWS[view])
    check(page)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_keeps_to_best_practice(desktop: Page, demo_service: Served, view: str) -> None:
    visit(desktop, demo_service, VIEWS[view])
    found = violations(desktop, best_practice=True)
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_fits_the_narrowest_window(
    new_page: NewPage, demo_service: Served, view: str
) -> None:
    page = new_page({"viewport": {"width": NARROWEST, "height": 640}})
    visit(page, demo_service, VIEWS[view])
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROWEST


def test_what_opens_has_no_serious_violation(
    page: Page, demo_service: Served, watch: Watch
) -> None:
    """Help and completion of the filter, and a filter that makes no sense."""
    watch.expect("400")
    visit(page, demo_service, "?id=cat-01&filter=label ==")
    reveal(page, "#filter-help-button")
    page.click("#filter-help-button")
    expect(page.locator("#filter-error")).not_to_be_empty()
    check(page)
    page.fill("#filter", "")
    page.press("#filter", "ArrowDown")
    page.wait_for_selector("#filter-list [role=option]")
    page.press("#filter", "ArrowDown")
    check(page)


def reveal(page: Page, selector: str) -> None:
    """On a phone the options are behind a button."""
    if not page.locator(selector).is_visible():
        page.get_by_role("button", name="Options").click()


def test_a_problem_has_no_serious_violation(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("404")
    visit(page, demo_service, "?id=there-is-none")
    expect(page.locator("#results-state")).to_be_visible()
    check(page)


def test_the_question_for_a_key_has_no_serious_violation(
    page: Page, serve: Serve, watch: Watch
) -> None:
    watch.expect("401")
    page.goto(f"{serve(ServeOptions(keys=(Key('reader', 'a-key-of-a-test!'),))).url}/")
    page.get_by_role("dialog").wait_for()
    check(page)


def test_adding_images_has_no_serious_violation(page: Page, serve: Serve, tmp_path) -> None:
    service = serve()
    write_pictures(tmp_path / "new", ["one.png"])
    (tmp_path / "new" / "two.png").write_text("not a picture")
    visit(page, service, "?view=add")
    page.set_input_files("#add-files", sorted((tmp_path / "new").iterdir()))
    expect(page.locator("#add-list .outcome.good")).to_have_count(1)
    expect(page.locator("#add-list .outcome.bad")).to_have_count(1)
    check(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").wait_for()
    check(page)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").wait_for(state="detached")


@pytest.mark.parametrize("view", ["start", "hits", "part", "collection", "details", "add"])
def test_whoever_goes_through_with_tab_sees_where_they_are(
    desktop: Page, demo_service: Served, view: str
) -> None:
    visit(desktop, demo_service, VIEWS[view])
    desktop.evaluate("document.activeElement.blur()")
    places = []
    for _ in range(30):
        desktop.keyboard.press("Tab")
        place = desktop.evaluate(FOCUSED)
        if place is None:  # the end of the page
            break
        places.append(place)
    assert len(places) > 3
    assert [place for place in places if not (place["ring"] and place["seen"])] == []


def test_a_search_needs_no_mouse(desktop: Page, demo_service: Served, queries) -> None:
    visit(desktop, demo_service)
    desktop.keyboard.press("Tab")
    expect(desktop.get_by_role("link", name="Skip to the content")).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop.locator("#main")).to_be_focused()  # before the next key: it takes a moment
    tab_to(desktop, lambda: desktop.locator("#choose"))
    with desktop.expect_file_chooser() as chooser:
        desktop.keyboard.press("Enter")
    chooser.value.set_files(queries / "tiger.jpg")
    expect(desktop.locator("#announcer")).to_have_text("24 closest images")
    settle(desktop)
    first = desktop.locator("#gallery .face").first
    tab_to(desktop, lambda: first)
    desktop.keyboard.press("Enter")
    dialog = desktop.get_by_role("dialog")
    expect(dialog).to_be_visible()
    settle(desktop)
    for _ in range(8):  # the focus stays in what is open
        desktop.keyboard.press("Tab")
        assert desktop.evaluate(
            "!document.hasFocus() || document.activeElement === document.body"
            " || Boolean(document.activeElement.closest('dialog'))"
        )
    desktop.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(first).to_be_focused()  # and goes back to where it was
    desktop.keyboard.press("Tab")
    expect(desktop.locator("#gallery .similar").first).to_be_focused()
    desktop.keyboard.press("Enter")
    expect(desktop).to_have_url(re.compile("id=big-cat"))


def tab_to(page: Page, wanted: Callable[[], Locator]) -> None:
    for _ in range(40):
        if wanted().evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not get to {wanted()}")


def test_the_close_button_gives_the_focus_back_too(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, "?id=cat-01")
    second = desktop.locator("#gallery .face").nth(1)
    second.focus()
    desktop.keyboard.press("Enter")
    desktop.get_by_role("dialog").get_by_role("button", name="Close").press("Enter")
    expect(second).to_be_focused()


def test_the_page_says_what_happens(page: Page, demo_service: Served, watch: Watch) -> None:
    """To those who hear it."""
    announcer = page.get_by_role("status").and_(page.locator("#announcer"))
    visit(page, demo_service, "?id=cat-01")
    expect(announcer).to_have_text("24 closest images")
    visit(page, demo_service, '?filter=label == "unicorn"')
    expect(announcer).not_to_be_empty()
    watch.expect("404")
    visit(page, demo_service, "?id=there-is-none")
    expect(announcer).to_contain_text("there-is-none")
