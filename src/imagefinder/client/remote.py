"""A collection that a running service holds."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NoReturn

from imagefinder import exchange
from imagefinder.ahead import ahead
from imagefinder.arrays import Embedding
from imagefinder.client import spaces, wire
from imagefinder.client.connection import Connection, Params
from imagefinder.client.each import search_each
from imagefinder.client.indexing import Indexer
from imagefinder.client.lookup import known, pages
from imagefinder.client.paths import can_be_id, image_path
from imagefinder.client.pictures import UNNAMED, Encoded, encoded
from imagefinder.client.problems import ForbiddenError
from imagefinder.client.questions import of_kind, parts_form, query_form
from imagefinder.client.uploading import WORKERS, Uploader, acceptable, batches, merged
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.errors import (
    CollectionError,
    FetchError,
    ImageError,
    ImageNotFoundError,
    ModelMismatchError,
    UsageError,
)
from imagefinder.filters import parse_filter
from imagefinder.finder import ImageFinder, Where
from imagefinder.protocols import Embedder
from imagefinder.query import ImagePart, Query, as_query
from imagefinder.search import weighted_mean
from imagefinder.sources import Fetcher, TableColumns, open_source
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
    from imagefinder.models import OnFetch
    from imagefinder.query import Queryable


def open_finder(
    where: Where,
    *,
    model: str | None,
    embedder: Embedder | None,
    limits: DecodeLimits,
    api_key: str | None,
    device: str = "auto",
    on_fetch: "OnFetch | None" = None,
) -> "RemoteFinder":
    """`ImageFinder.open` for the address of a service, which is asked nothing yet."""
    connection = Connection(os.fspath(where), api_key)
    if embedder is not None:
        raise UsageError(f"{connection.url}: the service embeds with a model of its own")
    if limits != DEFAULT_LIMITS:
        raise UsageError(f"{connection.url}: the service sets how large an image may be")
    if device != "auto":
        raise UsageError(f"{connection.url}: the service chooses what its models compute on")
    return RemoteFinder(connection, model)


class RemoteFinder(ImageFinder):
    """`ImageFinder` on a service. Paths and URLs are read here, and their bytes are sent."""

    def __init__(self, connection: Connection, model: str | None) -> None:
        self._connection, self._model = connection, model
        self._fetcher = Fetcher()

    def index(
        self,
        *sources: Where,
        prune: bool | str = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        sample: int | None = None,
        columns: TableColumns | None = None,
        id_prefix: str = "",
        retry_skipped: bool = False,
        workers: int | None = None,
        ray: str | None = None,
        distance: Distance | None = None,
        stop: Event | None = None,
        on_progress: Callable[[IndexReport], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> IndexReport:
        """As declared. Every file is read, to be compared with what the service has; images that
        were skipped before are always tried again; and a folder does not know of folders around it
        that were indexed before."""
        refused = {"prune": prune, "indexing by Ray": ray, "another distance": distance}
        for what in filter(refused.get, refused):
            self._refuse(what)
        if not sources:
            raise UsageError("nothing to index; name a folder, a file, a table or a URL")
        opened = [
            open_source(
                os.fspath(source),
                include=include,
                exclude=exclude,
                sample=sample,
                columns=columns,
                fetcher=self._fetcher,
            )
            for source in sources
        ]
        self._check_model()
        indexer = Indexer(
            self._connection,
            id_prefix=id_prefix,
            workers=workers,
            stop=stop,
            on_progress=on_progress or no_one,
            on_skipped=on_skipped or no_one,
        )
        return indexer(opened)

    def add(self, uploads: Sequence[Upload], *, source: str = UPLOADS) -> AddReport:
        self._check_model()
        report = AddReport()
        upload = Uploader(self._connection, source)
        wanted = batches(acceptable(uploads, report))
        with closing(ahead(upload, wanted, workers=WORKERS, window=2 * WORKERS)) as reports:
            for told in reports:
                report = merged(report, told)
        return report

    # searching

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
        if k < 1:
            raise UsageError(f"k is {k}; it must be 1 or more")
        asked = as_query(query)
        pictures = self._pictures(asked)
        form = query_form(asked, pictures)
        form += [("k", str(k)), *self._space(space), *filter_of(filter)]
        if exact:
            form.append(("exact", "true"))
        if exclude_same:
            form.append(("exclude_same", "true"))
        with about(pictures):
            return self._connection.post("v1/search", form, wire.hits)

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
        def search(query: "Queryable") -> list[Hit]:
            return self.search(query, k, filter=filter, exact=exact, space=space)

        return search_each(queries, search, on_skipped)

    def embed(self, query: "Queryable", *, space: str | None = None) -> Embedding:
        asked = as_query(query)
        images, ids, texts = of_kind(asked)
        rows: list[Embedding] = []
        # an image of the space that the service uses is found quicker as it stands
        named = space or (ids and any(one.name == self._model for one in self.spaces()))
        asking = [part for part in ids if part.box or named]
        whole = [part for part in ids if part not in asking]
        if images or asking or texts:
            pictures = self._pictures(asked)
            form = [*parts_form(images, asking, texts, pictures), *self._space(space)]
            count = len(images) + len(asking) + len(texts)
            with about(pictures):
                rows += self._connection.post("v1/embed", form, partial(wire.embeddings, count))
        rows += self._embeddings([part.id for part in whole])
        weights = [part.weight for kind in (images, asking, texts, whole) for part in kind]
        if weights == [1]:
            return rows[0]
        return weighted_mean(zip(weights, rows, strict=True), unit=self._unit(space))

    # what is in the collection

    def status(self) -> Status:
        return replace(self._connection.get("v1/status", wire.status), path=self._connection.url)

    def spaces(self) -> list[SpaceStatus]:
        return spaces.states(self._connection, self._model)

    def __len__(self) -> int:
        return self.status().images

    def __contains__(self, id: str) -> bool:
        return id in known(self._connection, [id])

    def get(self, id: str) -> ImageRecord:
        found = known(self._connection, [id])
        if id not in found:
            raise ImageNotFoundError.of(id)
        return found[id][0]

    def read(self, id: str) -> bytes:
        return self._bytes(id, "/content")

    def thumbnail(self, id: str, size: int) -> bytes:
        """A small upright JPEG, no side longer than `size` pixels. Raises ImageNotFoundError,
        FetchError."""
        return self._bytes(id, "/thumbnail", [("size", str(size))])

    def images(self, *, after: str = "", filter: str | None = None) -> Iterator[ImageRecord]:
        for record, _ in pages(self._connection, after, filter_of(filter)):
            yield record

    def embedded(self) -> Iterator[tuple[ImageRecord, Embedding]]:
        self._check_model()
        for record, row in pages(self._connection, "", [("embeddings", "true")]):
            if row is not None:
                yield record, row

    def skipped(self) -> list[Skipped]:
        return self._connection.get("v1/skipped", wire.skipped)

    # upkeep

    def update_metadata(self, id: str, changes: Metadata) -> ImageRecord:
        if not can_be_id(id):
            raise ImageNotFoundError.of(id)
        body = {"metadata": wire.plain(changes)}
        return self._connection.patch(image_path(id), body, wire.record)

    def remove(self, ids: Sequence[str]) -> int:
        wanted = [id for id in dict.fromkeys(ids) if can_be_id(id)]
        with closing(ahead(self._remove, wanted, workers=WORKERS, window=4 * WORKERS)) as removed:
            return sum(removed)

    def relocate(self, old: Where, new: Where) -> int:
        self._refuse("relocate")

    def export(self, file: Where) -> int:
        status = self.status()
        return exchange.write(Path(file), self.embedded(), model=status.model, dim=status.dim)

    def import_embeddings(
        self,
        file: Where,
        *,
        space: str | None = None,
        ids: Where | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        self._refuse("import")

    def add_space(
        self,
        model: str,
        *,
        distance: Distance | None = None,
        stop: Event | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        on_skipped: Callable[[Skipped], None] | None = None,
    ) -> FillReport:
        """As declared, for models of the catalogue that the service's machine has. `stop` ends the
        watching; the service goes on. It does not tell of skipped images one by one."""
        return spaces.add(self._connection, model, distance, stop, on_progress or no_one)

    def use_space(self, name: str) -> None:
        spaces.use(self._connection, name)

    def drop_space(self, name: str) -> None:
        self._refuse("dropping a space")

    def optimize(self) -> None:
        self._refuse("optimize")

    @property
    def optimizing(self) -> bool:
        return False  # here; the service sees to that by itself

    def close(self) -> None:
        self._connection.close()
        self._fetcher.close()

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"{self._connection.url}: {what} works on the service's machine only;"
            " stop the service and run it there"
        )

    def _check_model(self) -> None:
        """Raises ModelMismatchError where the service embeds with another model than was asked
        for."""
        if self._model is not None and (model := self.status().model) != self._model:
            raise ModelMismatchError(
                f"{self._connection.url}: the service embeds with {model}, not {self._model}"
            )

    def _space(self, names: str | Sequence[str] | None) -> list[tuple[str, str]]:
        names = self._model if names is None else names
        if names is None:
            return []
        return [("space", names if isinstance(names, str) else ",".join(names))]

    def _unit(self, space: str | None) -> bool:
        """Whether embeddings of the space have unit length."""
        name = space or self._model
        found = (one for one in self.spaces() if (one.name == name if name else one.in_use))
        return all(one.distance == "cosine" for one in found)

    def _pictures(self, query: Query) -> list[Encoded]:
        """Of the query's images, in order."""
        return [self._picture(part) for part in of_kind(query)[0]]

    def _picture(self, part: ImagePart) -> Encoded:
        try:
            return encoded(part.image, self._fetcher)
        except FetchError as error:
            where = str(part.image)
            with suppress(CollectionError):
                if where in self:
                    hint = f"{error}; the image of the collection is id:{where}"
                    raise FetchError(hint) from error
            raise

    def _embeddings(self, ids: Sequence[str]) -> list[Embedding]:
        """Row by row; an id may be there twice."""
        if not ids:
            return []
        self._check_model()
        found = known(self._connection, ids, embeddings=True)
        rows = [found[id][1] if id in found else None for id in ids]
        for id, row in zip(ids, rows, strict=True):
            if row is None:
                raise ImageNotFoundError.of(id)
        return [row for row in rows if row is not None]

    def _bytes(self, id: str, what: str, params: Params = ()) -> bytes:
        if not can_be_id(id):
            raise ImageNotFoundError.of(id)
        try:
            return self._connection.request("GET", image_path(id, what), params=params).content
        except (ForbiddenError, ImageError) as error:
            raise FetchError(f"{id}: {error}") from error

    def _remove(self, id: str) -> bool:
        try:
            self._connection.request("DELETE", image_path(id))
        except ImageNotFoundError:
            return False
        return True


@contextmanager
def about(pictures: Sequence[Encoded]) -> Iterator[None]:
    """Names the picture in what the service says of one that it cannot read."""
    try:
        yield
    except ImageError as error:
        start, reason = f"{UNNAMED}: ", str(error)
        if len(pictures) != 1 or not reason.startswith(start):
            raise
        raise type(error)(f"{pictures[0].name}: {reason.removeprefix(start)}") from error


def filter_of(expression: str | None) -> list[tuple[str, str]]:
    """The field of a form or an address. Raises FilterError for an empty one, as it would be lost
    on the way."""
    if expression is None:
        return []
    if not expression.strip():
        parse_filter(expression)
    return [("filter", expression)]


def no_one(*_: object) -> None:
    """Nobody listens."""
