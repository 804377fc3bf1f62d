"""The page's views, and when one of them is there."""

from playwright.sync_api import Page

from tests.serving import Served

SETTLED = """() => {
    const near = (node) => {
        const { top, bottom, width } = node.getBoundingClientRect();
        return width > 0 && bottom > 0 && top < innerHeight;
    };
    return document.querySelector("main > section:not([hidden])")
        && !document.querySelector("[aria-busy=true]")
        && [...document.images].filter(near).every((img) => img.complete && img.naturalWidth);
}"""


def visit(page: Page, service: Served, address: str = "") -> None:
    """`address` is what comes after the service's: "?view=collection"."""
    page.goto(f"{service.url}/{address}")
    settle(page)


def settle(page: Page) -> None:
    """Wait until nothing is asked for any more and the pictures in the window have come."""
    page.wait_for_function(SETTLED)
