"""What the camera wrote: turn, date, camera and place."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import TypeVar

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from imagefinder.types import Exif

_T = TypeVar("_T")
_Tags = Mapping[int, object]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_Place = tuple[float | None, float | None]
_NOWHERE: _Place = (None, None)
_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")


def read_exif(image: Image.Image) -> tuple[Exif, Image.Transpose | None]:
    """The tags, and the turn that makes the image upright. Broken EXIF counts as none."""
    tags = _tolerant(image.getexif, Image.Exif())
    detail = _tolerant(lambda: tags.get_ifd(IFD.Exif), dict[int, object]())
    place = _tolerant(lambda: _place(tags.get_ifd(IFD.GPSInfo)), _NOWHERE)
    exif = Exif(
        date=_tolerant(lambda: _date(detail.get(Base.DateTimeOriginal)), None)
        or _tolerant(lambda: _date(tags.get(Base.DateTimeOriginal)), None)  # misplaced, but seen
        or _tolerant(lambda: _date(tags.get(Base.DateTime)), None),
        camera=_tolerant(lambda: _camera(tags.get(Base.Make), tags.get(Base.Model)), None),
        latitude=place[0],
        longitude=place[1],
    )
    return exif, _tolerant(lambda: _TURNS.get(tags.get(Base.Orientation, 1)), None)


def _tolerant(read: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return read()
    except Exception:  # noqa: BLE001 - a parser of foreign bytes; the picture counts, not its tags
        return otherwise


def _date(value: object) -> datetime | None:
    match = _DATE.match(_text(value))
    return datetime(*(int(part) for part in match.groups())) if match else None  # type: ignore[arg-type]


def _camera(make: object, model: object) -> str | None:
    """`NIKON CORPORATION` and `NIKON D750` make `NIKON D750`."""
    make, model = _text(make), _text(model)
    if make and model.lower().startswith(make.split()[0].lower()):
        return model
    return f"{make} {model}".strip() or None


def _place(gps: _Tags) -> _Place:
    """Latitude and longitude; both or none."""
    latitude = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "EW", 180)
    return _NOWHERE if latitude is None or longitude is None else (latitude, longitude)


def _degrees(value: object, hemisphere: object, letters: str, most: int) -> float | None:
    """From degrees, minutes and seconds, of which the last ones may be missing."""
    parts = value if isinstance(value, tuple) else (value,)
    degrees = sum((float(part) / 60**place for place, part in enumerate(parts)), 0.0)
    letter = _text(hemisphere).upper()[:1]
    if not letter or letter not in letters or not isfinite(degrees) or not 0 <= degrees <= most:
        return None
    return -degrees if letter == letters[1] else degrees


def _text(value: object) -> str:
    """Up to the first NUL, on one line. Pillow reads Latin-1 where cameras also write UTF-8."""
    if not isinstance(value, (str, bytes)):
        return ""
    raw = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
    raw = raw.split(b"\0")[0]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:100]
