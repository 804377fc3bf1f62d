"""Make the pictures of the page for the README and the docs, from the page as it runs.

    python tools/make_screenshots.py [NAME...]

Serves the demo images, goes through the page's main flows in Chromium, and writes `docs/images/`.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

import httpx
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize

from chromium import chromium

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
QUERIES = Path(str(files("imagefinder"))) / "demo" / "queries"
SECONDS = 60.0  # for the service to index the demo images and start
LARGEST = 150_000  # bytes of a picture
QUALITIES = (90, 84, 78, 70, 60)  # the first that makes it small enough
DESKTOP: ViewportSize = {"width": 1180, "height": 760}
TALL: ViewportSize = {"width": 1180, "height": 940}
PHONE: ViewportSize = {"width": 390, "height": 760}
DENSITY = 1.5  # pixels of the picture for one of the window
SETTLED = """() => {
    const seen = (node) => {
        const { top, bottom, width } = node.getBoundingClientRect();
        return width > 0 && bottom > 0 && top < innerHeight;
    };
    return !document.querySelector("[aria-busy=true]")
        && [...document.images].filter(seen).every((img) => img.complete && img.naturalWidth);
}"""


@dataclass(frozen=True, slots=True)
class Shot:
    """`draw` brings a new page, at the start, to what the picture shows."""

    name: str
    draw: Callable[[Page], None]
    window: ViewportSize
    colours: Literal["light", "dark"] = "light"


def start(_: Page) -> None:
    """Nothing was asked yet."""


def search(page: Page) -> None:
    """With a picture that is not in the collection."""
    page.set_input_files("#file", QUERIES / "tiger.jpg")
    page.wait_for_selector("#gallery .score")


def part(page: Page) -> None:
    """With a picture of two things and a box around one of them."""
    page.set_input_files("#file", two_things())
    page.wait_for_selector("#gallery .score")
    frame = page.locator("#picture img").bounding_box()
    assert frame is not None
    corners = [
        (frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        for x, y in ((0.02, 0.06), (0.37, 0.97))
    ]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(*corners[1], steps=5)
    page.mouse.up()
    page.wait_for_function("location.search.includes('box=')")


def wait_for_quiet(page: Page) -> None:
    """Until for a second nothing has come. Playwright's `networkidle` counts once a page."""
    finished: list[str] = []
    page.on("requestfinished", lambda request: finished.append(request.url))
    before = -1
    while before < len(finished):
        before = len(finished)
        page.wait_for_timeout(1000)


def two_things() -> FilePayload:
    """A flower, and a tiger to its right."""
    sheet = Image.new("RGB", (900, 360), "white")
    for name, place in (("flower.jpg", (10, 17)), ("tiger.jpg", (400, 96))):
        with Image.open(QUERIES / name) as thing:
            sheet.paste(thing, place)
    data = BytesIO()
    sheet.save(data, "PNG")
    return {"name": "flower and tiger.png", "mimeType": "image/png", "buffer": data.getvalue()}


def details(page: Page) -> None:
    """A result, large."""
    search(page)
    page.locator("#gallery .face").first.click()
    page.wait_for_selector("dialog .large img.there")


def collection(page: Page) -> None:
    """What is in it, with the map."""
    page.get_by_role("link", name="Collection", exact=True).click()
    page.wait_for_selector(".map canvas")
    wait_for_quiet(page)  # the pictures on the map
    page.locator(".map canvas").press("ArrowRight")  # points at the image in the middle
    page.mouse.wheel(0, -10_000)


SHOTS = (
    Shot("page-start", start, DESKTOP),
    Shot("page-search", search, DESKTOP),
    Shot("page-search-dark", search, DESKTOP, "dark"),
    Shot("page-part", part, DESKTOP),
    Shot("page-details", details, DESKTOP),
    Shot("page-collection", collection, TALL),
    Shot("page-phone", search, PHONE),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [shot.name for shot in SHOTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    wanted = parser.parse_args().names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    with demo_service() as url, chromium() as browser:
        for shot in SHOTS:
            if shot.name in wanted:
                file = IMAGES / f"{shot.name}.webp"
                file.write_bytes(compressed(picture(browser, url, shot)))
                print(f"{file.relative_to(IMAGES.parents[1])}: {file.stat().st_size / 1000:.0f} kB")


@contextmanager
def demo_service() -> Iterator[str]:
    """Its URL. It is new, so that the pictures do not depend on what was done before."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "imagefinder", "serve", "--demo"]
        where = ["-c", f"{folder}/demo", "--port", str(port)]
        with log.open("wb") as lines:
            process = subprocess.Popen([*command, *where], stderr=lines)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, url, log)
            yield url
        finally:
            process.terminate()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = monotonic() + SECONDS
    while monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text(errors='replace')[-2000:]}")


def picture(browser: Browser, url: str, shot: Shot) -> bytes:
    """PNG, of the window."""
    phone = shot.window is PHONE
    with browser.new_context(
        viewport=shot.window,
        device_scale_factor=DENSITY,
        color_scheme=shot.colours,
        reduced_motion="reduce",
        is_mobile=phone,
        has_touch=phone,
    ) as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(SETTLED)
        shot.draw(page)
        page.wait_for_function(SETTLED)
        return page.screenshot(animations="disabled", caret="hide")


def compressed(png: bytes) -> bytes:
    """WebP of at most LARGEST bytes."""
    with Image.open(BytesIO(png)) as image:
        for quality in QUALITIES:
            webp = BytesIO()
            image.save(webp, "WEBP", quality=quality, method=6)
            if webp.tell() <= LARGEST:
                return webp.getvalue()
    sys.exit(f"more than {LARGEST} bytes at quality {QUALITIES[-1]}: make the window smaller")


if __name__ == "__main__":
    main()
