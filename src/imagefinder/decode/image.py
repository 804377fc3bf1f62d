"""Bytes, Pillow images and arrays -> upright sRGB pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imagefinder.decode.colour import to_srgb
from imagefinder.decode.exif import read_exif
from imagefinder.decode.formats import open_image
from imagefinder.decode.limits import DEFAULT_LIMITS, DecodeLimits
from imagefinder.decode.reasons import translated
from imagefinder.decode.silence import silence
from imagefinder.errors import ImageError, UsageError
from imagefinder.signatures import refusal, sniff
from imagefinder.types import Decoded, Exif

_HEAD = 64  # bytes that tell a format
_IN_MEMORY = "memory"  # the format of what never was a file


def decode(
    data: bytes, *, at_least: int | None = None, limits: DecodeLimits = DEFAULT_LIMITS
) -> Decoded:
    """The first picture of an image file, by its content.

    `at_least`: the caller needs no side to be longer than this, in pixels. The picture may then
    come smaller, at a fraction of the time and memory. Raises ImageError, whose message is the
    reason alone.
    """
    limits.check_bytes(len(data))
    format = sniff(data[:_HEAD])
    if format is None:
        raise ImageError(refusal(data[:_HEAD]))
    with silence():
        try:
            return _decoded(data, format, at_least, limits)
        except ImageError:
            raise
        except Exception as error:
            raise translated(error, data, format) from error


def _decoded(data: bytes, format: str, at_least: int | None, limits: DecodeLimits) -> Decoded:
    with open_image(data, format, limits) as image:
        width, height = image.size
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        return _finished(image, (width, height), format, at_least)


def _finished(
    image: Image.Image, size: tuple[int, int], format: str, at_least: int | None = None
) -> Decoded:
    image.load()
    exif, turn = read_exif(image)
    upright = to_srgb(image, at_least)
    width, height = size
    if turn is not None:
        upright = upright.transpose(turn)
        if turn in _ON_ITS_SIDE:
            width, height = height, width
    return Decoded(np.asarray(upright), width, height, format, exif)


_ON_ITS_SIDE = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


def from_image(image: Image.Image) -> Decoded:
    """By the rules of a file: EXIF turn, colour profile, white behind what is transparent."""
    format = (image.format or _IN_MEMORY).lower()
    if 0 in image.size:
        raise UsageError("the image has no pixels")
    with silence():
        try:
            image.load()
            return _finished(image, image.size, "jpeg" if format == "mpo" else format)
        except Exception as error:
            raise ImageError(f"the image cannot be read: {error}") from error


def from_array(array: NDArray[np.generic]) -> Decoded:
    """(h, w), (h, w, 3) or (h, w, 4) of uint8, or of floats from 0 to 1; sRGB, alpha over white."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise UsageError(
            f"an array of an image is (h, w), (h, w, 3) or (h, w, 4), not {array.shape}"
        )
    if 0 in array.shape:
        raise UsageError(f"the array has no pixels: {array.shape}")
    levels = _levels(array)
    if levels.ndim == 2:
        levels = np.repeat(levels[:, :, None], 3, axis=2)
    elif levels.shape[2] == 4:
        alpha = levels[:, :, 3:].astype(np.float32) / 255
        levels = np.rint(levels[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    pixels = np.ascontiguousarray(levels)
    return Decoded(pixels, pixels.shape[1], pixels.shape[0], _IN_MEMORY, Exif())


def _levels(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"an array of an image is uint8 or floats from 0 to 1, not {array.dtype}")
    values = array.astype(np.float32)
    if not (values.min() >= 0 and values.max() <= 1):  # so that NaN fails, too
        raise UsageError("an array of floats has values from 0 to 1")
    return np.rint(values * 255).astype(np.uint8)
