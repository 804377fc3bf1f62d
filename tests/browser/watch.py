"""What the pages of a test did, and whether it was right."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    WebSocket,
)

from tests.browser.trap import Trap

WITHIN = ("blob", "data", "about")  # schemes of what never leaves the browser
ABORTED = "net::ERR_ABORTED"  # the page's own doing: a search that is out of date, a page that goes


class Watch:
    """`requests` are the URLs that the pages asked for until now; `errors` what the console said,
    what was thrown and not caught, and which requests failed."""

    def __init__(self, trap: Trap, folder: Path) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._trap, self._folder = trap, folder
        self._origins: set[str] = set()
        self._expected: list[re.Pattern[str]] = []
        self._contexts: list[BrowserContext] = []
        trap.take()

    def expect(self, pattern: str) -> None:
        """An error like this has to come, and none like it fails the test."""
        self._expected.append(re.compile(pattern))

    def allow(self, url: str) -> None:
        """Requests to where this URL is are fine, too."""
        self._origins.add(origin(url))

    def follow(self, context: BrowserContext) -> None:
        """Every page and worker of the context, from now on."""
        self._contexts.append(context)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("requestfailed", self._failed)
        context.on("console", self._said)
        context.on("weberror", lambda thrown: self.errors.append(f"uncaught: {thrown.error}"))
        context.on("page", lambda page: page.on("websocket", self._connected))

    def problems(self) -> list[str]:
        """What must fail the test, in words."""
        for page in self.pages():
            arrived(page)
        strange = sorted({url for url in self.requests if not self._is_ours(url)})
        return [
            *(f"a request left: {url}" for url in strange),
            *(f"something left the browser: {line}" for line in self._trap.take()),
            *(
                f"an error that was not expected: {error}"
                for error in self.errors
                if not any(pattern.search(error) for pattern in self._expected)
            ),
            *(
                f"an error like {pattern.pattern!r} was expected, and did not come"
                for pattern in self._expected
                if not any(pattern.search(error) for error in self.errors)
            ),
        ]

    def pictures(self) -> Iterator[str]:
        """Of each page, and where they are."""
        for number, page in enumerate(self.pages()):
            file = self._folder / f"failed-{number}.png"
            try:
                page.screenshot(path=file, timeout=5000)
                yield f"{page.url} looked like {file}"
            except Error as error:
                yield f"{page.url} cannot be shown: {error}"

    def pages(self) -> list[Page]:
        """Those that are open."""
        return [page for context in self._contexts for page in context.pages]

    def _is_ours(self, url: str) -> bool:
        return urlsplit(url).scheme in WITHIN or origin(url) in self._origins

    def _failed(self, request: Request) -> None:
        if request.failure != ABORTED:
            self.errors.append(f"{request.method} {request.url}: {request.failure}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self.errors.append(f"{message.text} ({place['url']}:{place['lineNumber']})")

    def _connected(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}"


def arrived(page: Page) -> None:
    """Events come in order, so once the page has answered, all before are here."""
    with contextlib.suppress(Error):  # a page that closes or goes elsewhere has no more to say
        page.evaluate("0")
