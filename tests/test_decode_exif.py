"""Date, camera and place; whatever is broken is left out."""

from datetime import datetime
from io import BytesIO

import pytest
from PIL import Image

from imagefinder.decode import decode, from_image
from imagefinder.types import Exif
from tests.samples import DATA, encoded, picture

EXIF, GPS = 0x8769, 0x8825
HERE = {1: "N", 2: (52.0, 30.0, 36.0), 3: "E", 4: (13.0, 22.0, 30.0)}


def tags(
    *, make: object = None, model: object = None, date: object = None, original: object = None,
    gps: dict[int, object] | None = None,
) -> Image.Exif:  # fmt: skip
    exif = Image.Exif()
    for tag, value in ((0x010F, make), (0x0110, model), (0x0132, date)):
        if value is not None:
            exif[tag] = value
    if original is not None:
        exif.get_ifd(EXIF)[0x9003] = original
    if gps is not None:
        exif.get_ifd(GPS).update(gps)
    return exif


def read(exif: Image.Exif, format: str = "JPEG") -> Exif:
    return decode(encoded(picture(), format, exif=exif.tobytes())).exif


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_format_carries_it(format: str) -> None:
    exif = tags(
        make="Acme",
        model="One",
        date="2020:01:01 00:00:00",
        original="2021:06:01 12:34:56",
        gps=HERE,
    )
    assert read(exif, format) == Exif(
        datetime(2021, 6, 1, 12, 34, 56),
        "Acme One",
        pytest.approx(52.51),
        pytest.approx(13.375),
    )


def test_heif_carries_it() -> None:
    exif = decode((DATA / "turned.heic").read_bytes()).exif
    assert exif == Exif(datetime(2021, 6, 1, 12, 34, 56), "Acme One")


def test_none_is_none() -> None:
    for format in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
        assert decode(encoded(picture(), format)).exif == Exif()


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("samsung", "SM-G991B\0\0\0", "samsung SM-G991B"),
        ("  OLYMPUS IMAGING CORP.  ", "E-M5\0garbage", "OLYMPUS IMAGING CORP. E-M5"),
        (None, "Pixel 7", "Pixel 7"),
        ("Acme", None, "Acme"),
        ("\0\0", "   ", None),
        ("A\nB", "C\tD", "A B C D"),
        ("x" * 500, "y", "x" * 100 + " y"),
    ],
)
def test_camera(make: object, model: object, camera: str | None) -> None:
    assert read(tags(make=make, model=model)).camera == camera


@pytest.mark.parametrize(
    ("date", "original", "expected"),
    [
        ("2020:02:29 23:59:59", None, (2020, 2, 29, 23, 59, 59)),
        ("2020-02-29T23:59:59", None, (2020, 2, 29, 23, 59, 59)),
        ("2020:02:29 23:59:59\0", None, (2020, 2, 29, 23, 59, 59)),
        ("2020:02:29 10:00:00", "0000:00:00 00:00:00", (2020, 2, 29, 10, 0, 0)),
        ("2021:02:29 23:59:59", None, None),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("yesterday", "", None),
        (20200229, None, None),
    ],
)
def test_date(date: object, original: object, expected: tuple[int, ...] | None) -> None:
    assert read(tags(date=date, original=original)).date == (expected and datetime(*expected))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({}, (52.51, 13.375)),
        ({1: "S", 3: "W"}, (-52.51, -13.375)),
        ({1: "s\0"}, (-52.51, 13.375)),
        ({2: (52.51,)}, (52.51, 13.375)),
        ({2: (90.0, 30.0, 0.0)}, None),
        ({4: (181.0, 0.0, 0.0)}, None),
        ({1: "X"}, None),
        ({1: ""}, None),
    ],
)
def test_place(change: dict[int, object], place: tuple[float, float] | None) -> None:
    exif = read(tags(gps=HERE | change))
    found = (exif.latitude, exif.longitude)
    assert found == (pytest.approx(place) if place else (None, None))


def test_half_a_place_is_none() -> None:
    exif = read(tags(gps={1: "N", 2: (52.0, 30.0, 36.0)}))
    assert (exif.latitude, exif.longitude) == (None, None)


def test_a_place_without_denominators_is_none() -> None:
    one = (1).to_bytes(4, "big")
    block = tags(gps={**HERE, 2: (1.0, 1.0, 1.0)}).tobytes()
    assert one + one in block
    jpeg = encoded(picture(), "JPEG", exif=block.replace(one + one, one + bytes(4)))
    assert decode(jpeg).exif == Exif()


def test_a_pillow_image_brings_its_tags() -> None:
    with Image.open(BytesIO(encoded(picture(), "JPEG", exif=tags(make="Acme")))) as image:
        assert from_image(image).exif.camera == "Acme"
