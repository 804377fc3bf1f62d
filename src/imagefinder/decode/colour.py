"""Any colour mode -> 8-bit sRGB over white."""

from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

if TYPE_CHECKING:  # colour management is loaded only for images that bring a profile
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

_NEARLY = 2  # levels of 255; a profile that changes no colour by more is taken for sRGB


def to_srgb(image: Image.Image, at_least: int | None) -> Image.Image:
    """RGB, loaded; shrunk by a whole factor where both sides stay `at_least` long."""
    profile = image.info.get("icc_profile")
    image = _shrunk(_eight_bits(image), at_least)
    return _in_srgb(_over_white(image), profile)


def _eight_bits(image: Image.Image) -> Image.Image:
    """One of L, LA, RGB, RGBA, CMYK."""
    mode = image.mode
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image.convert("RGBA") if _has_transparent_colour(image) else image
    if mode in ("1", "P", "PA"):
        return image.convert("RGBA" if mode == "PA" or _has_transparent_colour(image) else "RGB")
    if mode.startswith("I;16"):
        return _from_16_bits(image)
    if mode in ("I", "F"):
        return Image.fromarray(_spread(np.asarray(image)))
    if mode == "LAB":
        return _from_lab(image)
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, "RGB"))


def _has_transparent_colour(image: Image.Image) -> bool:
    return "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits, which is what Pillow takes of 16-bit RGB."""
    values, bits = np.asarray(image), 16
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(BITSPERSAMPLE, (16,))[0]
        if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
            values = (1 << bits) - 1 - values
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _spread(values: NDArray[np.int32] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Numbers without a declared range, to 0..255.

    The usual ranges (0..1 of floats, 8 bits, 16 bits) are told by the largest value; anything
    else is stretched from its least to its largest.
    """
    known = (1, 255, 65535) if values.dtype == np.float32 else (255, 65535)
    finite = np.nan_to_num(values.astype(np.float32), nan=0, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= known[-1]:
        low, high = 0.0, next(top for top in known if high <= top)
    scale = 255 / ((high - low) or 1)
    with np.errstate(all="ignore"):  # a range that is hardly one, such as 1e-45
        levels = np.nan_to_num(finite * scale - low * scale).clip(0, 255)
    return np.asarray(np.rint(levels), np.uint8)


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.ImageCmsTransform(lab, _srgb(), "LAB", "RGB").apply(image)


def _shrunk(image: Image.Image, at_least: int | None) -> Image.Image:
    factor = min(image.size) // at_least if at_least else 1
    return image.reduce(factor) if factor > 1 else image


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    alpha, opaque = image.getchannel("A"), image.mode.removesuffix("A")
    if alpha.getextrema() == (255, 255):
        return image.convert(opaque)
    white = Image.new(opaque, image.size, "white")
    white.paste(image.convert(opaque), mask=alpha)
    return white


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and profile:
        transform = _transform(profile, image.mode)
        if transform is None and image.mode == "L":  # a grey picture in a colour profile
            image = image.convert("RGB")
            transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """None where the profile is broken, for another mode, or as good as sRGB."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB")
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # noqa: BLE001 - foreign bytes; without the profile the colours are near
        return None


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    if mode == "CMYK":
        return False
    colours = _colours()
    probe = colours.convert(mode)
    difference = np.asarray(transform.apply(probe), np.int16) - np.asarray(probe.convert("RGB"))
    return int(np.abs(difference).max()) <= _NEARLY


@cache
def _colours() -> Image.Image:
    """6 levels of each channel, every mix of them."""
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    mixes = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(np.ascontiguousarray(mixes.reshape(6, 36, 3)))


@cache
def _srgb() -> "ImageCmsProfile":
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
