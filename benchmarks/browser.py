"""What a person waits for at the page, in a real browser: the first results of a photograph."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from benchmarks.data import DEMO, fresh
from benchmarks.photographs import photographs
from benchmarks.results import Figure
from benchmarks.server import serving
from imagefinder import ImageFinder
from tools.chromium import chromium

ELSEWHERE = "photos.example"  # a name of this machine by which the page takes it for another one
NAMES = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
WINDOW = {"width": 1280, "height": 800}
# 20 Mbit/s and 20 ms, of a home with a service elsewhere
HOME = {"latency": 20, "downloadThroughput": 2_500_000, "uploadThroughput": 2_500_000}
# slow enough that one would see things move: 1.6 Mbit/s and 150 ms
SLOW = {"latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 200_000}

READY = """() => !document.querySelector("[aria-busy=true]")
    && document.querySelectorAll("#gallery img.there").length > 3"""
# Drops the file that the input holds, if told to, and resolves to the milliseconds from the drop
# until the hits have their place ("placed"), until the thumbnail of the first is on the screen
# ("first"), until those of all in the window are ("all"): of each that is asked for, in this order.
MEASURE = """async ({ drop, until }) => {
    const frame = () => new Promise(requestAnimationFrame);
    const inWindow = (node) => {
        const { top, bottom } = node.getBoundingClientRect();
        return bottom > 0 && top < innerHeight;
    };
    const shown = (card) => {
        const img = card.querySelector("img");
        return img?.complete && img.naturalWidth > 0 && getComputedStyle(img).opacity > 0;
    };
    const enough = {
        placed: (cards) => cards.length > 0,
        first: (cards) => cards.some(shown),
        all: (cards) => cards.length > 0 && cards.every(shown),
    };
    if (drop) {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(document.getElementById("dropped").files[0]);
        window.dropped = performance.now();
        document.body.dispatchEvent(
            new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }
    const times = [];
    for (const wanted of until) {
        const hits = () => [...document.querySelectorAll("#gallery .card")]
            .filter((card) => card.querySelector(".score")?.textContent && inWindow(card));
        while (!enough[wanted](hits())) await frame();
        await frame(); // it is painted with the next one
        times.push(performance.now() - window.dropped);
    }
    return times;
}"""
SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries()))
        .observe({ type: "layout-shift", buffered: true });
}"""
SHIFTED = "() => window.shifts.reduce((sum, shift) => sum + shift.value, 0)"


def run(quick: bool) -> list[Figure]:
    """Each photograph is another one, dropped on a page that was just opened in a new profile."""
    count = 3 if quick else 15
    files = sorted(photographs(24 if quick else 60).rglob("*.jpg"))[: count + 1]
    collection = fresh("page")
    with ImageFinder.open(collection) as finder:
        finder.index(DEMO / "images.csv")
    with (
        serving(collection, "--allowed-host", ELSEWHERE) as server,
        chromium(NAMES) as browser,
    ):
        here, elsewhere = (f"http://{name}:{server.port}/" for name in ("127.0.0.1", ELSEWHERE))
        return [
            *waits(browser, here, files, "service here", at_most=1.0),
            *waits(browser, elsewhere, files, "service elsewhere", at_most=1.0),
            *waits(browser, elsewhere, files, "20 Mbit/s and 20 ms", HOME),
            *weight(browser, here),
            Figure("layout shift, start page", start_shifts(browser, here, count), ""),
            Figure(
                "layout shift, hits' thumbnails",
                hit_shifts(browser, here, files[1:]),
                "",
                at_most=0,
            ),
        ]


def waits(
    browser: Browser,
    url: str,
    files: list[Path],
    where: str,
    network: dict[str, int] | None = None,
    at_most: float | None = None,
) -> list[Figure]:
    """The first file warms up and does not count."""
    times = [waited(browser, url, file, network) for file in files][1:]
    first, every = (tuple(time[which] / 1000 for time in times) for which in (0, 1))
    return [
        Figure(f"first result, {where}", first, "s", at_most),
        Figure(f"all in the window, {where}", every, "s"),
    ]


def waited(
    browser: Browser, url: str, file: Path, network: dict[str, int] | None
) -> tuple[float, float]:
    """Milliseconds from the drop to the first result, and to all in the window."""
    with opened(browser, url, network) as page:
        hold(page, file)
        first, every = page.evaluate(MEASURE, {"drop": True, "until": ["first", "all"]})
        return first, every


def hold(page: Page, file: Path) -> None:
    """Give the page a file from the disk, as a drop would."""
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('input'),"
        " {id: 'dropped', type: 'file', hidden: true}))"
    )
    page.set_input_files("#dropped", file)


@contextmanager
def opened(browser: Browser, url: str, network: dict[str, int] | None = None) -> Iterator[Page]:
    """The start page in a profile of its own, when its own pictures are there."""
    with browser.new_context(viewport=WINDOW) as context:
        page = context.new_page()
        page.add_init_script(f"({SHIFTS})()")
        if network is not None:
            slow_down(page, network)
        page.goto(url)
        page.wait_for_function(READY)
        yield page


def slow_down(page: Page, network: dict[str, int]) -> None:
    devices = page.context.new_cdp_session(page)
    devices.send("Network.emulateNetworkConditions", {"offline": False, **network})


def weight(browser: Browser, url: str) -> list[Figure]:
    """Of what the page itself loads, without the pictures and the answers of the API."""
    with browser.new_context(viewport=WINDOW) as context:
        page = context.new_page()
        answers: dict[str, Any] = {}
        page.on("response", lambda answer: answers.update({answer.url: answer}))
        page.goto(url)
        page.wait_for_function(READY)
        own = [a for at, a in answers.items() if not urlsplit(at).path.startswith("/v1/")]
        sizes = [answer.request.sizes() for answer in own]
        bodies = sum(len(answer.body()) for answer in own) / 1000
        sent = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) / 1000
    return [
        Figure("the page's own files", (bodies,), "kB", at_most=150),
        Figure("and as transferred, with headers", (sent,), "kB"),
        Figure("files", (float(len(own)),), ""),
    ]


def start_shifts(browser: Browser, url: str, times: int) -> tuple[float, ...]:
    """Cumulative layout shift of the whole load."""
    found = []
    for _ in range(min(times, 3)):
        with opened(browser, url, SLOW) as page:
            page.wait_for_timeout(500)
            found.append(page.evaluate(SHIFTED))
    return tuple(found)


def hit_shifts(browser: Browser, url: str, files: list[Path]) -> tuple[float, ...]:
    """From when the hits have their place until their pictures are there."""
    found = []
    for file in files[:3]:
        with opened(browser, url) as page:
            hold(page, file)
            slow_down(page, {**SLOW, "uploadThroughput": -1})  # the photograph itself goes at once
            page.evaluate(MEASURE, {"drop": True, "until": ["placed"]})
            page.evaluate("window.shifts = []")
            page.evaluate(MEASURE, {"drop": False, "until": ["all"]})
            found.append(page.evaluate(SHIFTED))
    return tuple(found)
