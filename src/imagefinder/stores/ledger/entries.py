"""What a ledger keeps of an image, of a skipped one, of a space."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from imagefinder.types import Distance

IMPORTED = "imported:"  # begins the fingerprint of a space that another program has made

Held: TypeAlias = Mapping[str, Collection[str]]  # space -> the ids whose embeddings it has


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An indexed image: where it came from, and what its file was like then."""

    id: str
    source: int
    path: str  # ImageRef.path
    size: int | None
    mtime_ns: int | None
    sha256: str
    metadata: str  # a digest: a change of metadata alone is seen without reading the image


@dataclass(frozen=True, slots=True)
class SkippedEntry:
    """A skipped image. When `final`, it is not tried again until its file changes."""

    source: int
    id: str
    path: str
    size: int | None
    mtime_ns: int | None
    final: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """An indexed image that a run did not meet. `doubled`: it met the path under another id, which
    is indexed."""

    id: str
    path: str
    doubled: bool


@dataclass(frozen=True, slots=True)
class SpaceEntry:
    """One space. `fingerprint` is of its model, `model` is what finds the model again."""

    name: str
    fingerprint: str
    dim: int
    model: str
    distance: Distance = "cosine"

    @property
    def imported(self) -> bool:
        """Whether another program made its embeddings: no image can be added to it by a model."""
        return self.fingerprint.startswith(IMPORTED)
