"""The address says what is shown: it can be shared, and "back" works."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.results import CARDS, answered, expect_hits, found, ids
from tests.browser.views import visit
from tests.browser.windows import DESKTOP
from tests.serving import Served

pytestmark = pytest.mark.browser


def test_more_like_this(page: Page, demo_service: Served, new_page: NewPage) -> None:
    visit(page, demo_service, "?id=cat-01&k=12")
    card = page.locator(CARDS).nth(3)
    id = card.get_attribute("data-id")
    card.hover()
    card.get_by_text("Similar").click()
    hits = found(demo_service, id=id, k=12, exclude_same=True)
    expect_hits(page, hits)
    assert f"id={id}" in page.url
    assert id not in ids(page)
    expect(page.get_by_role("img", name=f"The query, {id}")).to_be_visible()
    fresh = new_page(DESKTOP)
    fresh.goto(page.url)
    expect_hits(fresh, hits)


def test_similar_images_of_the_details(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&k=12")
    id = ids(page)[2]
    page.locator(CARDS).nth(2).locator(".face").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert f"show={id}" in page.url
    dialog.get_by_role("link", name="Similar images").click()
    expect_hits(page, found(demo_service, id=id, k=12, exclude_same=True))
    expect(dialog).to_have_count(0)
    page.go_back()
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text(id)
    page.go_back()
    expect(dialog).to_have_count(0)
    expect_hits(page, found(demo_service, id="cat-01", k=12))


def test_an_address_with_all_there_is(page: Page, demo_service: Served) -> None:
    box, wanted = "0.1,0.2,0.6,0.5", 'label in ["cat", "dog"]'
    visit(page, demo_service, f"?id=cat-01&others=1&k=12&box={box}&filter={wanted}&show=dog-02")
    hits = found(demo_service, id="cat-01", k=12, box=box, filter=wanted, exclude_same=True)
    dialog = page.locator("dialog.details")
    expect(dialog.get_by_role("heading")).to_have_text("dog-02")
    page.go_forward()  # nothing there
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect_hits(page, hits)
    assert "show" not in page.url
    expect(page.locator("#others")).to_be_checked()
    expect(page.locator("#count")).to_have_value("12")
    expect(page.locator("#filter")).to_have_value(wanted)
    expect(page.locator(".box")).to_have_attribute("style", re.compile("left: 10%; top: 20%"))


def test_back_closes_the_details_and_forward_opens_them(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&k=12")
    page.locator(CARDS).first.locator(".face").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.go_forward()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_back_and_forward_restore_what_was_asked(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service)
    desktop.goto(f"{demo_service.url}/?id=cat-01&k=12")
    first = found(demo_service, id="cat-01", k=12)
    expect_hits(desktop, first)
    desktop.get_by_label("Only images where").fill('label == "dog"')
    desktop.keyboard.press("Enter")
    dogs = found(demo_service, id="cat-01", k=12, filter='label == "dog"')
    expect_hits(desktop, dogs)
    desktop.get_by_role("button", name="Search a part").click()
    part = found(demo_service, id="cat-01", k=12, filter='label == "dog"', box="0.25,0.25,0.5,0.5")
    expect_hits(desktop, part)
    desktop.go_back()
    expect_hits(desktop, dogs)
    expect(desktop.locator(".box")).to_be_hidden()
    desktop.go_back()
    expect_hits(desktop, first)
    expect(desktop.locator("#filter")).to_have_value("")
    desktop.go_forward()
    expect_hits(desktop, dogs)
    expect(desktop.locator("#filter")).to_have_value('label == "dog"')
    desktop.go_forward()
    expect_hits(desktop, part)
    expect(desktop.locator(".box")).to_be_visible()


def test_cards_that_stay_lead_on_from_what_is_asked_now(
    desktop: Page, demo_service: Served
) -> None:
    visit(desktop, demo_service, "?id=cat-01&k=12")
    desktop.get_by_label("Only images where").fill('label == "dog"')
    desktop.keyboard.press("Enter")
    expect_hits(desktop, found(demo_service, id="cat-01", k=12, filter='label == "dog"'))
    for link in desktop.locator(f"{CARDS} a").all():
        assert "filter=label" in (link.get_attribute("href") or "")


def test_back_to_a_picture_that_was_given(page: Page, demo_service: Served, queries: Path) -> None:
    tiger, guitar = queries / "tiger.jpg", queries / "guitar.png"
    visit(page, demo_service)
    for picture in (tiger, guitar):
        page.set_input_files("#file", picture)
        expect_hits(page, found(demo_service, picture.read_bytes(), k=24))
    page.go_back()
    expect_hits(page, found(demo_service, tiger.read_bytes(), k=24))
    expect(page.locator("#query-name")).to_have_text("tiger.jpg")
    expect(page.get_by_role("img", name="The query")).to_be_visible()
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    page.go_forward()
    page.go_forward()
    expect_hits(page, found(demo_service, guitar.read_bytes(), k=24))


def test_a_picture_does_not_outlive_the_page(
    page: Page, demo_service: Served, queries: Path
) -> None:
    visit(page, demo_service)
    page.set_input_files("#file", queries / "tiger.jpg")
    expect_hits(page, found(demo_service, (queries / "tiger.jpg").read_bytes(), k=24))
    page.reload()
    state = page.locator("#results-state")
    expect(state).to_contain_text("The picture is not here any more")
    expect(state).to_contain_text("Choose or drop it again.")
    expect(page.get_by_role("button", name="Choose an image")).to_be_visible()
    page.set_input_files("#file", queries / "hat.png")
    expect_hits(page, found(demo_service, (queries / "hat.png").read_bytes(), k=24))


@pytest.mark.parametrize("how", ["ctrl", "middle"])
def test_a_new_tab(desktop: Page, demo_service: Served, how: str) -> None:
    visit(desktop, demo_service, "?id=cat-01&k=12")
    here, id = desktop.url, ids(desktop)[1]
    face = desktop.locator(CARDS).nth(1).locator(".face")
    with desktop.context.expect_page() as opening:
        if how == "ctrl":
            face.click(modifiers=["Control"])
        else:
            face.click(button="middle")
    tab = opening.value
    expect(tab.locator("dialog.details").get_by_role("heading")).to_have_text(id)
    assert tab.url == f"{here}&show={id}"
    assert desktop.url == here
    expect(desktop.get_by_role("dialog")).to_have_count(0)


def test_to_start_from_an_image(page: Page, demo_service: Served) -> None:
    visit(page, demo_service)
    expect(page.locator("#results-title")).to_have_text("Or start from one of these")
    id = ids(page)[0]
    page.locator(CARDS).first.click()
    expect_hits(page, found(demo_service, id=id, k=24, exclude_same=True))


def test_a_new_search(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&box=0,0,0.5,0.5&others=1&k=12")
    page.get_by_role("button", name="New search").click()
    expect(page.locator("#start")).to_be_visible()
    expect(page.get_by_role("button", name="Choose an image")).to_be_focused()
    answered(page)
    assert ids(page)
    page.go_back()
    expect(page.locator("#query-name")).to_have_text("cat-01")
