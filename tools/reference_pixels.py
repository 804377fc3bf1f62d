"""Decoding and preprocessing as the model card describes them, apart from the package's own code.

What the tools measure and the golden vectors are to stand on their own: a mistake in the package's
preprocessing shows as a difference from these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIZE = 224
MEAN = 127.0
SCALE = 128.0


def upright_rgb(path: Path) -> Image.Image:
    """The whole picture, turned as its EXIF orientation says, transparent parts on white."""
    with Image.open(path) as opened:
        opened.seek(0)
        return on_white(ImageOps.exif_transpose(opened))


def on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def squashed(image: Image.Image) -> NDArray[np.uint8]:
    """224 x 224 x 3, the shape of the picture given up so that nothing of it is lost."""
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def pixel_values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 224, 224, 3) bytes to the model's input, (n, 3, 224, 224)."""
    scaled = (pixels.astype(np.float32) - np.float32(MEAN)) / np.float32(SCALE)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
