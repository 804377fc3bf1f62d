"""Upright pixels of any size -> the tensor that a model's graph takes."""

import numpy as np
from PIL import Image

from imagefinder.arrays import Pixels, Tensor
from imagefinder.types import ModelSpec

RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def preprocess(image: Pixels, spec: ModelSpec) -> Tensor:
    """(3, size, size), normalised as the row says."""
    tensor = resized(image, spec).transpose(2, 0, 1).astype(np.float32, order="C")
    tensor -= np.array(spec.mean, np.float32)[:, None, None]
    tensor /= np.array(spec.std, np.float32)[:, None, None]
    return tensor


def resized(pixels: Pixels, spec: ModelSpec) -> Pixels:
    """(size, size, 3): the whole picture squashed, or its centre cut, as the row says."""
    image = Image.fromarray(pixels)
    side = (spec.size, spec.size)
    box = centre_square(image.width, image.height) if spec.resize == "crop" else None
    return np.asarray(image.resize(side, RESAMPLE[spec.resample], box=box))


def centre_square(width: int, height: int) -> tuple[float, float, float, float]:
    """The largest centred square, as (left, top, right, bottom)."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)
