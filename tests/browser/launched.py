"""A second Chromium, with options that the one of all tests has not."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser

from chromium import SILENT, executable


@contextmanager
def launched(browser: Browser, *arguments: str) -> Iterator[Browser]:
    """Beside `browser`, which has the connection to Playwright."""
    running = browser.browser_type.launch(executable_path=executable(), args=[*SILENT, *arguments])
    try:
        yield running
    finally:
        running.close()
