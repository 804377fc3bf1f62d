"""A query as a form: images, then ids, then texts; boxes and weights in the same order."""

from collections.abc import Sequence

from imagefinder.client.connection import Form
from imagefinder.client.pictures import Encoded, media_type
from imagefinder.query import IdPart, ImagePart, Part, Query, TextPart
from imagefinder.types import Box

WHOLE = Box(0, 0, 1, 1)  # of an image in full size, as a box always is


def of_kind(query: Query) -> tuple[list[ImagePart], list[IdPart], list[TextPart]]:
    """The parts of each kind, in order."""
    return (
        [part for part in query.parts if isinstance(part, ImagePart)],
        [part for part in query.parts if isinstance(part, IdPart)],
        [part for part in query.parts if isinstance(part, TextPart)],
    )


def query_form(query: Query, pictures: Sequence[Encoded]) -> Form:
    """`pictures` are those of the query's images."""
    images, ids, texts = of_kind(query)
    form = parts_form(images, ids, texts, pictures)
    parts: list[Part] = [*images, *ids, *texts]
    if any(part.weight != 1 for part in parts):
        form.append(("weights", ",".join(repr(float(part.weight)) for part in parts)))
    return form


def parts_form(
    images: Sequence[ImagePart],
    ids: Sequence[IdPart],
    texts: Sequence[TextPart],
    pictures: Sequence[Encoded],
) -> Form:
    """What can be embedded, without weights."""
    form: Form = [
        ("image", (f"image-{number}", picture.data, media_type(picture.data)))
        for number, picture in enumerate(pictures)
    ]
    boxes = [
        part.box or (WHOLE if one.exact else None)
        for part, one in zip(images, pictures, strict=True)
    ]
    boxes += [part.box for part in ids]
    if any(boxes):
        form += [("box", box_text(box)) for box in boxes]
    form += [("id", part.id) for part in ids]
    return form + [("text", part.text) for part in texts]


def box_text(box: Box | None) -> str:
    """x,y,width,height; nothing for the whole image."""
    if box is None:
        return ""
    return ",".join(repr(float(side)) for side in (box.x, box.y, box.width, box.height))
