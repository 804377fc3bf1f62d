"""A space brought up to date: the images that it lacks are read again and embedded by its model."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from threading import Event
from time import monotonic

import numpy as np

from imagefinder.ahead import ahead, chunks
from imagefinder.collection import Collection
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.ingest.commit import COMMIT_IMAGES, COMMIT_SECONDS, PROBLEMS
from imagefinder.ingest.examine import Embedded, Examined, Examiner
from imagefinder.ingest.run import BATCH, no_one, until
from imagefinder.ingest.triage import Failed, Todo
from imagefinder.places import stored
from imagefinder.protocols import Embedder
from imagefinder.stores.ledger import ImageEntry
from imagefinder.types import FillReport, ImageRecord, ImageRef, Skipped

NO_SOURCE = -1  # of the ledger: nothing that is filled in is a rename


@dataclass(frozen=True, slots=True)
class Filler:
    """Fills one space. `read` gives the bytes at a uri. `computing` is held while an image is
    decoded, where more threads do that than there are cores. A run that is cut off, by `stop` or a
    crash, goes on where it was."""

    collection: Collection
    space: str
    embedder: Embedder
    read: Callable[[str], bytes]
    limits: DecodeLimits = DEFAULT_LIMITS
    computing: AbstractContextManager[object] = field(default_factory=nullcontext)
    workers: int | None = None
    stop: Event | None = None
    on_progress: Callable[[int, int | None], None] = no_one
    on_skipped: Callable[[Skipped], None] = no_one

    def all(self, *, failed: bool = False) -> FillReport:
        """Every image that it lacks; with `failed`, those too that could not be embedded before."""
        spaces = self.collection.ledger.spaces
        total = spaces.behind_count(self.space, failed=failed)
        report = self._fill(self._lacking(failed), total)
        report.interrupted = self.stop is not None and self.stop.is_set()
        return report

    def some(self, ids: Sequence[str]) -> FillReport:
        """Those of these images that it lacks."""
        lacking = sorted(self.collection.ledger.spaces.lacking(self.space, ids))
        return self._fill(iter(lacking), len(lacking))

    def _lacking(self, failed: bool) -> Iterator[str]:
        after = ""
        spaces = self.collection.ledger.spaces
        while ids := spaces.behind(self.space, after=after, failed=failed):
            yield from ids
            after = ids[-1]

    def _fill(self, ids: Iterator[str], total: int) -> FillReport:
        report = FillReport(self.space)
        examine = Examiner(
            Kept(self.read),
            NO_SOURCE,
            self.embedder,
            self.collection.ledger,
            self.collection.store(self.space),
            self.limits,
            self.computing,
        )
        workers = self.workers or os.cpu_count() or 1
        todos = chunks(until(self.stop, self._todos(ids)), BATCH)
        waiting: list[Examined] = []
        last = monotonic()
        with closing(ahead(examine, todos, workers=workers, window=3 * workers)) as outcomes:
            for batch in outcomes:
                waiting += batch
                if len(waiting) >= COMMIT_IMAGES or monotonic() - last >= COMMIT_SECONDS:
                    self._commit(waiting, report)
                    waiting, last = [], monotonic()
                self.on_progress(report.added + report.skipped + len(waiting), total)
        self._commit(waiting, report)
        return report

    def _todos(self, ids: Iterator[str]) -> Iterator[Todo]:
        places = self.collection.places()
        for some in chunks(ids, COMMIT_IMAGES):
            entries, records = self.collection.ledger.images(some), self.collection.records(some)
            for id in some:
                if id in entries and id in records:
                    record, entry = records[id], entries[id]
                    uri = places.locate(self._uri(entry, record))
                    ref = ImageRef(id, entry.path, uri, entry.size, entry.mtime_ns, record.metadata)
                    yield Todo(ref, None)

    def _uri(self, entry: ImageEntry, record: ImageRecord) -> str:
        """Where the image is. Of an upload the ledger knows: a store may be ahead after a crash."""
        upload = self.collection.is_upload(entry)
        return stored(entry.path, entry.source) if upload else record.uri

    def _commit(self, outcomes: Sequence[Examined], report: FillReport) -> None:
        """The store first, then the ledger: whatever a crash leaves undone is done again."""
        with self.collection.holding([item.ref.id for item in outcomes]):
            entries = self.collection.ledger.images([item.ref.id for item in outcomes])
            # what was removed or replaced meanwhile says nothing of what is there now
            outcomes = [item for item in outcomes if is_of(item.ref, entries.get(item.ref.id))]
            failed = {item.ref.id: item.reason for item in outcomes if isinstance(item, Failed)}
            made = {item.ref.id: item for item in outcomes if isinstance(item, Embedded)}
            records = self.collection.records(list(made))
            for id in [id for id in made if id not in records]:
                del made[id]
            for id in [id for id in made if entries[id].sha256 not in ("", made[id].record.sha256)]:
                failed[id] = "its file has changed since it was indexed; index it again"
                del made[id]
            if made:
                self.collection.store(self.space).upsert(
                    [
                        as_known(item.record, records[id], self._uri(entries[id], records[id]))
                        for id, item in made.items()
                    ],
                    np.stack([item.embedding for item in made.values()]),
                )
            self.collection.ledger.spaces.caught_up(self.space, list(made), failed)
        report.added += len(made)
        for item in outcomes:
            if (reason := failed.get(item.ref.id)) is not None:
                self._tell(Skipped(item.ref.id, item.ref.uri, reason), report)

    def _tell(self, skipped: Skipped, report: FillReport) -> None:
        report.skipped += 1
        if len(report.problems) < PROBLEMS:
            report.problems.append(skipped)
        self.on_skipped(skipped)


def is_of(ref: ImageRef, entry: ImageEntry | None) -> bool:
    """Whether the ledger still says of the image what it said when the image was examined."""
    facts = (ref.path, ref.size, ref.mtime_ns)
    return entry is not None and (entry.path, entry.size, entry.mtime_ns) == facts


def as_known(made: ImageRecord, known: ImageRecord, uri: str) -> ImageRecord:
    """The record as the other spaces have it by now, but for an import that knew no file."""
    if known.sha256 == made.sha256:
        return known
    return replace(made, uri=uri, metadata=known.metadata)


@dataclass(frozen=True, slots=True)
class Kept:
    """Images of the collection, as a `Source`."""

    fetch: Callable[[str], bytes]
    root: str = ""
    complete: bool = False

    def items(self) -> Iterator[ImageRef]:
        return iter(())

    def read(self, ref: ImageRef) -> bytes:
        return self.fetch(ref.uri)

    def exists(self, path: str) -> bool:
        return True

    def covers(self, path: str) -> bool:
        return False
