"""The watch over the pages sees what it is there to see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page

from tests.browser.conftest import NewPage
from tests.browser.trap import Trap
from tests.browser.watch import Watch
from tests.serving import listening

pytestmark = pytest.mark.browser

POLICY = {"Content-Security-Policy": "img-src 'none'"}
HTML = "<!doctype html><meta name=viewport content=width=device-width><link rel=icon href=data:,>"


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """Two pages without a flaw, one of them with a policy."""
    app = FastAPI()
    app.get("/")(lambda: HTMLResponse(HTML))
    app.get("/strict")(lambda: HTMLResponse(HTML, headers=POLICY))
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def found(browser: Browser, trap: Trap, tmp_path: Path) -> Iterator[Watch]:
    """A watch over one page, whose findings do not fail the test."""
    found = Watch(trap, tmp_path)
    with browser.new_context() as context:
        found.follow(context)
        context.new_page()
        yield found


@pytest.fixture
def watched(found: Watch, plain: str) -> Page:
    """Its page, at one that has no flaw."""
    [page] = found.pages()
    found.allow(plain)
    page.goto(plain)
    return page


def run(page: Page, script: str) -> None:
    """And what follows from it."""
    page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(300)


def test_a_page_that_behaves_is_fine(watched: Page, found: Watch, plain: str) -> None:
    run(watched, "fetch('/'); fetch('data:text/plain,hello'); open('about:blank')")
    run(watched, "fetch(URL.createObjectURL(new Blob(['hello'])))")
    run(
        watched, "const stop = new AbortController(); fetch('/', stop).catch(() => 0); stop.abort()"
    )
    assert found.problems() == []
    assert f"{plain}/" in found.requests


@pytest.mark.parametrize(
    "script",
    [
        "new Image().src = 'http://pictures.example/a.png'",
        "fetch('http://pictures.example/a')",
        "navigator.sendBeacon('http://pictures.example/a')",
        "open('http://pictures.example/a')",
        "new WebSocket('ws://pictures.example/a')",
        "new Worker(URL.createObjectURL(new Blob([`fetch('http://pictures.example/a')`])))",
        "document.body.innerHTML = '<link rel=prefetch href=http://pictures.example/a>'",
    ],
    ids=["image", "fetch", "beacon", "window", "socket", "worker", "prefetch"],
)
def test_what_leaves_is_seen(watched: Page, found: Watch, script: str) -> None:
    run(watched, script)
    assert any("left" in problem for problem in found.problems())


def test_what_playwright_does_not_tell_of_falls_into_the_trap(watched: Page, found: Watch) -> None:
    run(watched, "fetch('http://pictures.example/a').catch(() => 0)")
    assert any("GET http://pictures.example/a" in problem for problem in found.problems())


def test_another_service_of_this_machine_is_another_place(found: Watch, plain: str) -> None:
    [page] = found.pages()
    page.goto(plain)
    assert found.problems() == [f"a request left: {plain}/"]


@pytest.mark.parametrize(
    ("path", "script", "error"),
    [
        ("/", "console.error('something broke')", "something broke"),
        ("/", "setTimeout(() => { throw new TypeError('thrown') })", "thrown"),
        ("/", "Promise.reject(new TypeError('rejected'))", "rejected"),
        ("/", "fetch('/nothing')", "404"),
        ("/", "document.body.innerHTML = '<img src=\"http://127.0.0.1:2/\">'", "ERR_"),
        ("/strict", "new Image().src = '/a.png'", "Content Security Policy"),
    ],
    ids=["console", "thrown", "rejected", "status", "failed", "policy"],
)
def test_what_breaks_is_seen(
    watched: Page, found: Watch, plain: str, path: str, script: str, error: str
) -> None:
    watched.goto(f"{plain}{path}")
    run(watched, script)
    assert any(error in problem for problem in found.problems())
    found.allow("http://127.0.0.1:2/")
    found.expect(f"{error}|: csp")
    assert found.problems() == []


def test_an_error_that_was_expected_has_to_come(found: Watch) -> None:
    found.expect("422")
    assert found.problems() == ["an error like '422' was expected, and did not come"]


def test_each_window_is_what_it_says(page: Page, watch: Watch, plain: str) -> None:
    watch.allow(plain)
    page.goto(plain)
    assert page.evaluate("[innerWidth, devicePixelRatio]") in [[1280, 1], [390, 2]]


def test_a_page_can_be_dark(new_page: NewPage) -> None:
    page = new_page(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
