"""Bytes, Pillow images and arrays -> upright sRGB pixels, with every guard."""

from imagefinder.decode.image import decode, from_array, from_image
from imagefinder.decode.limits import DecodeLimits

__all__ = ["DecodeLimits", "decode", "from_array", "from_image"]
