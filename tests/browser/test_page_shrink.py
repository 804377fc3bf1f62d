"""What is sent of a picture: less than it is, with the same embedding."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page, expect

from imagefinder.serve.run import demo_images
from tests.browser.launched import launched
from tests.browser.results import answered
from tests.browser.sent import Form, keep_forms, sent
from tests.browser.views import visit
from tests.browser.watch import Watch
from tests.browser.windows import DESKTOP
from tests.serving import Served

pytestmark = pytest.mark.browser

ELSEWHERE = "imagefinder.test"  # a name that is this machine, and does not look like it
SAME = 0.99  # DESIGN.md: what a picture of other pixels may differ in
BOXES = ["0,0,1,1", "0.25,0.25,0.5,0.5", "0.6,0.1,0.3,0.25", "0,0.5,1,0.5"]
CASES = ["photo.jpg", "turned.jpg", "clear.png", "grey.jpg", "wide.jpg", "palette.png"]


@pytest.fixture(scope="module")
def far(browser: Browser) -> Iterator[Browser]:
    """A browser to which the service has a name of its own."""
    rules = f"MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with launched(browser, f"--host-resolver-rules={rules}") as running:
        yield running


@pytest.fixture
def away(far: Browser, demo_service: Served, watch: Watch) -> Iterator[Page]:
    """The start of the page, of a service that looks like one on another machine."""
    with far.new_context(**DESKTOP) as context:
        watch.follow(context)
        port = demo_service.url.rpartition(":")[2]
        watch.allow(f"http://{ELSEWHERE}:{port}")
        # what browsers say of plain HTTP
        watch.expect("Cross-Origin-Opener-Policy header has been ignored")
        page = context.new_page()
        keep_forms(page)
        page.goto(f"http://{ELSEWHERE}:{port}/")
        answered(page)
        yield page


@cache
def photograph() -> Image.Image:
    """12 megapixels: a picture of the demo on a sky, with the noise of a camera."""
    queries = demo_images().parent / "queries"
    down = np.linspace(0, 1, 3000, dtype=np.float32)[:, None, None]
    sky = np.array([90, 140, 220]) * (1 - down) + np.array([200, 180, 140]) * down
    canvas = Image.fromarray(np.broadcast_to(sky, (3000, 4000, 3)).astype(np.uint8))
    places = {"tiger.jpg": (200, 1300, 2400), "guitar.png": (2900, 300, 900)}
    for name, (left, top, width) in places.items():
        with Image.open(queries / name) as one:
            part = one.convert("RGBA")
        height = round(width * part.height / part.width)
        large = part.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(large, (left, top), large)
    soft = canvas.filter(ImageFilter.GaussianBlur(2))
    noise = np.random.default_rng(0).normal(0, 6, (3000, 4000, 3)).astype(np.float32)
    return Image.fromarray((np.asarray(soft) + noise).clip(0, 255).astype(np.uint8))


@cache
def encoded(name: str) -> bytes:
    """One of CASES."""
    image, data = photograph(), BytesIO()
    if name == "photo.jpg":
        image.save(data, "JPEG", quality=92)
    elif name == "turned.jpg":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(data, "JPEG", quality=92, exif=exif)
    elif name == "clear.png":
        small = image.resize((1600, 1200))
        across = np.linspace(0, 255, 1600, dtype=np.uint8)
        small.putalpha(Image.fromarray(np.broadcast_to(across, (1200, 1600)).copy()))
        small.save(data, "PNG")
    elif name == "grey.jpg":
        image.convert("L").save(data, "JPEG", quality=92)
    elif name == "wide.jpg":  # a panorama
        image.crop((0, 1300, 4000, 2100)).save(data, "JPEG", quality=92)
    else:
        image.resize((1600, 1200)).quantize(64).save(data, "PNG")
    return data.getvalue()


def embedding(service: Served, image: bytes, box: str = "") -> np.ndarray:
    """A unit row."""
    answer = service.client.post("/v1/embed", files={"image": image}, data={"box": box})
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["embeddings"][0])


def given(page: Page, name: str, data: bytes, box: str = "") -> Form:
    """What the page sends of it."""
    kind = "image/png" if name.endswith("png") else "image/jpeg"
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": data})
    expect(page.locator("#query-name")).to_have_text(name)
    answered(page)
    if box:
        numbers = [float(part) for part in box.split(",")]
        page.evaluate("box => import('./page/address.js').then(({go}) => go({box}))", numbers)
        answered(page)
    return sent(page)


@pytest.mark.parametrize("name", CASES)
def test_a_large_picture_is_sent_small_with_the_same_embedding(
    away: Page, demo_service: Served, name: str
) -> None:
    data = encoded(name)
    form = given(away, name, data)
    assert form.image
    if name == "palette.png":  # few colours take less as they are
        assert form.image == data
        return
    assert len(form.image) < len(data) / 2
    with Image.open(BytesIO(form.image)) as image:
        assert max(image.size) == 1280
    cosine = float(embedding(demo_service, data) @ embedding(demo_service, form.image))
    assert cosine >= SAME


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("name", CASES)
def test_a_part_is_cut_here_as_the_service_cuts_it(
    away: Page, demo_service: Served, name: str, box: str
) -> None:
    data = encoded(name)
    form = given(away, name, data, box)
    assert "box" not in form.fields
    assert form.image
    cosine = float(embedding(demo_service, data, box) @ embedding(demo_service, form.image))
    assert cosine >= SAME


def test_a_small_file_is_sent_as_it_is(away: Page, queries: Path) -> None:
    data = (queries / "guitar.png").read_bytes()
    assert given(away, "guitar.png", data).image == data


def test_to_this_machine_a_file_is_sent_as_it_is(desktop: Page, demo_service: Served) -> None:
    keep_forms(desktop)
    visit(desktop, demo_service)
    form = given(desktop, "photo.jpg", encoded("photo.jpg"))
    assert form.image == encoded("photo.jpg")
    assert "preview" not in form.fields
