"""The pictures of a query as bytes to send: files as they are, what is in memory as PNG."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imagefinder.arrays import Pixels
from imagefinder.decode import from_array, from_image
from imagefinder.errors import FetchError, ImageError
from imagefinder.signatures import refusal, sniff
from imagefinder.sources import Fetcher
from imagefinder.sources.address import redact

if TYPE_CHECKING:
    from imagefinder.query import Picture

HEAD = 64  # bytes that tell a format
UNNAMED = "query"


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image. `name` stands for it in messages. `exact`: no pixel of it may be left out
    when it is read, as a file's may that are more than the model needs."""

    name: str
    data: bytes
    exact: bool = False


def encoded(picture: "Picture", fetcher: Fetcher) -> Encoded:
    """Read on this machine, where the user who names paths and URLs is. What is no image never
    leaves it. Raises ImageError, FetchError."""
    if isinstance(picture, np.ndarray):
        return Encoded(UNNAMED, png(from_array(picture).pixels), exact=True)
    if isinstance(picture, str | Path):
        return checked(read(str(picture), fetcher))
    if isinstance(picture, bytes | bytearray | memoryview):
        return checked(Encoded(UNNAMED, bytes(picture)))
    return Encoded(UNNAMED, png(from_image(picture).pixels), exact=True)


def read(where: str, fetcher: Fetcher) -> Encoded:
    """The bytes of a path or URL."""
    try:
        return Encoded(redact(where), fetcher.read(where))
    except FetchError as error:
        raise FetchError(f"{redact(where)}: {error}") from error


def checked(image: Encoded) -> Encoded:
    """Raises ImageError where the content is none."""
    if not_an_image := problem(image.data):
        raise ImageError(f"{image.name}: {not_an_image}")
    return image


def problem(data: bytes) -> str | None:
    """Why no service could read this, as far as the first bytes tell."""
    head = data[:HEAD]
    return refusal(head) if sniff(head) is None else None


def media_type(data: bytes) -> str:
    """Of an image, by its content."""
    return f"image/{sniff(data[:HEAD]) or '*'}"


def png(pixels: Pixels) -> bytes:
    """Without loss; the quickest compression, since the line is seldom slower."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
