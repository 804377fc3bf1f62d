"""Upright pixels of any size -> the tensor that a model's graph takes."""

from typing import TypeAlias

import numpy as np
from PIL import Image

from imagefinder.arrays import Pixels, Tensor
from imagefinder.types import Preprocessing

Part: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom

RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def preprocess(image: Pixels, how: Preprocessing) -> Tensor:
    """(3, height, width), normalised."""
    tensor = resized(image, how).transpose(2, 0, 1).astype(np.float32, order="C")
    tensor -= np.array(how.mean, np.float32)[:, None, None]
    tensor /= np.array(how.std, np.float32)[:, None, None]
    return tensor


def resized(pixels: Pixels, how: Preprocessing) -> Pixels:
    """(height, width, 3): the whole picture squashed, or its centre cut.

    Only what is kept is resized, which gives the same pixels as to resize all and then cut, since
    Pillow's filters look beyond the box, and takes less time."""
    image = Image.fromarray(pixels)
    box = kept(image.width, image.height, how)
    return np.asarray(image.resize((how.width, how.height), RESAMPLE[how.resample], box=box))


def kept(width: int, height: int, how: Preprocessing) -> Part | None:
    """The part of a picture of `width` x `height` that the model sees; None is all of it."""
    if how.shortest is not None:
        whole = whole_size(width, height, how, how.shortest)
        left, top, right, bottom = cut_from(width, height, how, whole)
    elif how.resize == "crop":
        left, top, right, bottom = largest_centred(width, height, how)
    else:
        return None
    return (max(left, 0), max(top, 0), min(right, width), min(bottom, height))  # rounding


def whole_size(width: int, height: int, how: Preprocessing, shortest: int) -> tuple[int, int]:
    """Of the resized picture before the cut, rounded as transformers does it."""
    if how.resize == "squash":
        return shortest, shortest
    if width <= height:
        return shortest, int(shortest * height / width)
    return int(shortest * width / height), shortest


def cut_from(width: int, height: int, how: Preprocessing, whole: tuple[int, int]) -> Part:
    """Where the middle of the `whole` resized picture lies in the one of `width` x `height`."""
    left, top = (whole[0] - how.width) // 2, (whole[1] - how.height) // 2
    across, down = width / whole[0], height / whole[1]
    right, bottom = left + how.width, top + how.height
    return (left * across, top * down, right * across, bottom * down)


def largest_centred(width: int, height: int, how: Preprocessing) -> Part:
    """The largest centred part of the model's shape."""
    scale = min(width / how.width, height / how.height)
    across, down = how.width * scale, how.height * scale
    left, top = (width - across) / 2, (height - down) / 2
    return (left, top, left + across, top + down)
