"""Prints which scores the built-in model gives to pairs of demo images, as a Markdown table.

    python tools/measure_scores.py

The altered images are made of 60 of them, drawn at random; the last three rows are of all images.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imagefinder.decode import decode, from_image
from imagefinder.models import load_embedder
from imagefinder.protocols import Embedder
from imagefinder.types import Decoded

DEMO = Path(__file__).resolve().parents[1] / "src/imagefinder/demo"
DRAWN = 60
HALF, NINE_TENTHS = (25, 75), (5, 95)  # percentiles

Values = NDArray[np.float64]


def main() -> None:
    embedder = load_embedder()
    with (DEMO / "images.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    files = [(DEMO / row["url"]).read_bytes() for row in rows]
    pictures = [decode(data, at_least=embedder.spec.decode_size) for data in files]
    embeddings = embedded(embedder, pictures)
    print("| the other image is | median | half of them | nine tenths |\n| --- | --- | --- | --- |")
    drawn = np.random.default_rng(0).choice(len(files), DRAWN, replace=False)
    originals = [Image.fromarray(decode(files[index]).pixels) for index in drawn]
    for name, alter in ALTERATIONS.items():
        altered = embedded(embedder, (alter(image) for image in originals))
        print_row(f"the same, {name}", np.sum(embeddings[drawn] * altered, axis=1))
    print_pairs(embeddings, np.array([row["label"] for row in rows]))


def embedded(embedder: Embedder, pictures: Iterable[Decoded]) -> Values:
    """(n, dim), one row a picture."""
    tensors = [embedder.preprocess(picture.pixels) for picture in pictures]
    return embedder.embed(np.stack(tensors)).astype(np.float64)


def print_pairs(embeddings: Values, labels: NDArray[np.str_]) -> None:
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    print_row("the closest one in the collection", scores.max(axis=1))
    pair = np.triu(np.ones(scores.shape, bool), k=1)
    same = labels[:, None] == labels[None, :]
    print_row("one of the same label (any cat for a cat)", scores[pair & same])
    print_row("one of another label", scores[pair & ~same])


def print_row(name: str, scores: Values) -> None:
    half, nine_tenths = (
        " to ".join(f"{score:.2f}" for score in np.percentile(scores, part))
        for part in (HALF, NINE_TENTHS)
    )
    print(f"| {name} | {np.median(scores):.2f} | {half} | {nine_tenths} |", flush=True)


def as_jpeg(image: Image.Image) -> Decoded:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return decode(buffer.getvalue())


def half_the_size(image: Image.Image) -> Decoded:
    size = (image.width // 2, image.height // 2)
    return from_image(image.resize(size, Image.Resampling.LANCZOS))


def cut(image: Image.Image) -> Decoded:
    width, height = image.size
    return from_image(image.crop((width // 10, height // 10, width * 9 // 10, height * 9 // 10)))


ALTERATIONS: dict[str, Callable[[Image.Image], Decoded]] = {
    "as JPEG of quality 50": as_jpeg,
    "mirrored": lambda image: from_image(ImageOps.mirror(image)),
    "at half the size": half_the_size,
    "10% cut off at each side": cut,
    "in grey": lambda image: from_image(image.convert("L")),
    "turned by 90 degrees": lambda image: from_image(image.transpose(Image.Transpose.ROTATE_90)),
}


if __name__ == "__main__":
    main()
