"""Every plug point on one screen."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imagefinder.types import Distance, ImageRecord, ImageRef, ModelSpec, Scored, Skipped

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings, Pixels, Tensor, Tensors
    from imagefinder.filters import Filter


class Source(Protocol):
    """What yields images to index: a folder, a file, a table, an object store."""

    @property
    def root(self) -> str:
        """The absolute path or URL that identifies the source and that its paths are below."""

    @property
    def complete(self) -> bool:
        """True when `items` names every image of the root, so that `--prune` makes sense."""

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        """The images in a stable order; a `Skipped` for a row that names none; None for a file
        that is no image by its name and its content (it is ignored, and counted).

        Raises SourceError when the source as a whole cannot be read.
        """

    def read(self, ref: ImageRef) -> bytes:
        """The bytes of one image. Raises FetchError. Called from several threads at once."""

    def exists(self, path: str) -> bool:
        """Whether the source still holds the image of this path (ImageRef.path)."""

    def covers(self, path: str) -> bool:
        """Whether `items` would name an image of this path below the root, were one there."""


class Embedder(Protocol):
    """A vision model: pixels in, vectors out. Called from several threads at once.

    Vectors may have any length: what compares them by cosine brings them to unit length itself."""

    @property
    def spec(self) -> ModelSpec: ...

    def preprocess(self, image: "Pixels") -> "Tensor":
        """(3, height, width) for an upright RGB image of any size."""

    def embed(self, tensors: "Tensors") -> "Embeddings":
        """(n, dim) for n preprocessed images, row i for image i."""


@runtime_checkable
class TextEmbedder(Embedder, Protocol):
    """A model with a text side: words can be searched with."""

    def embed_texts(self, texts: Sequence[str]) -> "Embeddings":
        """(n, dim) among those of the images, row i for text i."""


class VectorStore(Protocol):
    """The embeddings of one space with their records.

    Scores are greater for what is more alike, whatever the distance: the cosine similarity, -1 to
    1, of rows that are kept at unit length; or, of rows that are kept as they are given, the dot
    product, or minus the Euclidean distance, which is 0 for the same and never greater.

    Everything is safe to call from several threads. What a writing call has acknowledged by
    returning survives `kill -9`. Foreign errors come out as StoreError.
    """

    @property
    def dim(self) -> int: ...

    @property
    def distance(self) -> Distance: ...

    def upsert(self, records: Sequence[ImageRecord], embeddings: "Embeddings") -> None:
        """Add or replace; row i of (n, dim) belongs to record i. Raises UsageError for rows that
        this distance cannot compare."""

    def update(self, records: Sequence[ImageRecord]) -> None:
        """Replace records that exist, keep their embeddings; unknown ids are left out."""

    def delete(self, ids: Sequence[str]) -> int:
        """Remove; returns how many of the ids existed."""

    def get(self, ids: Sequence[str]) -> Mapping[str, ImageRecord]:
        """The records of those ids that exist."""

    def embeddings(self, ids: Sequence[str]) -> Mapping[str, "Embedding"]:
        """The embeddings of those ids that exist."""

    def search(
        self,
        queries: "Embeddings",
        k: int,
        *,
        filter: "Filter | None" = None,
        exact: bool = False,
    ) -> list[list[Scored]]:
        """For each query row the k closest, best first, ties by id; fewer where fewer match."""

    def scan(self) -> Iterator[tuple[ImageRecord, "Embedding"]]:
        """Everything, in no particular order, without holding it all in memory."""

    def count(self) -> int: ...

    def optimize(self) -> None:
        """Build what makes searches fast, and wait; searches and writes go on meanwhile."""

    def needs_optimize(self, *, after_run: bool = False) -> bool:
        """Whether that is worth its while now, in the background. `after_run`: a run over a source
        has just ended, so nothing more will come for a while."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


class MediaStore(Protocol):
    """Keeps uploaded images under the name of their content."""

    def put(self, data: bytes, sha256: str, format: str) -> str:
        """Keep the bytes; returns their path below the store's folder or URL. All of it or nothing;
        the same bytes are one file, however often they are put. Raises StoreError."""

    def discard(self, path: str) -> None:
        """Forget the bytes at a path. What cannot be deleted stays, and harms nothing."""

    def changing(self) -> AbstractContextManager[None]:
        """Held while files are put or discarded and the ledger is told."""

    @property
    def in_doubt(self) -> bool:
        """Whether there may be files that no image has."""


class Progress(Protocol):
    """Told about long work; the command line draws it. `total` is None while it is unknown."""

    def __call__(self, done: int, total: int | None) -> None: ...
