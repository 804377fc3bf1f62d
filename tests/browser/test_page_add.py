"""Adding images, and taking them out again."""

import threading
from base64 import b64encode
from collections.abc import Mapping

import pytest
from playwright.sync_api import FilePayload, Page, Request, expect

from imagefinder.serve.options import ServeOptions
from tests.browser.conftest import Serve
from tests.browser.results import CARDS
from tests.browser.transfer import MAKE, drag
from tests.browser.views import settle, visit
from tests.browser.watch import Watch
from tests.serving import Served
from tests.uploads import png

pytestmark = pytest.mark.browser

VIEW = "?view=add"
ROWS = "#add-list li"
SECONDS = 9  # more than a message stays


def file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def choose(page: Page, *files: FilePayload) -> None:
    """With the dialog of the system that the button opens."""
    with page.expect_file_chooser() as chooser:
        page.locator("#add-choose").click()
    assert chooser.value.is_multiple()
    chooser.value.set_files(files)


def drop(page: Page, files: Mapping[str, bytes], *, type: str, onto: str) -> None:
    """Dropped files, the first of them first."""
    given = [
        {"name": name, "type": type, "data": b64encode(data).decode()}
        for name, data in files.items()
    ]
    drag(page, "drop", page.evaluate_handle(MAKE, {"files": given, "texts": {}}), onto)


def outcomes(page: Page) -> list[tuple[str, str]]:
    """Names and what became of them, in the order in which they were given."""
    expect(page.locator("#add-progress")).to_be_hidden()
    rows: list[tuple[str, str]] = page.locator(ROWS).evaluate_all(
        """rows => rows.reverse().map(row => [
            row.querySelector(".name").firstChild.textContent,
            row.querySelector(".outcome > span").textContent,
        ])"""
    )
    return [(name, outcome) for name, outcome in rows]


def deletions(page: Page) -> list[Request]:
    """Those that are sent from now on."""
    sent: list[Request] = []
    page.on("request", lambda request: request.method == "DELETE" and sent.append(request))
    return sent


def wait_until_gone(page: Page, service: Served, id: str) -> None:
    for _ in range(100):
        if id not in service.finder:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{id} is still there")


def test_several_images_are_added_and_found(page: Page, serve: Serve) -> None:
    service = serve()
    visit(page, service)
    page.get_by_role("link", name="Add images").click()
    choose(page, *(file(f"new-{number}.png", png(50 + number)) for number in range(5)))
    expect(page.locator("#add-summary")).to_have_text(
        "5 images added. The next search finds what was added."
    )
    assert outcomes(page) == [(f"new-{number}.png", "Added") for number in range(5)]
    expect(page.locator(f"{ROWS} .face img.there")).to_have_count(5)
    assert all(f"new-{number}.png" in service.finder for number in range(5))
    expect(page.get_by_text("collection · 10 images")).to_have_count(1)
    page.get_by_role("link", name="Search", exact=True).click()
    page.set_input_files("#file", file("query.png", png(53)))
    expect(page.locator(CARDS).first).to_have_attribute("data-id", "new-3.png")
    expect(page.locator(CARDS)).to_have_count(10)


def test_a_search_is_asked_anew_after_adding(page: Page, serve: Serve) -> None:
    """With "back", too."""
    visit(page, serve(), "?id=bird.png")
    expect(page.locator(CARDS)).to_have_count(5)
    page.get_by_role("link", name="Add images").click()
    choose(page, file("new.png", png(50)))
    expect(page.locator("#add-summary")).to_contain_text("1 image added")
    page.go_back()
    expect(page.locator(CARDS)).to_have_count(6)


@pytest.mark.parametrize("onto", ["#add-choose", ".top"], ids=["the place", "beside it"])
def test_images_are_dropped(page: Page, serve: Serve, onto: str) -> None:
    visit(page, serve(), VIEW)
    files = {"one.png": png(50), "two.png": png(51)}
    drop(page, files, type="image/png", onto=onto)
    expect(page.locator("#add-summary")).to_contain_text("2 images added")
    assert outcomes(page) == [("one.png", "Added"), ("two.png", "Added")]
    drop(page, {"notes.txt": b"no image"}, type="text/plain", onto=onto)
    expect(page.locator("#add-summary")).to_have_text(
        "That is no image. Drop picture files, such as JPEG or PNG."
    )


def test_those_that_are_skipped_and_why(page: Page, serve: Serve) -> None:
    visit(page, serve(ServeOptions(max_body_bytes=100_000)), VIEW)
    choose(
        page,
        file("text.jpg", b"this is no image"),
        file("huge.png", bytes(200_000)),
        file("bird.png", png(60)),
        file("<b>new<b>.png", png(61)),
    )
    expect(page.locator("#add-summary")).to_have_text(
        "1 image added, 3 skipped. The next search finds what was added."
    )
    claimed = "belongs to another image already; give this one another id"
    assert outcomes(page) == [
        ("text.jpg", "Skipped: not an image: the content is text"),
        ("huge.png", "200 kB, and the service takes 100 kB at most."),
        ("bird.png", f"Skipped: the id bird.png {claimed}"),
        ("<b>new<b>.png", "Added"),
    ]
    expect(page.get_by_role("button", name="Delete")).to_have_count(1)
    choose(page, file("<b>new<b>.png", png(61)), file("<b>new<b>.png", png(62)))
    expect(page.locator(ROWS)).to_have_count(6)
    expect(page.locator("#add-summary")).to_contain_text("4 skipped")
    assert outcomes(page)[4:] == [
        ("<b>new<b>.png", "It is there already"),
        ("<b>new<b>.png", f"Skipped: the id <b>new<b>.png {claimed}"),
    ]


def test_progress(page: Page, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service, gate = serve(), threading.Semaphore(0)
    add = service.finder.add

    def slow(*given, **named):
        assert gate.acquire(timeout=60)
        return add(*given, **named)

    monkeypatch.setattr(service.finder, "add", slow)
    visit(page, service, VIEW)
    choose(page, *(file(f"{number}.png", png(50 + number)) for number in range(4)))
    bar, told = page.get_by_role("progressbar"), page.locator("#add-summary")
    for done in range(4):
        expect(told).to_have_text(f"{done} of 4")
        assert bar.evaluate("bar => [bar.value, bar.max]") == [done, 4]
        expect(page.locator(ROWS).filter(has_text="Added")).to_have_count(done)
        expect(page.locator(ROWS).filter(has_text="Adding")).to_have_count(min(2, 4 - done))
        gate.release()
    expect(bar).to_be_hidden()
    expect(told).to_contain_text("4 images added")


def test_only_who_may_write_sees_it(page: Page, serve: Serve) -> None:
    service = serve(ServeOptions(read_only=True))
    visit(page, service, "?id=bird.png&show=fish.png")
    page.get_by_role("button", name="Copy id").wait_for()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Add images")).to_be_hidden()
    visit(page, service, VIEW)
    expect(page.locator("#add")).to_contain_text("Images cannot be added here")
    expect(page.locator("#add input")).to_have_count(0)


def added(page: Page, service: Served) -> None:
    """The page, with one image that was added just now."""
    visit(page, service, VIEW)
    choose(page, file("new.png", png(50)))
    expect(page.locator("#add-summary")).to_contain_text("1 image added")


def test_undo(page: Page, serve: Serve) -> None:
    service = serve()
    page.clock.install()
    added(page, service)
    sent = deletions(page)
    page.get_by_role("button", name="Delete new.png").click()
    expect(page.locator(ROWS)).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(ROWS)).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)
    page.clock.fast_forward(1000 * SECONDS)
    page.goto("about:blank")
    assert not sent
    assert "new.png" in service.finder


def test_without_undo_it_is_deleted(page: Page, serve: Serve) -> None:
    service = serve()
    page.clock.install()
    added(page, service)
    sent = deletions(page)
    page.get_by_role("button", name="Delete new.png").click()
    page.mouse.move(1, 1)
    page.clock.fast_forward(5000)
    expect(page.locator(".toast")).to_be_visible()
    assert not sent
    page.clock.fast_forward(1000 * SECONDS)
    expect(page.locator(".toast")).to_have_count(0)
    wait_until_gone(page, service, "new.png")
    assert len(sent) == 1
    expect(page.locator(ROWS)).to_have_count(0)
    expect(page.locator("#where")).to_contain_text("5 images")


def test_who_points_at_the_message_has_more_time(desktop: Page, serve: Serve) -> None:
    service = serve()
    desktop.clock.install()
    added(desktop, service)
    desktop.get_by_role("button", name="Delete new.png").click()
    desktop.get_by_role("button", name="Undo").hover()
    desktop.clock.fast_forward(1000 * SECONDS)
    desktop.get_by_role("button", name="Undo").click()
    expect(desktop.locator(ROWS)).to_be_visible()
    assert "new.png" in service.finder


@pytest.mark.parametrize("leave", ["reload", "close"])
def test_who_leaves_has_not_taken_it_back(page: Page, serve: Serve, leave: str) -> None:
    service = serve()
    visit(page, service, "?id=bird.png&show=fish.png")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").wait_for()
    assert "fish.png" in service.finder
    if leave == "reload":
        page.reload()
    else:
        page.close(run_before_unload=True)
        page = page.context.new_page()
    wait_until_gone(page, service, "fish.png")


def test_an_indexed_image_is_deleted_from_its_details(page: Page, serve: Serve) -> None:
    """Its file stays; searches do not find it from the first moment on."""
    service = serve()
    visit(page, service, "?id=bird.png")
    page.locator('.card[data-id="animals/cat.png"] .face').click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(f"{CARDS}:visible")).to_have_count(4)
    expect(page.get_by_text("animals/cat.png is removed")).to_be_visible()
    page.get_by_role("link", name="Similar to dog").or_(
        page.locator('.card[data-id="animals/dog.png"] .similar')
    ).first.click(force=True)
    expect(page.locator("#query-name")).to_have_text("animals/dog.png")
    settle(page)
    expect(page.locator('.card[data-id="animals/cat.png"]')).to_be_hidden()
    assert "animals/cat.png" in service.finder
    page.get_by_role("button", name="Undo").click()
    expect(page.locator('.card[data-id="animals/cat.png"]')).to_be_visible()
    page.locator('.card[data-id="animals/cat.png"] .face').click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Dismiss").click()
    wait_until_gone(page, service, "animals/cat.png")
    assert (service.pictures / "animals/cat.png").exists()
    expect(page.locator("#where")).to_contain_text("4 images")


def test_a_deletion_that_fails_is_told(page: Page, serve: Serve, watch: Watch) -> None:
    service = serve()
    visit(page, service, "?id=bird.png")
    page.route(
        "**/v1/images/fish.png",
        lambda route: (
            route.abort("connectionrefused")
            if route.request.method == "DELETE"
            else route.fallback()
        ),
    )
    watch.expect("ERR_CONNECTION_REFUSED")
    card = page.locator('.card[data-id="fish.png"]')
    card.locator(".face").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card).to_be_hidden()
    page.get_by_role("button", name="Dismiss").click()
    expect(card).to_be_visible()
    expect(page.locator(".toast")).to_contain_text(
        "fish.png could not be removed. Check that it still runs, then try again."
    )
    assert "fish.png" in service.finder


def test_a_read_only_service_refuses_what_an_old_page_sends(
    page: Page, serve: Serve, watch: Watch
) -> None:
    """A page that was opened before may still show what is not allowed any more."""
    service = serve(ServeOptions(read_only=True))
    page.route(
        "**/v1/status",
        lambda route: route.fulfill(
            json={**service.client.get("/v1/status").json(), "writable": True}
        ),
    )
    watch.expect("403")
    visit(page, service, VIEW)
    choose(page, file("new.png", png(50)))
    expect(page.locator(f"{ROWS} .bad")).to_have_text("The collection is served read-only.")
