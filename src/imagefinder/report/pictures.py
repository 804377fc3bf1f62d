"""Thumbnails in a page: strips of framed ones, and a map on which like lies beside like."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imagefinder.arrays import Pixels
from imagefinder.decode import decode
from imagefinder.report.page import card, shown

SIDE = 200  # pixels of the longer side: sharp at 120 on screens of high density
MAP_SIDE = 64
CELLS = 18  # places of a map in a row: one picture each

Frame: TypeAlias = Literal["", "good", "bad", "query"]
Points: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail as JPEG, None where there is none, with what is written below it. The frame says
    what it is: a right answer (`good`), a wrong one (`bad`), or what was searched with."""

    jpeg: bytes | None
    caption: str
    frame: Frame = ""


def thumbnail(data: bytes, side: int = SIDE) -> bytes:
    """The bytes of an image -> those of a small upright JPEG. Raises ImageError."""
    return shrunk(decode(data, at_least=side).pixels, side)


def shrunk(pixels: Pixels, side: int = SIDE) -> bytes:
    """Pixels -> the bytes of a JPEG, its longer side at most so long."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def strip(pictures: Iterable[Picture], *, title: str = "", note: str = "") -> str:
    """Pictures in rows; nothing where there are none."""
    figures = "".join(map(figure, pictures))
    return card(f'<div class="strip">{figures}</div>', title, note) if figures else ""


def figure(picture: Picture) -> str:
    """One of a strip. What a frame means is also said in words, for those who cannot see it."""
    words = {"": "", "good": "right: ", "bad": "wrong: ", "query": "searched with: "}
    if picture.jpeg is None:
        content = '<span class="missing">no picture</span>'
    else:
        alt = shown(words[picture.frame] + picture.caption)
        content = f'<img alt="{alt}" decoding="async" src="{data_url(picture.jpeg)}">'
    return (
        f'<figure class="{picture.frame}"><div class="frame">{content}</div>'
        f'<figcaption title="{shown(picture.caption)}">{shown(picture.caption)}</figcaption>'
        "</figure>"
    )


def picture_map(
    points: Points, jpegs: Sequence[bytes], names: Sequence[str], *, title: str, note: str = ""
) -> str:
    """(n, 2) points between 0 and 1 -> their pictures there, those that have room: of each of the
    map's 18 x 18 places the one that is nearest to its middle."""
    margin = 0.5 / CELLS
    images = []
    for number in in_places(points):
        left, top = margin + points[number] * (1 - 2 * margin)
        images.append(
            f'<img alt="" title="{shown(names[number])}" decoding="async"'
            f' style="left: {left:.2%}; top: {1 - top:.2%}"'
            f' src="{data_url(smaller(jpegs[number]))}">'
        )
    if not images:
        return ""
    content = f'<div class="map" role="img" aria-label="{shown(title)}">{"".join(images)}</div>'
    return card(content, title, note)


def in_places(points: Points) -> list[int]:
    """The number of the point for each place of the map that has any, in the order of the points'
    numbers."""
    places = np.clip((points * CELLS).astype(int), 0, CELLS - 1)
    away = np.square(points * CELLS - places - 0.5).sum(axis=1)
    nearest: dict[tuple[int, int], int] = {}
    for number in np.argsort(away, kind="stable").tolist():
        nearest.setdefault((int(places[number, 0]), int(places[number, 1])), number)
    return sorted(nearest.values())


def smaller(jpeg: bytes) -> bytes:
    """For a map, which has hundreds."""
    with Image.open(BytesIO(jpeg)) as image:
        return shrunk(np.asarray(image.convert("RGB")), MAP_SIDE)


def data_url(jpeg: bytes) -> str:
    """The picture inside the page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
