"""The filter: completed as it is typed, and what is said of one that is wrong or leaves nothing."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.results import CARDS, answered, expect_hits, found, ids
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.serving import Served

pytestmark = pytest.mark.browser

CATS = 'label == "cat"'


def filter_of(page: Page) -> Locator:
    """The field, which a phone has behind a button."""
    field = page.get_by_label("Only images where")
    if field.is_hidden():
        page.get_by_role("button", name="Options").click()
    return field


def test_completion_with_the_keys(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    field, options = filter_of(page), page.locator("#filter-list [role=option]")
    field.focus()
    expect(options.filter(has_text="label")).to_be_visible()
    field.press_sequentially("lab")
    expect(options).to_have_count(1)
    assert field.get_attribute("aria-expanded") == "true"
    field.press("ArrowDown")
    chosen = page.locator("#filter-list [aria-selected=true]")
    expect(chosen).to_contain_text("label")
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    field.press("Enter")
    expect(field).to_have_value("label ")
    expect(options.first).to_contain_text("==")
    field.press("ArrowDown")
    field.press("Tab")
    expect(field).to_have_value("label == ")
    expect(options.first).to_contain_text('"')
    field.press_sequentially('"ca')
    expect(options).to_have_count(3)  # "car", "cake", "cat"
    field.press("ArrowUp")  # from the field to the last one
    expect(chosen).to_contain_text('"cat"')
    field.press("Enter")
    expect(field).to_have_value('label == "cat" ')
    expect(options).to_have_text(["and", "or"])
    field.press("Escape")
    expect(page.locator("#filter-list")).to_be_hidden()
    field.press("Enter")
    hits = found(demo_service, id="cat-01", k=24, filter=CATS)
    expect_hits(page, hits)
    assert {hit["metadata"]["label"] for hit in hits} == {"cat"}
    assert "filter=label" in page.url
    expect(field).to_be_focused()


def test_completion_with_a_pointer(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    field = filter_of(page)
    field.click()
    field.press_sequentially("form")
    page.locator("#filter-list [role=option]", has_text="format").click()
    expect(field).to_have_value("format ")
    expect(field).to_be_focused()


def test_a_filter_that_is_wrong(page: Page, demo_service: Served, watch: Watch) -> None:
    watch.expect("400")
    visit(page, demo_service, "?id=cat-01")
    field = filter_of(page)
    field.fill("label ==")
    field.press("Enter")
    error = page.locator("#filter-error")
    expect(error).to_have_text("Filter, column 9: expected a value after ==.")
    expect(error).to_be_visible()
    expect(field).to_be_focused()
    assert page.locator(CARDS).count() == 0
    field.fill(CATS)
    expect(error).to_be_empty()
    field.press("Enter")
    expect_hits(page, found(demo_service, id="cat-01", k=24, filter=CATS))


def test_an_error_is_not_hidden_by_what_could_follow(
    page: Page, demo_service: Served, watch: Watch
) -> None:
    watch.expect("400")
    visit(page, demo_service, "?id=cat-01")
    field = filter_of(page)
    field.press_sequentially("format == png")
    field.press("Enter")
    expect(page.locator("#filter-error")).to_contain_text("put text in quotes")
    expect(page.locator("#results-state")).to_contain_text("put text in quotes")
    page.wait_for_timeout(400)  # longer than the list waits for the next key
    expect(page.locator("#filter-list")).to_be_hidden()


def test_a_field_that_no_image_has(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    field, told = filter_of(page), page.locator("#filter-error")
    field.fill('widht > 300 and `my label` == "x" or not exists(camera)')
    field.press("Enter")
    expect(told).to_have_text("No image here has a field widht.")
    field.fill("width > 300")
    field.press("Enter")
    expect(told).to_be_empty()


@pytest.mark.parametrize("query", ["", "id=cat-01&"])
def test_an_address_with_a_wrong_filter(
    page: Page, demo_service: Served, watch: Watch, query: str
) -> None:
    watch.expect("400")
    visit(page, demo_service, f"?{query}filter=label")
    expect(page.locator("#filter-error")).to_be_visible()
    expect(page.get_by_label("Only images where")).to_have_value("label")


def test_a_filter_alone_lists_the_images(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, f"?filter={CATS}")
    expect(page.locator("#results-title")).to_have_text("8 images match the filter")
    assert ids(page) == [f"cat-{number:02}" for number in range(1, 9)]
    expect(page.get_by_label("Only images where")).to_be_visible()
    expect(page.get_by_role("button", name="Choose an image")).to_be_visible()
    page.get_by_role("link", name="Similar to cat-03").click()
    expect_hits(page, found(demo_service, id="cat-03", k=24, filter=CATS, exclude_same=True))


def test_help(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01")
    field = filter_of(page)
    button = page.get_by_role("button", name="Help")
    button.click()
    expect(page.locator("#filter-help")).to_be_visible()
    assert button.get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name='format in ["jpeg", "webp"]').click()
    expect(field).to_have_value('format in ["jpeg", "webp"]')
    wanted = 'format in ["jpeg", "webp"]'
    expect_hits(page, found(demo_service, id="cat-01", k=24, filter=wanted))
    button.click()
    expect(page.locator("#filter-help")).to_be_hidden()


def test_every_example_of_the_help_is_a_filter(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service, "?id=cat-01")
    desktop.get_by_role("button", name="Help").click()
    examples = desktop.locator("#filter-help li button").all_inner_texts()
    assert len(examples) == 5
    for example in examples:
        found(demo_service, id="cat-01", filter=example)


def test_no_image_matches(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, "?id=cat-01&filter=width < 1")
    state = page.locator("#results-state")
    expect(state).to_contain_text("No image matches")
    expect(page.locator("#announcer")).to_contain_text("No image matches")
    state.get_by_role("button", name="Without the filter").click()
    expect_hits(page, found(demo_service, id="cat-01", k=24))
    expect(state).to_be_hidden()
    expect(page.locator("#results-title")).to_be_focused()
    assert "filter" not in page.url
    answered(page)


def test_all_that_matches_is_the_same_image(page: Page, demo_service: Served) -> None:
    visit(page, demo_service, '?id=cat-01&others=1&filter=uri contains "cat-01" and label == "cat"')
    expect(page.locator("#results-state")).to_contain_text("No image matches")
