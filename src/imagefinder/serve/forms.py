"""From a multipart form to what the library takes."""

import math
from collections.abc import Sequence

from fastapi import UploadFile

from imagefinder.errors import UsageError
from imagefinder.query import IdPart, ImagePart, Part, Query, TextPart, parse_box
from imagefinder.types import Box

MAX_PARTS = 32  # of one query


async def read_files(files: Sequence[UploadFile]) -> list[tuple[str, bytes]]:
    """Name and bytes of each; a file field that a browser sends empty is left out."""
    found = [(base_name(file.filename or ""), await file.read()) for file in files]
    return [(name, data) for name, data in found if name or data]


def base_name(name: str) -> str:
    """Some clients send the whole path of their own machine."""
    return name.replace("\\", "/").rpartition("/")[2].strip()


def query_of(
    images: Sequence[bytes],
    ids: Sequence[str],
    texts: Sequence[str],
    boxes: Sequence[str],
    weights: str | None,
) -> Query:
    """The parts in this order, `boxes` for the images, `weights` for all. Raises UsageError."""
    if not (count := len(images) + len(ids) + len(texts)):
        raise UsageError("nothing to search with; give an image, a url, an id or a text")
    if count > MAX_PARTS:
        raise UsageError(f"{count} parts of a query, the limit is {MAX_PARTS}")
    if len(boxes) > len(images):
        raise UsageError(f"{len(boxes)} boxes for {len(images)} images")
    weighing = iter(weights_of(weights, count))
    cut: list[Box | None] = [parse_box(box) if box else None for box in boxes]
    cut += [None] * (len(images) - len(cut))
    parts: list[Part] = [
        ImagePart(image, next(weighing), box) for image, box in zip(images, cut, strict=True)
    ]
    parts += [IdPart(id, next(weighing)) for id in ids]
    parts += [TextPart(text, next(weighing)) for text in texts]
    return Query(tuple(parts))


def weights_of(text: str | None, count: int) -> list[float]:
    """One number a part, 1 where none are given."""
    if not text:
        return [1.0] * count
    try:
        weights = [float(number) for number in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != count or not all(map(math.isfinite, weights)):
        raise UsageError(f"weights: {count} numbers with commas between them, one for each part")
    return weights
