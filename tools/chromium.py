"""The Chromium of this machine, driven by Playwright, for the tests, the pictures of the docs and a
benchmark."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

VARIABLE = "IMAGEFINDER_CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Playwright's own options make it quiet; these close what is left, name resolution first of all:
# nothing but the loopback address can be reached by name or number.
SILENT = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class NoChromiumError(Exception):
    """The message says what to do."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A browser without a window. Raises NoChromiumError."""
    program = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*SILENT, *arguments])
        try:
            yield browser
        finally:
            browser.close()


def executable(programs: Sequence[str] = PROGRAMS) -> str:
    """Its path. Raises NoChromiumError."""
    named = os.environ.get(VARIABLE)
    for program in (named,) if named else programs:
        if found := shutil.which(program):
            return found
    if named:
        raise NoChromiumError(f"{VARIABLE}={named}: there is no such program")
    raise NoChromiumError(
        f"no Chromium here ({', '.join(programs)}): install Debian's chromium,"
        f" or name a browser of its kind in {VARIABLE}"
    )
