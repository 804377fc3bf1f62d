"""query -> hits: fetch -> decode -> preprocess -> embed -> search."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from imagefinder.arrays import Embedding, Pixels
from imagefinder.decode import DecodeLimits, decode, from_array, from_image
from imagefinder.errors import (
    FetchError,
    ImageError,
    ImageNotFoundError,
    ModelError,
    UsageError,
)
from imagefinder.filters import Filter
from imagefinder.protocols import Embedder, TextEmbedder, VectorStore
from imagefinder.query import IdPart, ImagePart, Part, Query, TextPart
from imagefinder.sources.address import redact
from imagefinder.types import Box, Decoded, Hit, Scored

if TYPE_CHECKING:
    from PIL.Image import Image

    from imagefinder.query import Picture

MAX_K = 100_000

Computing: TypeAlias = AbstractContextManager[object]  # bounds how many threads compute


@dataclass(frozen=True, slots=True)
class Searcher:
    """What searching one space needs. `embedder` is called when something must be embedded, so that
    a search by id loads no model; `read` gives the bytes of a path or URL, `content` those of an
    image of the collection."""

    store: VectorStore
    embedder: Callable[[], Embedder]
    read: Callable[[str], bytes]
    content: Callable[[str], bytes]
    locate: Callable[[str], str]  # a stored uri -> where the image is now
    calibration: tuple[float, float] | None  # of the scores; see ModelSpec
    text_hint: Callable[[], str]  # which models words can be searched with
    missing: Callable[[str], ImageNotFoundError]  # for an id that the space has not
    limits: DecodeLimits
    computing: Computing  # held while a picture is decoded, words are embedded, the store searches

    def search(
        self,
        queries: Sequence[Embedding],
        k: int,
        *,
        filter: Filter | None,
        exact: bool,
    ) -> list[list[Hit]]:
        """The hits of each query embedding."""
        check_k(k)
        if not queries:
            return []
        with self.computing:
            found = self.store.search(np.stack(queries), k, filter=filter, exact=exact)
        return [[self._hit(scored) for scored in row] for row in found]

    def embed(self, query: Query) -> Embedding:
        """(dim,): the weighted mean of the parts' embeddings, in a space that compares by cosine of
        unit length."""
        parts = [(part.weight, self.embed_part(part)) for part in query.parts]
        return weighted_mean(parts, unit=self.unit)

    @property
    def unit(self) -> bool:
        """Whether embeddings have unit length here."""
        return self.store.distance == "cosine"

    def embed_part(self, part: Part) -> Embedding:
        """(dim,): of unit length where embeddings have that here."""
        match part:
            case TextPart():
                row = self._embed_text(part.text)
            case IdPart(box=None):
                row = self._embedding_of(part.id)
            case _:
                row = self._embed_image(part)
        return weighted_mean([(1.0, row)]) if self.unit else row

    def _embed_text(self, text: str) -> Embedding:
        embedder = self.embedder()
        if not isinstance(embedder, TextEmbedder):
            raise ModelError(
                f"{embedder.spec.name}: the model has no text side; {self.text_hint()}"
            )
        with self.computing:
            row: Embedding = embedder.embed_texts([text])[0]
        return checked(row, "text")

    def _embedding_of(self, id: str) -> Embedding:
        found = self.store.embeddings([id])
        if id not in found:
            raise self.missing(id)
        return found[id]

    def _embed_image(self, part: ImagePart | IdPart) -> Embedding:
        embedder = self.embedder()
        picture = self._file(part.id) if isinstance(part, IdPart) else self._fetched(part.image)
        with self.computing:
            decoded = self._decode(picture, None if part.box else embedder.spec.decode_size)
            pixels = cut(decoded.pixels, part.box) if part.box else decoded.pixels
            tensor = embedder.preprocess(pixels)
        row: Embedding = embedder.embed(tensor[None])[0]
        return checked(row, "image")

    def _file(self, id: str) -> "Fetched":
        """An image of the collection. Raises ImageNotFoundError, and FetchError in words that may
        leave the machine."""
        try:
            return Fetched(id, self.content(id))
        except FetchError as error:
            raise FetchError(f"{id}: the image's file cannot be read any more") from error

    def _fetched(self, image: "Picture") -> "Picture | Fetched":
        """The picture with its bytes at hand."""
        if not isinstance(image, (str, Path)):
            return image
        where = str(image)
        try:
            return Fetched(where, self.read(where))
        except FetchError as error:
            hint = f"; the image of the collection is id:{where}" if self.store.get([where]) else ""
            if not hint and not set("./\\:") & set(where):
                hint = f"; to search by words: 'text:{where}'"
            raise FetchError(f"{redact(where)}: {error}{hint}") from error

    def _decode(self, picture: "Picture | Fetched", at_least: int | None) -> Decoded:
        if isinstance(picture, np.ndarray):
            return from_array(picture)
        if isinstance(picture, Fetched):
            name, data = redact(picture.where), picture.data
        elif isinstance(picture, (bytes, bytearray, memoryview)):
            name, data = "query", bytes(picture)
        else:
            return from_image(cast("Image", picture))
        try:
            return decode(data, at_least=at_least, limits=self.limits)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    def _hit(self, scored: Scored) -> Hit:
        record = scored.record
        return Hit(
            id=record.id,
            score=scored.score,
            uri=self.locate(record.uri),
            metadata=record.metadata,
            confidence=confidence(scored.score, self.calibration) if self.unit else None,
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a path, a URL or an id."""

    where: str
    data: bytes


def check_k(k: int) -> None:
    """Raises UsageError for a number of hits that no search has."""
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k is {k}; it must be between 1 and {MAX_K}")


def checked(row: Embedding, what: str) -> Embedding:
    """Raises ImageError where the row is none."""
    if not np.isfinite(row).all() or not row.any():
        raise ImageError(f"query: the model gives no embedding of this {what}")
    return row


def weighted_mean(parts: Iterable[tuple[float, Embedding]], *, unit: bool = True) -> Embedding:
    """(dim,): of unit length, or else of the length that the parts have in the mean.

    Raises UsageError where the parts cancel out."""
    parts = list(parts)
    weighted = [np.float64(weight) * row for weight, row in parts]
    total = np.asarray(np.sum(weighted, axis=0))
    length = float(np.linalg.norm(total))
    size = sum(abs(weight) for weight, _ in parts)
    if not unit and size > 0:
        mean: Embedding = (total / size).astype(np.float32)
        return mean
    if not math.isfinite(length) or length < 1e-6:
        raise UsageError("the parts of the query cancel out; change their weights")
    # one image as it is has unit length already, to the last bit
    is_unit = len(weighted) == 1 and abs(length - 1) < 1e-6
    row: Embedding = (total if is_unit else total / length).astype(np.float32)
    return row


def confidence(score: float, calibration: tuple[float, float] | None) -> float | None:
    """How likely the two show the same kind of thing, by the curve fitted for the model."""
    if calibration is None:
        return None
    slope, offset = calibration
    return 1 / (1 + math.exp(-(slope * score + offset)))


def cut(pixels: Pixels, box: Box) -> Pixels:
    """The part of the picture inside the box, at least one pixel."""
    height, width = pixels.shape[:2]
    if not (0 <= box.x < 1 and 0 <= box.y < 1 and 0 < box.width <= 1 and 0 < box.height <= 1):
        raise UsageError(
            f"box {box.x},{box.y},{box.width},{box.height}: it must be x,y,width,height as"
            " fractions (0 to 1) of the image"
        )
    left, top = int(box.x * width), int(box.y * height)
    right = max(left + 1, min(width, round((box.x + box.width) * width)))
    bottom = max(top + 1, min(height, round((box.y + box.height) * height)))
    return pixels[top:bottom, left:right]
