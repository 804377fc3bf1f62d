"""Outcomes -> store and ledger, some at once; `Collection.storing` has the order of writing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np

from imagefinder.collection import Collection
from imagefinder.ingest.examine import Embedded, Examined, revised
from imagefinder.ingest.triage import Failed, Revised, digest
from imagefinder.ingest.twins import lend
from imagefinder.protocols import VectorStore
from imagefinder.stores.ledger import ImageEntry, SkippedEntry
from imagefinder.types import ImageRecord, ImageRef, IndexReport, Skipped

COMMIT_IMAGES = 256  # so many are redone at most after a crash,
COMMIT_SECONDS = 2.0  # or as many as come in so much time
PROBLEMS = 20  # skipped images that a report shows


@dataclass(slots=True)
class Committer:
    """Collects outcomes and writes them in batches; counts them in `report` once written."""

    collection: Collection
    space: str  # of it
    source: int
    report: IndexReport
    portable: Callable[[str], str]  # uri as read -> uri as stored, see places.py
    on_skipped: Callable[[Skipped], None]
    waiting: list[Examined] = field(default_factory=list)
    last: float = field(default_factory=monotonic)

    @property
    def store(self) -> VectorStore:
        """Of the space."""
        return self.collection.store(self.space)

    def add(self, outcomes: Sequence[Examined]) -> bool:
        """True when this wrote a batch."""
        self.waiting.extend(outcomes)
        if len(self.waiting) < COMMIT_IMAGES and monotonic() - self.last < COMMIT_SECONDS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what waits."""
        batch, self.waiting = self.waiting, []
        if not batch:
            self.last = monotonic()
            return
        with self.collection.holding(touched(batch)):
            batch = self._allowed(batch)
            embedded = self._checked([item for item in batch if isinstance(item, Embedded)], batch)
            revisions, lost = self._revise([item for item in batch if isinstance(item, Revised)])
            failures = lost + [item for item in batch if isinstance(item, Failed)]
            self._write(embedded, revisions, failures)
        self._count(embedded, revisions, failures)
        self.last = monotonic()

    def _allowed(self, batch: Sequence[Examined]) -> list[Examined]:
        """An id that an image of another source, such as an upload, has taken since the image was
        examined stays with that one."""
        owners = self.collection.ledger.images([item.ref.id for item in batch])
        taken = {id for id, owner in owners.items() if owner.source != self.source}
        return [
            item
            if isinstance(item, Failed) or item.ref.id not in taken
            else Failed(item.ref, f"the id {item.ref.id} was taken meanwhile", final=False)
            for item in batch
        ]

    def _checked(self, items: Sequence[Embedded], batch: Sequence[Examined]) -> list[Embedded]:
        """Takes back what is no rename after all: since the image was examined, another copy may
        have become the renamed one, or the source may have given the old id to another image."""
        named = {item.ref.id for item in batch}
        old = [item.renamed_from.id for item in items if item.renamed_from is not None]
        entries = self.collection.ledger.images([id for id in old if id not in named])
        return [
            item
            if item.renamed_from is None
            or entries.pop(item.renamed_from.id, None) == item.renamed_from
            else replace(item, renamed_from=None)
            for item in items
        ]

    def _revise(self, revisions: Sequence[Revised]) -> tuple[list[Revised], list[Failed]]:
        """Stores new facts in every space; what is in none any more, since it was renamed or
        removed meanwhile, comes back as failed."""
        wanted = {item.ref.id: item for item in revisions}
        known: set[str] = set()
        for store in map(self.collection.store, self.collection.spaces() if wanted else ()):
            records = store.get(list(wanted))
            store.update([self._stored(revised(records[id], wanted[id].ref)) for id in records])
            known |= set(records)
        gone = [item.ref for item in revisions if item.ref.id not in known]
        return (
            [item for item in revisions if item.ref.id in known],
            [Failed(ref, "changed meanwhile; index again", final=False) for ref in gone],
        )

    def _write(
        self, embedded: Sequence[Embedded], revisions: Sequence[Revised], failures: Sequence[Failed]
    ) -> None:
        images = [self._entry(item.ref, item.record.sha256) for item in embedded]
        images += [self._entry(item.ref, item.sha256) for item in revisions]
        held: dict[str, list[str]] = {}
        with self.collection.storing(
            images,
            doubtful=[item.ref.id for item in embedded],
            skipped=[self._skip(item) for item in failures],
            gone=[item.renamed_from.id for item in embedded if item.renamed_from is not None],
            held=held,
        ):
            if embedded:
                records = [self._stored(item.record) for item in embedded]
                self.store.upsert(records, np.stack([item.embedding for item in embedded]))
                twins = {item.ref.id: item.twin for item in embedded if item.twin is not None}
                held.update(lend(self.collection, twins, records, besides=self.space))
                held[self.space] = [item.ref.id for item in embedded]

    def _count(
        self, embedded: Sequence[Embedded], revisions: Sequence[Revised], failures: Sequence[Failed]
    ) -> None:
        for item in embedded:
            if item.renamed_from is not None:
                self.report.renamed += 1
            elif item.is_new:
                self.report.added += 1
            else:
                self.report.updated += 1
        for revision in revisions:
            if revision.told:
                self.report.updated += 1
            else:
                self.report.unchanged += 1
        for failure in failures:
            skipped = Skipped(failure.ref.id, failure.ref.uri, failure.reason)
            self.report.skipped += 1
            if len(self.report.problems) < PROBLEMS:
                self.report.problems.append(skipped)
            self.on_skipped(skipped)

    def _stored(self, record: ImageRecord) -> ImageRecord:
        return replace(record, uri=self.portable(record.uri))

    def _entry(self, ref: ImageRef, sha256: str) -> ImageEntry:
        metadata = digest(ref.metadata)
        return ImageEntry(ref.id, self.source, ref.path, ref.size, ref.mtime_ns, sha256, metadata)

    def _skip(self, item: Failed) -> SkippedEntry:
        ref = item.ref
        return SkippedEntry(
            self.source, ref.id, ref.path, ref.size, ref.mtime_ns, item.final, item.reason
        )


def touched(batch: Sequence[Examined]) -> list[str]:
    """The ids whose entries writing it changes."""
    old = [item.renamed_from for item in batch if isinstance(item, Embedded)]
    ids = [item.ref.id for item in batch if not isinstance(item, Failed)]
    return ids + [entry.id for entry in old if entry is not None]
