"""ImageFinder: one collection, opened. The front door of the library."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.home import DEFAULT_COLLECTION, is_registered
from imagefinder.types import (
    UPLOADS,
    AddReport,
    Distance,
    FillReport,
    Hit,
    ImageRecord,
    ImportReport,
    IndexReport,
    Metadata,
    Skipped,
    SpaceStatus,
    Status,
    Upload,
)

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding
    from imagefinder.models import OnFetch
    from imagefinder.protocols import Embedder
    from imagefinder.query import Queryable
    from imagefinder.sources import TableColumns

Where = str | os.PathLike[str]

LOCAL, REGISTERED = "imagefinder.local", "imagefinder.tracking"
KINDS = {  # the scheme of `where` -> the module whose `open_finder` opens it
    "http": "imagefinder.client",
    "https": "imagefinder.client",
}


class ImageFinder(ABC):
    """One collection. Safe to call from several threads; use as a context manager, or `close`.

    Whether the collection is a directory or a running service, the methods are the same."""

    @staticmethod
    def open(
        where: Where = DEFAULT_COLLECTION,
        *,
        model: str | None = None,
        embedder: "Embedder | None" = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
        api_key: str | None = None,
        device: str = "auto",
        on_fetch: "OnFetch | None" = None,
    ) -> "ImageFinder":
        """The collection `where`: a bare name, a directory, the address of a running service
        (`http://host:port`), which `api_key` is for, or a registered model of MLflow
        (`models:/name/1`), which never changes. Indexing makes a directory that does not exist
        yet; reading never does. `model` is a name of the catalogue, a folder, or an id of the hub;
        `embedder` is a model that you have programmed; without either it is the collection's, or
        the built-in one. Models compute on `device` (`auto`, `cpu`, `cuda`, `coreml`, `openvino`),
        and `on_fetch` is told of downloads: the file, bytes done, their total. `limits` says how
        large an image may be that is indexed or searched with.

        Raises UsageError for an unknown model, CollectionError for a directory of other things.
        """
        scheme, colon, _ = os.fspath(where).partition("://")
        kind = KINDS.get(scheme.lower(), LOCAL) if colon else LOCAL
        kind = REGISTERED if is_registered(where) else kind
        opened: ImageFinder = import_module(kind).open_finder(
            where,
            model=model,
            embedder=embedder,
            limits=limits,
            api_key=api_key,
            device=device,
            on_fetch=on_fetch,
        )
        return opened

    @abstractmethod
    def index(
        self,
        *sources: Where,
        prune: bool | str = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        sample: int | None = None,
        columns: "TableColumns | None" = None,
        id_prefix: str = "",
        retry_skipped: bool = False,
        workers: int | None = None,
        ray: str | None = None,
        distance: Distance | None = None,
        stop: Event | None = None,
        on_progress: Callable[[IndexReport], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        """Bring the collection up to date with folders, files, tables or URLs.

        `prune` also removes what a source no longer holds ("force": even more than half of it);
        `include` and `exclude` are globs on the path below the source; `sample` takes so many
        images at random, always the same. `distance` is what a space compares by that is made now.
        `ray` is the address of a Ray cluster whose machines are to do the work, host:port of its
        head; "auto" takes the one of RAY_ADDRESS or of this machine, and else starts one for the
        run. `workers` is how many work at a time: else one a core, or one a graphics card.
        Where the collection has several spaces, the others get what is new as well. Setting `stop`
        ends the run cleanly. `on_progress` gets the counts so far, `on_skipped` each skipped image,
        both on the calling thread.

        Raises SourceError when a source is missing or holds no image, UsageError, StoreError.
        """

    @abstractmethod
    def add(self, uploads: Sequence[Upload], *, source: str = UPLOADS) -> AddReport:
        """Take images into the collection, which keeps their bytes. They can be searched for when
        this returns. As indexing, it makes a collection that does not exist yet.

        An id that another image has is never overwritten: the upload is skipped with that reason.
        It is replaced only by an upload of the same `source`, a name other than the default, with
        which a program says that it speaks of the same image. Raises StoreError, UsageError.
        """

    # searching

    @abstractmethod
    def search(
        self,
        query: "Queryable",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
        exclude_same: bool = False,
        space: str | Sequence[str] | None = None,
    ) -> list[Hit]:
        """The k images that look most like the query, best first, ties by id.

        A query is a path, a URL, `id:ID`, encoded bytes, a PIL image, an array (height, width, 3),
        a `Query`, or a list of these: then the mean of their embeddings is searched for. Fewer than
        k hits come only where fewer images match the filter. `exclude_same` leaves out the images
        that the query names by id, and those that look the same as one of its pictures: a cosine
        similarity of 0.99 or more, as copies have. Others take their places. `space` is another
        space than the one in use; of several their rankings are fused, and a score then is 1 for
        the first of each, and 0 for what none has found.

        Raises ImageError when the query cannot be read, FilterError, ImageNotFoundError.
        """

    @abstractmethod
    def search_many(
        self,
        queries: "Iterable[Queryable]",
        k: int = 3,
        *,
        filter: str | None = None,
        exact: bool = False,
        space: str | Sequence[str] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> list[list[Hit]]:
        """The hits of each query, in order; queries are embedded on all cores.

        With `on_skipped`, a query that cannot be read gives no hits and is told; else it raises.
        """

    @abstractmethod
    def embed(self, query: "Queryable", *, space: str | None = None) -> "Embedding":
        """(dim,): the embedding that `search` searches with, of unit length where the space
        compares by cosine."""

    # what is in the collection

    @abstractmethod
    def status(self) -> Status:
        """Counts, model and size. Raises CollectionNotFoundError."""

    @abstractmethod
    def spaces(self) -> list[SpaceStatus]:
        """What each space is, and how many images it is behind, in the order they were added."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, id: str) -> bool: ...

    @abstractmethod
    def get(self, id: str) -> ImageRecord:
        """What is known of one image. Raises ImageNotFoundError."""

    @abstractmethod
    def read(self, id: str) -> bytes:
        """The bytes of one image's file. Raises ImageNotFoundError, FetchError."""

    @abstractmethod
    def images(self, *, after: str = "", filter: str | None = None) -> Iterator[ImageRecord]:
        """The records in the order of their ids, from the first id greater than `after`."""

    @abstractmethod
    def embedded(self) -> "Iterator[tuple[ImageRecord, Embedding]]":
        """Every record of the space with its embedding, in the order of the ids."""

    @abstractmethod
    def skipped(self) -> list[Skipped]:
        """The images that could not be indexed, with the reasons."""

    # upkeep

    @abstractmethod
    def update_metadata(self, id: str, changes: Metadata) -> ImageRecord:
        """Set values of an image's metadata, and take out those that are None; the others stay.

        Raises ImageNotFoundError."""

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> int:
        """Take images out of the collection (their files stay); returns how many there were.

        Indexing their source again brings them back."""

    @abstractmethod
    def relocate(self, old: Where, new: Where) -> int:
        """The images that were below `old` are below `new` now; returns how many sources moved.

        Raises SourceError when `new` does not exist, UsageError when nothing is below `old`."""

    @abstractmethod
    def export(self, file: Where) -> int:
        """Write embeddings, ids and metadata to a file (.csv, .npz, .parquet or .faiss, by its
        name), in the order of the ids; returns how many.

        Raises TransferError, MissingExtraError."""

    @abstractmethod
    def import_embeddings(
        self,
        file: Where,
        *,
        space: str | None = None,
        ids: Where | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        """Take over the embeddings of a file into a space of their own.

        `ids` is a file with the ids, for formats that hold none. `on_progress` gets the rows done
        and their total where the file tells. Raises TransferError, MissingExtraError."""

    # spaces

    @abstractmethod
    def add_space(
        self,
        model: str,
        *,
        distance: Distance | None = None,
        stop: Event | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> FillReport:
        """Embed every image by another model, into a space of its own; searches in the others go on
        meanwhile. Called again, it goes on where it was cut off, and tries what was skipped.

        `distance` is `cosine` unless it says `euclidean` or `dot`: then the space keeps embeddings
        as long as the model makes them. `on_progress` gets the images done and their total. Raises
        ModelError where the model cannot be had, UsageError."""

    @abstractmethod
    def use_space(self, name: str) -> None:
        """Search in this space from now on. Nothing else changes, so it can be taken back."""

    @abstractmethod
    def drop_space(self, name: str) -> None:
        """Delete a space and its embeddings; the images stay. Raises UsageError for the only space,
        CollectionError where it alone has some of the images."""

    @abstractmethod
    def optimize(self) -> None:
        """Build the search index of each space now, and wait for it. Searches go on meanwhile."""

    @property
    @abstractmethod
    def optimizing(self) -> bool:
        """Whether the search index is being built in the background."""

    @abstractmethod
    def close(self) -> None:
        """Finish what runs in the background and let other processes use the collection.

        Calls in other threads end with an error; what they wrote until then is kept."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
