"""What is searched with: parts, each with a weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeAlias, cast

from imagefinder.errors import UsageError
from imagefinder.types import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Picture: TypeAlias = "str | Path | bytes | Image | NDArray[np.generic]"
    Queryable: TypeAlias = "Picture | Query | Sequence[Picture | Query]"


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture: a path or URL, encoded bytes, a PIL image, or an array (height, width, 3).

    `box` searches with a part of it. A negative `weight` searches away from it."""

    image: "Picture"
    weight: float = 1.0
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class IdPart:
    """An image of the collection. With a `box` its file is read, and a part of it searched with."""

    id: str
    weight: float = 1.0
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words, for models with a text side."""

    text: str
    weight: float = 1.0


Part: TypeAlias = ImagePart | IdPart | TextPart


@dataclass(frozen=True, slots=True)
class Query:
    """The weighted mean of its parts' embeddings, normalised, is what is searched for."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise UsageError("the query is empty; give at least one image, id or text")


def as_query(value: "Queryable") -> Query:
    """The query that a user means: a path or URL, `id:ID`, `text:WORDS`, bytes, a PIL image, an
    array, a part, a Query, or a sequence of these."""
    if isinstance(value, Query):
        return value
    if isinstance(value, str):
        return Query((parse_part(value),))
    if isinstance(value, (ImagePart, IdPart, TextPart)):
        return Query((value,))
    if isinstance(value, (list, tuple)):
        return Query(tuple(part for item in value for part in as_query(item).parts))
    if isinstance(value, (PurePath, bytes)) or hasattr(value, "__array_interface__"):
        return Query((ImagePart(cast("Picture", value)),))  # PIL images are array-like too
    raise UsageError(
        f"a query cannot be a {type(value).__name__}; give a path, URL, bytes, PIL image,"
        " array, id:ID, text:WORDS, or several of these"
    )


def parse_part(text: str) -> Part:
    """`id:ID`, `text:WORDS`, else a path or URL."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in {"id", "text"}:
        return ImagePart(text)
    if not rest.strip():
        raise UsageError(f"{text}: the {kind} is missing after the colon")
    return IdPart(rest) if kind == "id" else TextPart(rest)


def parse_box(text: str) -> Box:
    """`x,y,width,height` as fractions (0 to 1) of the upright image. Raises UsageError."""
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        raise UsageError(
            f"box {text[:40]}: it must be x,y,width,height as fractions (0 to 1) of the image"
        ) from None
    return Box(x, y, width, height)
