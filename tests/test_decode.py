"""Formats, turns, scaling and guards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from imagefinder.decode import DecodeLimits, decode, from_array, from_image
from imagefinder.errors import ImageError, UsageError
from tests.pictures import TURNED
from tests.samples import CORNERS, DATA, SIZE, encoded, photograph, picture, samples

Pixels = NDArray[np.uint8]
EXACT = ("rgb.png", "lossless.webp", "raw.tif", "lzw.tif", "deflate.tif", "big.tif", "picture.bmp")


def corners(pixels: Pixels) -> NDArray[np.int16]:
    """Top left, top right, bottom left, bottom right, from the middle of each quarter."""
    height, width, _ = pixels.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array([pixels[row, column] for row in rows for column in columns], np.int16)


def is_near(pixels: Pixels, expected: object, tolerance: int) -> bool:
    return bool(np.abs(corners(pixels) - np.array(expected)).max() <= tolerance)


@pytest.mark.parametrize("name", sorted(samples(picture())))
def test_every_format(name: str) -> None:
    decoded = decode(samples(picture())[name])

    assert (decoded.width, decoded.height) == SIZE
    assert decoded.pixels.shape == (SIZE[1], SIZE[0], 3)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    if name == "grey.jpg":
        greys = np.asarray(picture().convert("L").convert("RGB"))
        assert is_near(decoded.pixels, corners(greys), 2)
    else:
        assert is_near(decoded.pixels, CORNERS, 0 if name in EXACT else 8)


@pytest.mark.parametrize("name", EXACT)
def test_lossless_formats_keep_every_pixel(name: str) -> None:
    image = photograph()
    assert np.array_equal(decode(samples(image)[name]).pixels, np.asarray(image))


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("rgb.png", "png"),
        ("two-pictures.jpg", "jpeg"),
        ("picture.heic", "heif"),
        ("lzw.tif", "tiff"),
    ],
)
def test_the_format_is_told_by_content(name: str, format: str) -> None:
    assert decode(samples(picture())[name]).format == format


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("at_least", [None, 10])
def test_every_turn_ends_upright(orientation: int, format: str, at_least: int | None) -> None:
    stored = picture()
    if (turn := TURNED[orientation]) is not None:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode(encoded(stored, format, exif=exif), at_least=at_least)

    assert (decoded.width, decoded.height) == SIZE
    assert decoded.pixels.shape[1] > decoded.pixels.shape[0]
    assert is_near(decoded.pixels, CORNERS, 14)


def test_a_turned_heic_is_turned_once() -> None:
    decoded = decode((DATA / "turned.heic").read_bytes())
    top_left, top_right, bottom_left, bottom_right = CORNERS
    assert (decoded.width, decoded.height) == (SIZE[1], SIZE[0])
    assert is_near(decoded.pixels, (bottom_left, top_left, bottom_right, top_right), 4)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    frames = [Image.new("RGB", SIZE, (shade, 0, 0)) for shade in (0, 100)]
    animation = encoded(picture(), format, save_all=True, append_images=frames)
    assert is_near(decode(animation).pixels, CORNERS, 10)


@pytest.mark.parametrize("size", [(1200, 900), (900, 1203)])
@pytest.mark.parametrize("at_least", [224, 448])
@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP"])
def test_scaled_decoding_shows_the_same(format: str, at_least: int, size: tuple[int, int]) -> None:
    data = encoded(photograph(size), format)
    full, scaled = decode(data), decode(data, at_least=at_least)

    assert (scaled.width, scaled.height) == (full.width, full.height) == size
    assert at_least <= min(scaled.pixels.shape[:2]) < 2 * at_least
    side = at_least // 2  # what such a caller shrinks it to
    assert np.abs(_resized(scaled.pixels, side) - _resized(full.pixels, side)).mean() < 1


def _resized(pixels: Pixels, side: int) -> NDArray[np.int16]:
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small, np.int16)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (20_000, 2)])
def test_strips_are_not_scaled_away(size: tuple[int, int]) -> None:
    for format in ("JPEG", "PNG"):
        decoded = decode(encoded(picture(size), format), at_least=448)
        assert decoded.pixels.shape == (size[1], size[0], 3)


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    limits = DecodeLimits(max_megapixels=0.006)
    words = r"^0\.1 megapixels, the limit is 0\.1; raise --max-megapixels to use it$"
    for data in samples(picture()).values():
        with pytest.raises(ImageError, match=words):
            decode(data, limits=limits)
        assert decode(data, limits=DecodeLimits(max_megapixels=0.0062)).width == SIZE[0]


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageError, match=r"^0\.1 MB, the limit is 0\.1$"):
        decode(bytes(1001), limits=DecodeLimits(max_bytes=1000))


def test_the_global_limit_of_pillow_neither_binds_nor_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name, data in samples(picture()).items():
        try:
            assert decode(data).width == SIZE[0]
        except ImageError:  # newer versions of its plugin must check before they open
            assert name.endswith("webp")
            with pytest.raises(ImageError, match="more megapixels than Pillow opens"):
                decode(data)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pillow_stays_as_the_program_set_it_up() -> None:
    before = sorted(Image.OPEN), ImageFile.LOAD_TRUNCATED_IMAGES
    for data in samples(picture()).values():
        decode(data)
    assert "HEIF" not in Image.OPEN
    assert ImageFile.LOAD_TRUNCATED_IMAGES is before[1] is False


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError("deep"), OverflowError("big"), AttributeError(), OSError()],
)
def test_whatever_a_decoder_raises_is_an_image_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: object) -> None:
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ImageError, match=r"^(the JPEG is damaged|there is not enough memory)"):
        decode(samples(picture())["baseline.jpg"])


def test_many_threads_decode_at_once() -> None:
    work = list(samples(photograph((160, 120))).items()) * 4
    expected = {name: decode(data).pixels for name, data in work[: len(work) // 4]}
    with ThreadPoolExecutor(8) as pool:
        for name, decoded in pool.map(lambda item: (item[0], decode(item[1])), work):
            assert np.array_equal(decoded.pixels, expected[name])


@pytest.mark.parametrize("name", ["rgb.png", "baseline.jpg", "palette.png", "grey.jpg", "lzw.tif"])
def test_a_pillow_image_is_treated_like_its_file(name: str) -> None:
    data = samples(photograph())[name]
    with Image.open(BytesIO(data)) as image:
        ours, theirs = from_image(image), decode(data)
    assert np.array_equal(ours.pixels, theirs.pixels)
    assert (ours.width, ours.height, ours.format) == (theirs.width, theirs.height, theirs.format)


def test_a_pillow_image_is_turned_and_not_changed() -> None:
    image = picture().transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    before = image.tobytes()

    decoded = from_image(image)

    assert (decoded.width, decoded.height, decoded.format) == (*SIZE, "memory")
    assert is_near(decoded.pixels, CORNERS, 0)
    assert image.tobytes() == before
    assert image.getexif()[0x0112] == 6


def test_a_pillow_image_that_cannot_be_read() -> None:
    cut_off = BytesIO(samples(photograph())["rgb.png"][:900])
    with Image.open(cut_off) as image, pytest.raises(ImageError, match="cannot be read"):
        from_image(image)
    with pytest.raises(UsageError, match="no pixels"):
        from_image(Image.new("RGB", (0, 5)))


RGB = np.asarray(picture())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: RGB, RGB),
        (lambda: RGB[::-1, ::-1], RGB[::-1, ::-1]),
        (lambda: RGB.astype(np.float32) / 255, RGB),
        (lambda: RGB.astype(np.float64) / 255, RGB),
        (lambda: RGB[:, :, 0], np.repeat(RGB[:, :, :1], 3, axis=2)),
        (lambda: np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), RGB),
        (lambda: np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)]), np.full_like(RGB, 255)),
    ],
    ids=["rgb", "view", "float32", "float64", "grey", "opaque", "transparent"],
)
def test_arrays(make: Callable[[], NDArray[np.generic]], expected: Pixels) -> None:
    decoded = from_array(make())
    assert np.array_equal(decoded.pixels, expected)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert (decoded.width, decoded.height) == SIZE


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"not \(3, 4, 5\)"),
        (np.zeros(12, np.uint8), r"not \(12,\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((4, 4, 3), np.int64), "not int64"),
        (np.zeros((4, 4), bool), "not bool"),
        (np.full((4, 4), 1.5), "from 0 to 1"),
        (np.full((4, 4), -0.1), "from 0 to 1"),
        (np.full((4, 4), np.nan), "from 0 to 1"),
    ],
)
def test_arrays_that_are_no_image(array: NDArray[np.generic], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_array(array)
