"""Frozen value types that every layer shares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from imagefinder.arrays import Pixels

MAX_ID_BYTES = 1024  # of an id in UTF-8; what every store takes

Scalar: TypeAlias = str | int | float | bool
MetadataValue: TypeAlias = Scalar | Sequence[Scalar] | None
Metadata: TypeAlias = Mapping[str, MetadataValue]
Distance: TypeAlias = Literal["cosine", "euclidean", "dot"]

NO_METADATA: Metadata = MappingProxyType({})


def _no_metadata() -> Metadata:
    return NO_METADATA  # not a plain default: Python 3.11 takes every unhashable one for mutable


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that a source names; its bytes are not read yet.

    `path` is the image's key within its source: a path below the root with forward slashes, or a
    URL. `uri` says where the bytes are: an absolute path or a URL. `size` (bytes) and `mtime_ns`
    are None where the source cannot tell without reading.
    """

    id: str
    path: str
    uri: str
    size: int | None = None
    mtime_ns: int | None = None
    metadata: Metadata = field(default_factory=_no_metadata)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image, or a row of a table, that could not be indexed, with the reason in words."""

    id: str
    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exif:
    """What the camera wrote that a filter can use. `date` is naive: cameras seldom know a zone."""

    date: datetime | None = None
    camera: str | None = None
    latitude: float | None = None  # degrees, north positive
    longitude: float | None = None  # degrees, east positive


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded image. `width` and `height` are of the upright image at full size; `pixels` may
    be smaller where the decoder was allowed to scale."""

    pixels: "Pixels"
    width: int
    height: int
    format: str  # lower case: jpeg, png, webp, avif, heif, gif, tiff, bmp
    exif: Exif


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What a collection knows of one image. `size` is in bytes, `mtime` in seconds since 1970."""

    id: str
    uri: str
    sha256: str
    width: int
    height: int
    format: str
    size: int
    mtime: float | None = None
    date: datetime | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    metadata: Metadata = field(default_factory=_no_metadata)


@dataclass(frozen=True, slots=True)
class Scored:
    """A record that a store found, with its cosine similarity to the query (-1 to 1)."""

    record: ImageRecord
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `score` is the cosine similarity (-1 to 1); `confidence` (0 to 1) is calibrated
    per model, None where the model has no calibration."""

    id: str
    score: float
    uri: str
    metadata: Metadata = field(default_factory=_no_metadata)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the upright image, as fractions (0 to 1) of its width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How upright pixels become what a model's graph takes.

    `resize` is `squash` (the whole picture to `width` x `height`, or to a square of `shortest` and
    then the centre cut) or `crop` (the short side to `shortest`, then the centre cut). A pixel p
    (0 to 255) enters the graph as (p - mean) / std, RGB, NCHW.
    """

    height: int  # pixels of the graph's input
    width: int
    resize: str
    resample: str  # nearest, box, bilinear, hamming, bicubic, lanczos
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shortest: int | None = None  # None: the shorter of height and width

    @property
    def decode_size(self) -> int:
        """No side of a decoded picture needs more pixels than this before preprocessing.

        Twice the input: with 12-megapixel photographs scaled to just above 1 x, the worst cosine to
        the full decode was 0.95, with 2 x 0.993, and 0.99 is what is promised."""
        return 2 * max(self.height, self.width, self.shortest or 0)

    @property
    def facts(self) -> tuple[object, ...]:
        """What it is, in a form that never changes: spaces remember it."""
        size = self.height if self.height == self.width else (self.height, self.width)
        more = () if self.shortest is None else (self.shortest,)
        return (size, self.resize, self.resample, self.mean, self.std, *more)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The facts of a loaded model that others need."""

    name: str
    dim: int
    preprocessing: Preprocessing
    sha256: str  # of the weights
    output: str = ""  # which of the graph's outputs, and how it is pooled; empty: its only one
    calibration: tuple[float, float] | None = None  # confidence = sigmoid(a * score + b)

    @property
    def decode_size(self) -> int:
        """See `Preprocessing`."""
        return self.preprocessing.decode_size

    @property
    def fingerprint(self) -> str:
        """Changes whenever an embedding could: the weights and every preprocessing fact."""
        facts = (self.sha256, self.dim, *self.preprocessing.facts)
        return f"{self.name}:{_digest(repr((*facts, self.output) if self.output else facts))}"


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class IndexReport:
    """What one indexing run did. `problems` holds the first skipped images, for a summary."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    renamed: int = 0
    removed: int = 0
    ignored: int = 0
    skipped: int = 0
    interrupted: bool = False
    problems: list[Skipped] = field(default_factory=list)
    spaces: list["FillReport"] = field(default_factory=list)  # the others, brought up to date

    @property
    def images(self) -> int:
        """How many images it speaks of."""
        return sum(self.counts().values()) - self.ignored

    def counts(self) -> dict[str, int]:
        """The seven counts, in the order that `index --json` prints them."""
        names = ("added", "updated", "unchanged", "renamed", "removed", "ignored", "skipped")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class FillReport:
    """What bringing a space up to date did. `problems` holds the first skipped images."""

    space: str
    added: int = 0
    skipped: int = 0
    interrupted: bool = False
    problems: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """One space of a collection. `model` is what finds its model, empty where its embeddings were
    imported; it is `behind` with so many images of the collection."""

    name: str
    model: str
    dim: int
    distance: Distance
    images: int
    behind: int
    in_use: bool
    text: bool


UPLOADS = "upload"  # the source of images that came without one


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that is handed over as bytes. `name` is what its file was called; it is the id where
    no other is given."""

    data: bytes = field(repr=False)
    name: str
    id: str | None = None
    metadata: Metadata = field(default_factory=_no_metadata)


@dataclass(slots=True)
class AddReport:
    """What became of uploads: their ids, and the skipped ones with the reason. `uri` of a skipped
    upload is its name."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(slots=True)
class ImportReport:
    """What an import did. `notes` are sentences for the user."""

    space: str
    added: int = 0
    updated: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class MigrateReport:
    """What carrying a collection into another did. Of its `images` some were there already
    (`unchanged`), others were `left_out`, because another image there has their id; `problems` has
    the first of these. `checked` embeddings were read back and are the same to the bit; `recall` is
    how much of the closest images the target's searches found."""

    spaces: list[str]
    images: int = 0
    carried: int = 0
    unchanged: int = 0
    left_out: int = 0
    skipped: int = 0
    upload_bytes: int = 0
    checked: int = 0
    searches: int = 0
    recall: float = 1.0
    problems: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a collection. `model` and `dim` are of the space that searches use."""

    collection: str
    path: str
    model: str
    dim: int
    images: int
    skipped: int
    spaces: tuple[str, ...]
    sources: tuple[str, ...]
    disk_bytes: int | None  # None where nobody tells, as of a cluster


def space_name(model: str, distance: Distance | None) -> str:
    """What the space of a model is called; the usual distance needs no word."""
    return model if distance in (None, "cosine") else f"{model}-{distance}"


def is_text(text: str, encoding: str = "utf-8") -> bool:
    """Whether it can be stored: half a letter, as in a name that is not UTF-8, cannot."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
