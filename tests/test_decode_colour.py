"""Every colour mode and profile comes out as 8-bit sRGB over white."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

from imagefinder.decode import decode, from_image
from imagefinder.decode.colour import _transform
from imagefinder.decode.png import essence
from tests.profiles import grey_profile, press_profile, wide_gamut_profile
from tests.samples import DATA, SIZE, encoded, photograph, picture

Pixels = NDArray[np.uint8]
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def difference(pixels: Pixels, expected: object) -> int:
    """The largest, in levels of 255."""
    return int(np.abs(pixels.astype(np.int16) - np.asarray(expected, np.int16)).max())


def rgb(grey: NDArray[np.generic]) -> Pixels:
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def deep(values: NDArray[np.uint16]) -> Image.Image:
    return Image.frombytes("I;16", values.shape[::-1], values.astype("<u2").tobytes())


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped(format: str) -> None:
    data = encoded(deep(LEVELS.astype(np.uint16) * 257), format)
    assert np.array_equal(decode(data).pixels, rgb(LEVELS))


def test_16_bits_of_grey_and_of_colour_agree() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    grey = decode(encoded(deep(values), "PNG")).pixels
    assert np.array_equal(grey, decode(png_of_16_bit_colour(values)).pixels)


def png_of_16_bit_colour(values: NDArray[np.uint16]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = values.shape
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_white_may_be_zero_and_samples_may_have_12_bits() -> None:
    tiff = encoded(deep(LEVELS.astype(np.uint16) * 257), "TIFF")
    photometric = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    white_is_zero = tiff.replace(photometric + b"\1", photometric + b"\0")
    assert np.array_equal(decode(white_is_zero).pixels, rgb(255 - LEVELS))

    bits = b"\x02\x01\x03\x00\x01\x00\x00\x00"
    pairs = LEVELS.reshape(-1, 2).astype(np.uint16) * 16
    packed = np.stack([pairs[:, 0] >> 4, pairs[:, 0] % 16 * 16 + (pairs[:, 1] >> 8), pairs[:, 1]])
    twelve = tiff.replace(bits + b"\x10", bits + b"\x0c")
    pixels = LEVELS.astype("<u2") * 257
    twelve = twelve.replace(pixels.tobytes(), packed.T.astype(np.uint8).tobytes().ljust(512, b"\0"))
    assert np.array_equal(decode(twelve).pixels, rgb(LEVELS))


@pytest.mark.parametrize(
    "values",
    [
        LEVELS.astype(np.float32) / 255,
        LEVELS.astype(np.float32),
        LEVELS.astype(np.float32) * 257,
        LEVELS.astype(np.float32) * 1e30 - 1e32,
        LEVELS.astype(np.int32),
        LEVELS.astype(np.int32) * 257,
        LEVELS.astype(np.int32) * 8_000_000,
        LEVELS.astype(np.int32) * 10_000 - 1_000_000,
    ],
    ids=["0..1", "0..255", "0..65535", "any", "8 bits", "16 bits", "31 bits", "signed"],
)
def test_numbers_are_spread(values: NDArray[np.float32] | NDArray[np.int32]) -> None:
    assert difference(decode(encoded(Image.fromarray(values), "TIFF")).pixels, rgb(LEVELS)) <= 1


@pytest.mark.parametrize("value", [0.0, -5.0, 1e38, np.nan, np.inf, 1e-45])
def test_numbers_that_cannot_be_spread_still_decode(value: float) -> None:
    values = np.full((4, 4), value, np.float32)
    assert decode(encoded(Image.fromarray(values), "TIFF")).pixels.shape == (4, 4, 3)


def see_through() -> Image.Image:
    image = picture()
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_over_white(mode: str, format: str) -> None:
    image = see_through().convert(mode)
    colours = np.asarray(image.convert("RGBA"), np.float64)
    alpha = colours[:, :, 3:] / 255
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}

    pixels = decode(encoded(image, format, **options)).pixels

    assert difference(pixels, colours[:, :, :3] * alpha + 255 * (1 - alpha)) <= 1


def test_alpha_of_heif_and_avif() -> None:
    heif = decode((DATA / "alpha.heic").read_bytes()).pixels
    assert (heif[40:, 56:] >= 250).all()
    avif = decode(encoded(Image.new("RGBA", SIZE, (255, 0, 0, 0)), "AVIF")).pixels
    assert (avif >= 250).all()


def test_opaque_alpha_changes_nothing() -> None:
    assert np.array_equal(
        decode(encoded(photograph().convert("RGBA"), "PNG")).pixels, np.asarray(photograph())
    )


def test_colours_under_full_transparency_do_not_show_when_scaled() -> None:
    image = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 201, 400))
    pixels = decode(encoded(image, "PNG"), at_least=100).pixels
    assert np.array_equal(pixels[:, :49], np.broadcast_to((0, 0, 255), (100, 49, 3)))
    assert (pixels[:, 51:] == 255).all()
    assert (pixels[:, 50, 2] == 255).all()  # blue and white mix to light blue, never to purple
    assert (pixels[:, 50, 0] == pixels[:, 50, 1]).all()


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(format: str) -> None:
    image = Image.new("P", SIZE, 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 48, 64))
    pixels = decode(encoded(image, format, transparency=0)).pixels
    assert (pixels[:, :48] == 255).all()
    assert np.array_equal(pixels[:, 48:], np.broadcast_to((0, 0, 255), (64, 48, 3)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_colour_is_white(mode: str) -> None:
    image = Image.new("RGB", SIZE, "white")
    image.paste("black", (0, 0, 48, 64))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    key = image.getpixel((0, 0))
    assert (decode(encoded(image, "PNG", transparency=key)).pixels == 255).all()


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_inks_become_colours(format: str) -> None:
    options = {"quality": 98} if format == "JPEG" else {}
    pixels = decode(encoded(picture().convert("CMYK"), format, **options)).pixels
    assert difference(pixels, picture()) <= 6


def test_ycck_as_photoshop_writes_it() -> None:
    """The three colours of an Adobe JPEG in four inks may be stored as YCbCr of the inverse."""
    bands = ImageChops.invert(picture()).convert("YCbCr").split()
    stored = Image.merge(
        "CMYK", [*(ImageChops.invert(band) for band in bands), Image.new("L", SIZE)]
    )
    jpeg = encoded(stored, "JPEG", quality=98)
    at = jpeg.index(b"Adobe\0") + 11
    assert jpeg[at] == 0
    assert difference(decode(jpeg[:at] + b"\2" + jpeg[at + 1 :]).pixels, picture()) <= 8


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "HSV", "RGBX", "RGBa", "La", "PA", "1"])
def test_modes_that_only_a_program_makes(mode: str) -> None:
    source = picture()
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
        image = ImageCms.applyTransform(source, to_lab)
        image.info.clear()
    else:
        source = source.convert("L") if mode == "La" else source
        image = {"La": lambda: source.convert("LA"), "RGBa": lambda: source.convert("RGBA")}.get(
            mode, lambda: source
        )()
        image = image.convert("P").convert(mode) if mode == "PA" else image.convert(mode)
    tolerance = {"PA": 255, "1": 255, "LAB": 8}.get(mode, 4)  # a web palette, and dots
    pixels = from_image(image).pixels
    assert difference(pixels, source.convert("RGB")) <= tolerance
    if mode in ("PA", "1"):
        assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


def test_lab_tiff() -> None:
    tiff = encoded(Image.new("LAB", (4, 4), (120, 183, 177)), "TIFF")  # made of (200, 60, 30)
    assert difference(decode(tiff).pixels, np.broadcast_to((200, 60, 30), (4, 4, 3))) <= 3


def p3_to_srgb(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """By the definition of both spaces, independent of any library."""
    p3 = np.array(
        [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
    )
    srgb = np.array(
        [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
    )
    linear = np.linalg.inv(srgb) @ p3 @ (np.array(colour) / 255) ** 2.2
    linear = linear.clip(0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curve * 255


@pytest.mark.parametrize("colour", [(200, 60, 60), (60, 180, 90), (128, 128, 128), (255, 255, 255)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_wide_gamut_becomes_srgb(format: str, colour: tuple[int, int, int]) -> None:
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    image = Image.new("RGB", (32, 32), colour)
    data = encoded(image, format, icc_profile=wide_gamut_profile(), **options.get(format, {}))

    pixels = decode(data).pixels

    assert difference(pixels, np.broadcast_to(p3_to_srgb(colour), (32, 32, 3))) <= 3
    if colour == (200, 60, 60):
        assert pixels[0, 0, 0] > 205
        assert pixels[0, 0, 1] < 55


def test_an_srgb_profile_changes_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = photograph()
    assert np.array_equal(decode(encoded(image, "PNG", icc_profile=srgb)).pixels, np.asarray(image))


def test_an_srgb_profile_costs_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert _transform(srgb, "RGB") is None
    assert _transform(wide_gamut_profile(), "RGB") is not None


def test_a_profile_that_is_a_bomb_is_not_unpacked() -> None:
    bomb = encoded(picture(), "PNG", icc_profile=bytes(9_000_000))
    assert essence(bomb).profile is None
    assert essence(encoded(picture(), "PNG", icc_profile=b"x" * 999)).profile == b"x" * 999


def test_profiles_of_grey() -> None:
    image = Image.new("L", (8, 8), 128)
    assert difference(decode(encoded(image, "PNG", icc_profile=grey_profile(1.0))).pixels, 188) <= 1
    wide = decode(encoded(image, "PNG", icc_profile=wide_gamut_profile())).pixels
    assert difference(wide, np.broadcast_to(p3_to_srgb((128, 128, 128)), (8, 8, 3))) <= 2


def test_profiles_of_inks() -> None:
    def ink(c: int, m: int, y: int, k: int) -> tuple[float, float, float]:
        """Roughly what offset printing makes of cyan, and paper for everything else."""
        return (55, -37, -50) if (c, m, y, k) == (1, 0, 0, 0) else (100, 0, 0)

    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    plain = decode(encoded(cyan, "TIFF")).pixels
    assert difference(plain, np.broadcast_to((0, 255, 255), (32, 32, 3))) == 0
    for format in ("TIFF", "JPEG"):
        red, green, blue = decode(encoded(cyan, format, icc_profile=press_profile(ink))).pixels[
            9, 9
        ]
        assert red < 60
        assert 120 < green < 170
        assert blue > 190


@pytest.mark.parametrize(
    "profile",
    [
        b"x",
        bytes(500),
        wide_gamut_profile()[:300],
        grey_profile(1.0),
        press_profile(lambda *_: (50, 0, 0)),
    ],
)
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    image = photograph()
    assert np.array_equal(
        decode(encoded(image, "PNG", icc_profile=profile)).pixels, np.asarray(image)
    )


def test_a_pillow_image_keeps_its_profile() -> None:
    data = encoded(Image.new("RGB", (8, 8), (200, 60, 60)), "PNG", icc_profile=wide_gamut_profile())
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(from_image(image).pixels, decode(data).pixels)
