"""From a multipart form to what the library takes."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from fastapi import HTTPException, Request, UploadFile
from pydantic import JsonValue

from imagefinder.errors import UsageError
from imagefinder.query import IdPart, ImagePart, Part, Query, TextPart, parse_box
from imagefinder.types import Box

MAX_PARTS = 32  # of one query
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
PATCHES = ("application/json", "application/merge-patch+json")


async def form(request: Request) -> None:
    """Raises 415 for a body that is no form; its fields would seem to be missing."""
    check_kind(request, FORMS)


async def merge_patch(request: Request) -> None:
    """Raises 415 for a body that is no JSON."""
    check_kind(request, PATCHES)


def check_kind(request: Request, kinds: Sequence[str]) -> None:
    """Raises 415. A body that does not tell what it is passes."""
    kind = kind_of_body(request)
    if kind and kind not in kinds:
        raise HTTPException(415, f"send the body as {kinds[0]}")


def kind_of_body(request: Request) -> str:
    """Its media type, empty where the request does not tell."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def picture_form(example: Mapping[str, JsonValue], *, field: str = "image") -> dict[str, JsonValue]:
    """For the description of a route: the parts of this name are pictures; an example of the
    rest."""
    content: dict[str, JsonValue] = {"encoding": {field: {"contentType": "image/*"}}}
    if example:
        content["example"] = dict(example)
    return {"requestBody": {"content": {FORMS[0]: content}}}


async def read_files(files: Sequence[UploadFile]) -> list[tuple[str, bytes]]:
    """Name and bytes of each; a file field that a browser sends empty is left out."""
    found = [(base_name(file.filename or ""), await file.read()) for file in files]
    return [(name, data) for name, data in found if name or data]


def filled(values: Sequence[str]) -> list[str]:
    """A browser sends the fields that were left empty, too."""
    return [value for value in values if value]


def base_name(name: str) -> str:
    """Some clients send the whole path of their own machine."""
    return name.replace("\\", "/").rpartition("/")[2].strip()


def query_of(
    images: Sequence[bytes],
    ids: Sequence[str],
    texts: Sequence[str],
    boxes: Sequence[str],
    weights: str,
) -> Query:
    """The parts in this order, `boxes` for the images and the ids, `weights` for all. `images` are
    those that were sent, then those of the urls. Raises UsageError."""
    check_parts(count := len(images) + len(ids) + len(texts))
    pictures = len(images) + len(ids)
    if len(boxes) > pictures:
        raise UsageError(f"{len(boxes)} boxes for {pictures} images, urls and ids")
    weighing = iter(weights_of(weights, count))
    cut: list[Box | None] = [parse_box(box) if box else None for box in boxes]
    cutting = chain(cut, repeat(None))
    parts: list[Part] = [ImagePart(image, next(weighing), next(cutting)) for image in images]
    parts += [IdPart(id, next(weighing), next(cutting)) for id in ids]
    parts += [TextPart(text, next(weighing)) for text in texts]
    return Query(tuple(parts))


def check_parts(count: int) -> None:
    """Raises UsageError for a query of none or too many."""
    if not count:
        raise UsageError("no image, url, id or text came; give at least one")
    if count > MAX_PARTS:
        raise UsageError(f"{count} parts of a query, the limit is {MAX_PARTS}")


def embeds_picture(query: Query) -> bool:
    """Whether there is a picture among the parts whose embedding the collection has not."""
    return any(
        isinstance(part, ImagePart) or (isinstance(part, IdPart) and part.box is not None)
        for part in query.parts
    )


def weights_of(text: str, count: int) -> list[float]:
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
