"""What a worker builds for itself, once: a reader, the model, and the collection if it writes."""

import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import BoundedSemaphore
from time import monotonic
from typing import cast

from imagefinder.ahead import ahead, chunks
from imagefinder.collection import Collection, open_collection
from imagefinder.distributed.recipe import Recipe
from imagefinder.errors import FetchError, ModelMismatchError
from imagefinder.ingest.commit import Committer
from imagefinder.ingest.examine import Embedded, Examined, Examiner
from imagefinder.ingest.run import BATCH
from imagefinder.ingest.triage import Todo
from imagefinder.models import find_model
from imagefinder.protocols import Embedder, VectorStore
from imagefinder.sources import Fetcher
from imagefinder.sources.address import scheme
from imagefinder.sources.shard import MemberRef
from imagefinder.stores.ledger import ImageEntry, Ledger
from imagefinder.types import ImageRef, IndexReport, Skipped

# A worker waits for what comes over a network: with so many reads under way it decodes meanwhile.
# Of 8 the first 4 double the speed at 60 ms an image, the others add a fifth.
READERS = 8
ASKING = 1.0  # seconds between two questions whether the run is to stop


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a worker works on one source."""

    recipe: Recipe
    examine: Examiner
    collection: Collection | None

    def examined(
        self, todos: Sequence[Todo], stops: Callable[[], bool]
    ) -> tuple[int, list[Examined]]:
        """How many of them were looked at, and what came of these: fewer than all once the run is
        to stop."""
        embedder, threads = self.examine.embedder, self.recipe.threads
        size = max(BATCH, getattr(embedder, "batch", 1))
        if any(is_remote(todo.ref) for todo in todos):
            threads, size = max(threads, READERS), 1
        batches = chunks(until(stops, todos), size)
        with closing(self._ahead(batches, threads)) as results:
            each = list(results)
        return sum(map(len, each)), [outcome for batch in each for outcome in batch]

    def _ahead(
        self, batches: Iterator[list[Todo]], threads: int
    ) -> Generator[list[Examined], None, None]:
        if threads > 1:
            return ahead(self.examine, batches, workers=threads, window=threads)
        return (self.examine(batch) for batch in batches)

    def write(
        self, outcomes: Sequence[Examined]
    ) -> tuple[list[Examined], IndexReport, list[Skipped]]:
        """With a collection, write what is not the driver's to judge. What is left for the driver,
        the counts of what was written, and what was skipped."""
        if self.collection is None:
            return list(outcomes), IndexReport(), []
        # what is gone, and so what is a rename, only the driver knows: it lists the source
        theirs = [one for one in outcomes if isinstance(one, Embedded) and one.twin is not None]
        ours = [one for one in outcomes if not isinstance(one, Embedded) or one.twin is None]
        return list[Examined](theirs), *self._write(self.collection, ours)

    def _write(
        self, collection: Collection, outcomes: Sequence[Examined]
    ) -> tuple[IndexReport, list[Skipped]]:
        report, skipped, places = IndexReport(), list[Skipped](), collection.places()
        source = self.recipe.source
        committer = Committer(
            collection,
            self.recipe.space,
            source,
            report,
            portable=lambda uri: places.portable(uri, source),
            on_skipped=skipped.append,
        )
        committer.add(outcomes)
        committer.flush()
        return report, skipped


def until(stops: Callable[[], bool], todos: Sequence[Todo]) -> Iterator[Todo]:
    """Ends early once the run is to stop: what is begun is finished."""
    asked = monotonic()
    for todo in todos:
        if monotonic() - asked > ASKING:
            if stops():
                return
            asked = monotonic()
        yield todo


def open_bench(recipe: Recipe, node: str) -> Bench:
    """Raises ModelError, ModelMismatchError, UsageError, StoreError."""
    embedder = model_of(recipe)
    check_model(embedder, recipe)
    collection = None if recipe.place is None else open_collection(recipe.place)
    ledger = Nothing() if collection is None else collection.ledger
    store = Nothing() if collection is None else collection.store(recipe.space)
    examine = Examiner(
        Afar(Fetcher(), node != recipe.driver),
        recipe.source,
        embedder,
        cast("Ledger", ledger),
        cast("VectorStore", store),
        recipe.limits,
        BoundedSemaphore(recipe.threads),
    )
    return Bench(recipe, examine, collection)


def on_gpu(recipe: Recipe) -> bool:
    """Whether the model computes on a graphics card here."""
    embedder = model_of(recipe)
    device = getattr(embedder, "device", None)  # of PyTorch's
    return not getattr(embedder, "on_cpu", device is None or device.type == "cpu")


def model_of(recipe: Recipe) -> Embedder:
    """Loaded. Raises ModelError, UsageError."""
    if recipe.offline:  # before what reads it is imported
        os.environ["HF_HUB_OFFLINE"] = "1"
    return recipe.own or find_model(recipe.model).load(device=recipe.device)


def check_model(embedder: Embedder, recipe: Recipe) -> None:
    """Raises ModelMismatchError where this machine has another version of the model."""
    if embedder.spec.fingerprint != recipe.fingerprint:
        raise ModelMismatchError(
            f"{recipe.space}: another version of the model is here ({embedder.spec.fingerprint},"
            f" the space has {recipe.fingerprint}); have the same model files on every machine"
        )


@dataclass(frozen=True, slots=True)
class Afar:
    """A source that a worker reads from; its images are listed by the driver. `elsewhere`: that is
    another machine."""

    fetcher: Fetcher
    elsewhere: bool
    root: str = ""
    complete: bool = False

    def items(self) -> Iterator[ImageRef]:
        return iter(())

    def read(self, ref: ImageRef) -> bytes:
        try:
            secret: str = getattr(ref, "address", "")  # a table's, which `uri` does not show
            return self.fetcher.read(secret) if secret else self.fetcher.read_ref(ref)
        except FetchError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            if not self.elsewhere or not missing or is_remote(ref):
                raise
            raise FetchError(
                f"the machine {socket.gethostname()} does not see this path; use shared storage"
                " that every machine of the cluster has there, or an object store"
            ) from error

    def exists(self, path: str) -> bool:
        return True  # only the driver can tell

    def covers(self, path: str) -> bool:
        return False


class Nothing:
    """In place of a ledger that is out of reach: no image is known to have the same bytes. The
    driver looks again."""

    def with_content(self, sha256: str) -> list[ImageEntry]:
        """None."""
        return []


def is_remote(ref: ImageRef) -> bool:
    """Whether reading it means waiting."""
    where = ref.shard if isinstance(ref, MemberRef) else ref.uri
    return scheme(where) not in (None, "file")
