"""A source read image by image, and the facts put together as they come."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from imagefinder.arrays import Embedding, Pixels
from imagefinder.dataset.columns import Columns
from imagefinder.dataset.looks import Look, Palette, Reservoir, Sample, look_of
from imagefinder.decode import DecodeLimits, decode
from imagefinder.errors import ImageError, SourceError
from imagefinder.labels.columns import as_text, label_column
from imagefinder.protocols import Source
from imagefinder.report.pictures import SIDE, shrunk
from imagefinder.sources.address import scheme
from imagefinder.types import Decoded, ImageRef, Skipped

if TYPE_CHECKING:
    from imagefinder.protocols import Embedder

FEW = 16  # pixels of a side, which stand for a picture's colours
KEPT = 1000  # skipped images that are remembered one by one
DETAIL = re.compile(  # what such a reason ends with: the text of the row
    "(fields? where the header has [0-9]+|not a valid URL|no known kind of address"
    "|with control characters|not JSON|nor a text): .*"
)
SHOWN_COPIES = 24  # groups of copies with a thumbnail


@dataclass(frozen=True, slots=True)
class Todo:
    """An image to read, and its place in the sample, if any."""

    ref: ImageRef
    place: int | None


@dataclass(frozen=True, slots=True)
class Examined:
    """What one image is. `small` are the pixels of its thumbnail."""

    todo: Todo
    image: Decoded
    size: int
    sha256: str
    look: Look
    small: Pixels
    row: Embedding | None


@dataclass(frozen=True, slots=True)
class Examiner:
    """Reads one image; called by several threads at once."""

    source: Source
    embedder: "Embedder | None"
    limits: DecodeLimits

    def __call__(self, todo: Todo | Skipped) -> Examined | Skipped:
        """A bad image is a value, never an exception."""
        if isinstance(todo, Skipped):
            return todo
        try:
            data = self.source.read(todo.ref)
            embedder = None if todo.place is None else self.embedder
            side = SIDE if embedder is None else max(SIDE, embedder.spec.decode_size)
            image = decode(data, at_least=side, limits=self.limits)
        except ImageError as error:
            return Skipped(todo.ref.id, todo.ref.uri, str(error))
        row = None
        if embedder is not None:
            row = embedder.embed(embedder.preprocess(image.pixels)[None])[0]
        picture = Image.fromarray(image.pixels)
        few = np.asarray(picture.resize((FEW, FEW), Image.Resampling.BOX))
        picture.thumbnail((SIDE, SIDE))
        digest = sha256(data).hexdigest()
        small = np.asarray(picture)
        return Examined(todo, image, len(data), digest, look_of(few), small, row)


class Gatherer:
    """The facts so far: a hundred bytes an image, and the sample."""

    def __init__(self, label: str | None, size: int, seed: int) -> None:
        self._label, self._labelled = label, False
        self._reservoir: Reservoir[Sample] = Reservoir(size, seed)
        self._ids: defaultdict[bytes, list[str]] = defaultdict(list)
        self.widths: list[int] = []
        self.heights: list[int] = []
        self.sizes: list[int] = []
        self.brightness: list[float] = []
        self.colourfulness: list[float] = []
        self.formats: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.cameras: Counter[str] = Counter()
        self.years: Counter[int] = Counter()
        self.reasons: Counter[str] = Counter()
        self.skipped: list[Skipped] = []
        self.columns, self.palette = Columns(), Palette()
        self.pictures: dict[bytes, bytes] = {}
        self.located = self.ignored = 0

    @property
    def embedded(self) -> bool:
        """Whether the images of the sample have embeddings, and there are some."""
        sample = self.sample()
        return bool(sample) and all(one.row is not None for one in sample)

    def todos(self, items: Iterable[ImageRef | Skipped | None]) -> Iterator[Todo | Skipped]:
        """What is to be read; what is no image is counted on the way."""
        for item in items:
            if item is None:
                self.ignored += 1
            elif isinstance(item, Skipped):
                yield item
            else:
                yield Todo(item, self._reservoir.place())

    def add(self, found: Examined | Skipped) -> None:
        """Put the facts of an image to the others."""
        if isinstance(found, Skipped):
            self.reasons[kind_of(found.reason)] += 1
            if len(self.skipped) < KEPT:
                self.skipped.append(found)
            return
        ref, image = found.todo.ref, found.image
        label = self._class_of(ref)
        if label is not None:
            self.classes[label] += 1
        self._add_image(image, found)
        self.columns.add(ref.metadata)
        key = bytes.fromhex(found.sha256)
        self._ids[key].append(ref.id)
        if len(self._ids[key]) == 2 and len(self.pictures) < SHOWN_COPIES:
            self.pictures[key] = shrunk(found.small)
        if found.todo.place is not None:
            sample = Sample(ref.id, found.sha256, label, shrunk(found.small), found.row)
            self._reservoir.put(found.todo.place, sample)

    def checked(self, where: str) -> Self:
        """Itself, if the column of labels that was asked for is there. Raises SourceError."""
        if self._label is not None and not self._labelled and self.widths:
            there = ", ".join(column.name for column in self.columns.all()) or "none"
            raise SourceError(f"{where}: no column {self._label} (--label); there is: {there}")
        return self

    def copies(self) -> dict[bytes, list[str]]:
        """SHA-256 -> the ids of the images that have these bytes, where it is more than one."""
        return {key: ids for key, ids in self._ids.items() if len(ids) > 1}

    def sample(self) -> list[Sample]:
        """The images that were drawn."""
        return self._reservoir.all()

    def _add_image(self, image: Decoded, found: Examined) -> None:
        self.widths.append(image.width)
        self.heights.append(image.height)
        self.sizes.append(found.size)
        self.brightness.append(found.look.brightness)
        self.colourfulness.append(found.look.colourfulness)
        self.formats[image.format] += 1
        self.palette.add(found.look)
        if image.exif.camera:
            self.cameras[image.exif.camera] += 1
        if image.exif.date is not None:
            self.years[image.exif.date.year] += 1
        self.located += image.exif.latitude is not None

    def _class_of(self, ref: ImageRef) -> str | None:
        column = label_column(tuple(ref.metadata), self._label)
        if column is not None:
            self._labelled = True
            return as_text(ref.metadata[column])
        return None if self._label is not None else directory_of(ref)


def directory_of(ref: ImageRef) -> str | None:
    """The name of the directory that an image is in, below the root of its source."""
    if scheme(ref.path) is not None or ref.path.startswith("/"):
        return None
    return ref.path.rpartition("/")[0].rpartition("/")[2] or None


def kind_of(reason: str) -> str:
    """A reason without what differs from image to image."""
    reason = re.sub(r"^row \d+( \(line \d+\))?: ", "", reason)
    reason = DETAIL.sub(r"\1", reason)
    return re.sub(r"\d+(\.\d+)?", "…", reason)
