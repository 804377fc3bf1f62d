"""The page asks its own service and nobody else, runs its own scripts only, and is small."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, Route

from imagefinder.serve.page import STATIC
from tests.browser.conftest import Serve
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.serving import Served

pytestmark = pytest.mark.browser

KILOBYTE = 1000
LARGEST = 150 * KILOBYTE  # of everything that the page loads, as it is on the disk
HEADERS = 300  # bytes, as which the browser counts an answer that only says "not modified"
VIEWS = ("", "?id=cat-01", "?id=cat-01&show=cat-02", "?filter=width%20%3E%3D%20400", "?view=add")
HOSTILE = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"
HACKED = "() => window.hacked !== undefined"
REFUSED = "Content Security Policy|: csp$"  # on the console, or as a failed request
ELEMENT = "document.body.append(Object.assign(document.createElement('{}'), {}))"


def test_no_view_asks_another_host(page: Page, demo_service: Served, watch: Watch) -> None:
    """The watch over every test fails it for that; here is one that goes everywhere."""
    for view in (*VIEWS, "?view=collection"):
        visit(page, demo_service, view)
    page.wait_for_selector(".map canvas")
    hosts = {urlsplit(url).netloc for url in watch.requests if not url.startswith("blob:")}
    assert hosts == {urlsplit(demo_service.url).netloc}
    far = "link[rel=preconnect], link[rel=dns-prefetch], iframe, script:not([src])"
    assert page.locator(far).count() == 0


def test_a_search_leaves_nothing_in_the_browser(
    desktop: Page, demo_service: Served, queries
) -> None:
    visit(desktop, demo_service)
    desktop.set_input_files("#file", queries / "tiger.jpg")
    desktop.wait_for_selector("#gallery .score")
    assert desktop.context.cookies() == []
    kept = "[localStorage.length, sessionStorage.length, navigator.serviceWorker.controller]"
    assert desktop.evaluate(kept) == [0, 0, None]
    assert desktop.evaluate("async () => (await indexedDB.databases()).length") == 0
    assert desktop.evaluate("async () => (await caches.keys()).length") == 0


@pytest.mark.parametrize(
    "harm",
    [
        "<script>window.hacked = 1</script>",
        "<img src='data:,' onerror='window.hacked = 1'>",
        "<script src='data:text/javascript,window.hacked = 1'></script>",
        "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>",
        "<object data='data:text/html,x'></object><script>window.hacked = 1</script>",
    ],
    ids=["inline", "handler", "data", "frame", "object"],
)
def test_a_script_that_got_into_the_page_does_not_run(
    desktop: Page, demo_service: Served, watch: Watch, harm: str
) -> None:
    def infect(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("</main>", f"{harm}</main>"))

    watch.expect(REFUSED)
    desktop.route(f"{demo_service.url}/", infect)
    desktop.goto(f"{demo_service.url}/")
    desktop.wait_for_selector("#gallery .id")
    assert not desktop.evaluate(HACKED)


@pytest.mark.parametrize(
    "harm",
    [
        "eval('window.hacked = 1')",
        "setTimeout('window.hacked = 1')",
        ELEMENT.format("script", "{textContent: 'window.hacked = 1'}"),
        ELEMENT.format("a", "{id: 'harm', href: 'javascript:window.hacked = 1'}")
        + "; harm.click()",
    ],
    ids=["eval", "timer", "element", "link"],
)
def test_a_script_cannot_make_another(
    desktop: Page, demo_service: Served, watch: Watch, harm: str
) -> None:
    """Run as the page's own would be: the debugger itself stands above the policy."""

    def infect(route: Route) -> None:
        route.fulfill(response=route.fetch(), body=harm)

    watch.expect(REFUSED)
    desktop.route("**/page/main.js", infect)
    desktop.goto(f"{demo_service.url}/")
    desktop.wait_for_timeout(200)
    assert not desktop.evaluate(HACKED)


def test_names_are_text_whatever_they_look_like(page: Page, serve: Serve) -> None:
    name = HOSTILE.replace("/", "|") + ".png"
    service = serve(names=[name, "tree.png"])
    service.finder.update_metadata(name, {"label": HOSTILE})
    for view in ("", "?id=tree.png", "?view=collection"):
        visit(page, service, view)
        assert page.get_by_text(name).count() >= (view != "?view=collection")
    visit(page, service, "?id=tree.png")
    page.locator("#gallery .face").filter(has_text=name).click()
    page.get_by_role("dialog").get_by_text(HOSTILE, exact=True).wait_for()
    assert not page.evaluate(HACKED)


def test_all_that_the_page_loads_is_small(desktop: Page, demo_service: Served) -> None:
    paths: dict[str, Response] = {}
    desktop.on("response", lambda answer: paths.update({urlsplit(answer.url).path: answer}))
    visit(desktop, demo_service)
    own = {path: len(paths[path].body()) for path in [*paths] if not path.startswith("/v1/")}
    files = {file.name: file.stat().st_size for file in STATIC.iterdir()}
    assert {path.rpartition("/")[2] for path in own} == {*files, ""} - {"index.html"}
    assert sum(own.values()) < LARGEST, own


def test_a_second_visit_loads_nothing_anew(desktop: Page, demo_service: Served) -> None:
    visit(desktop, demo_service)
    visit(desktop, demo_service)
    moved = desktop.evaluate(
        "Object.fromEntries(performance.getEntriesByType('resource').map("
        "(entry) => [new URL(entry.name).pathname, entry.transferSize]))"
    )
    own = {path: size for path, size in moved.items() if path.startswith("/page/")}
    assert len(own) > 5
    assert max(own.values()) <= HEADERS, own
