"""Prints how often an altered demo image still finds the image that it was made of.

pip install onnx onnxruntime pillow
python tools/measure_robustness.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from builtin_sessions import embedding_session
from fitting_set import features, unit
from reference_pixels import squashed, upright_rgb
from retrieval_quality import demo_images

ALMOST_WHITE = 245


def _with_margin(factor: float) -> Callable[[Image.Image], Image.Image]:
    def widened(image: Image.Image) -> Image.Image:
        size = (int(image.width * factor), int(image.height * factor))
        paper = Image.new("RGB", size, "white")
        paper.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
        return paper

    return widened


def _small(side: int) -> Callable[[Image.Image], Image.Image]:
    def shrunk(image: Image.Image) -> Image.Image:
        longer = max(image.size)
        width, height = image.width * side // longer, image.height * side // longer
        return image.resize((max(1, width), max(1, height)))

    return shrunk


def _on_black(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    paper = pixels.min(axis=2, keepdims=True) >= ALMOST_WHITE
    return Image.fromarray(np.where(paper, 0, pixels).astype(np.uint8))


def _middle(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 4, height // 4, width * 3 // 4, height * 3 // 4))


def _outlines(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("L").filter(ImageFilter.FIND_EDGES)).convert("RGB")


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": ImageOps.mirror,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "negative": ImageOps.invert,
    "white made black": _on_black,
    "64 px": _small(64),
    "32 px": _small(32),
    "a white margin, twice as wide": _with_margin(2),
    "a white margin, three times as wide": _with_margin(3),
    "the middle, half of each side": _middle,
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "outlines only": _outlines,
}


def main() -> None:
    session = embedding_session()
    images = [upright_rgb(path) for path in demo_images()[0]]
    originals = unit(features(session, (squashed(image) for image in images)))
    print(f"{len(images)} images; found first, among the first 10, and the score of the original")
    for name, alter in ALTERATIONS.items():
        queries = unit(features(session, (squashed(alter(image)) for image in images)))
        _print_ranks(name, queries @ originals.T)


def _print_ranks(name: str, scores: NDArray[np.float64]) -> None:
    own = np.diag(scores)
    before = (scores > own[:, None]).sum(axis=1)
    first, in_ten = (before == 0).mean(), (before < 10).mean()
    print(
        f"{name}: {first:.3f}, {in_ten:.3f}, median {np.median(own):.2f}, "
        f"5% {np.percentile(own, 5):.2f}"
    )


if __name__ == "__main__":
    main()
