"""Bytes, Pillow images and arrays -> upright sRGB pixels, with every guard."""

from imagefinder.decode.image import decode, from_array, from_image
from imagefinder.decode.limits import DEFAULT_LIMITS, DecodeLimits

__all__ = ["DEFAULT_LIMITS", "DecodeLimits", "decode", "from_array", "from_image"]
