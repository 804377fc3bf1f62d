"""Everything of one collection written into another, page by page; what is there already stays."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from imagefinder.ahead import chunks
from imagefinder.collection import Collection
from imagefinder.errors import TransferError
from imagefinder.places import joined
from imagefinder.stores.ledger import ImageEntry, SpaceEntry
from imagefinder.types import ImageRecord, MigrateReport, Skipped

AT_ONCE = 500  # images in one step
PROBLEMS = 20  # images left out that a report shows


@dataclass(frozen=True)
class Carrier:
    """`read` gives the bytes at a uri. A run that was cut off goes on where it was: of what the
    target has already, only the ledger is asked."""

    source: Collection
    target: Collection
    read: Callable[[str], bytes]
    on_progress: Callable[[int, int | None], None]
    report: MigrateReport
    left_out: set[str] = field(default_factory=set)  # ids that another image of the target has

    def carry(self) -> None:
        """Raises TransferError where a space of the target is another one of the same name."""
        self.target.settle()
        for entry in self.source.ledger.spaces.entries().values():
            self._space(entry)
        for ids in self.pages():
            self._images(ids)
            self.on_progress(self.report.images, 2 * self.total)
        for skips in chunks(self.source.ledger.skipped(), AT_ONCE):
            moved = [replace(skip, source=self.numbers[skip.source]) for skip in skips]
            self.target.ledger.acknowledge([], moved)
            self.report.skipped += len(moved)
        used = self.source.ledger.spaces.in_use
        if used is not None and self.target.ledger.spaces.in_use != used:
            self.target.ledger.spaces.use(used)

    def pages(self) -> "Pages":
        """The ids of the source, some at once."""
        return Pages(self.source)

    @cached_property
    def total(self) -> int:
        return self.source.ledger.count()

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """Of each source there -> here."""
        ledger = self.target.ledger
        sources = self.source.ledger.sources()
        return {number: ledger.source(root, base) for number, (root, base) in sources.items()}

    def entry(self, entry: ImageEntry) -> ImageEntry:
        """As the target's ledger has it."""
        return replace(entry, source=self.numbers[entry.source])

    def record(self, record: ImageRecord) -> ImageRecord:
        """As the target's stores have it."""
        number, colon, path = record.uri.partition(":")
        if colon and number.isdecimal() and int(number) in self.numbers:
            return replace(record, uri=f"{self.numbers[int(number)]}:{path}")
        return record

    def _space(self, entry: SpaceEntry) -> None:
        known = self.target.ledger.spaces.entries().get(entry.name)
        if known is None:
            self.target.add_space(entry)
        elif (known.fingerprint, known.dim, known.distance) != (
            entry.fingerprint,
            entry.dim,
            entry.distance,
        ):
            raise TransferError(
                f"{self.target.name}: its space {entry.name} is of another model"
                f" ({known.fingerprint}, there it is {entry.fingerprint}); migrate into a new"
                " collection, or drop that space: imagefinder models drop"
            )

    def _images(self, ids: Sequence[str]) -> None:
        entries = {id: self.entry(each) for id, each in self.source.ledger.images(ids).items()}
        uploads = {id for id, each in entries.items() if self.target.is_upload(each)}
        contents = {entries[id].sha256 for id in uploads}
        there = self.target.ledger.images(list(entries))
        late = self._late([id for id, entry in entries.items() if there.get(id) == entry])
        wanted = [id for id, entry in entries.items() if id in late or there.get(id) != entry]
        self.report.images += len(entries)
        self.report.unchanged += len(entries) - len(wanted)
        if not wanted:
            return
        held: dict[str, list[str]] = {}
        with (
            self.target.holding(wanted, contents),
            self.target.media.changing() if uploads else nullcontext(),
        ):
            wanted = self._free(wanted, entries)
            for id in uploads.intersection(wanted):
                self._upload(entries[id])
            with self.target.storing([entries[id] for id in wanted], doubtful=wanted, held=held):
                for space in self.source.spaces():
                    held[space] = self._embeddings(space, wanted)
            for space, here in held.items():  # also of images that were there without them
                self.target.ledger.spaces.caught_up(space, here, {})
        self.report.carried += len(wanted)

    def _late(self, ids: Sequence[str]) -> set[str]:
        """Which of these images some space has here by now, and not yet there."""
        late: set[str] = set()
        for space, entry in self.source.ledger.spaces.entries().items():
            if entry.imported:  # nobody knows of it but the stores
                have = set(self.source.store(space).get(ids))
                late |= have - set(self.target.store(space).get(ids))
            else:
                lacking = self.target.ledger.spaces.lacking(space, ids)
                late |= lacking - self.source.ledger.spaces.lacking(space, list(lacking))
        return late

    def _free(self, ids: Sequence[str], entries: Mapping[str, ImageEntry]) -> list[str]:
        """Without the ids that are of another image there."""
        owners = self.target.ledger.images(ids)
        taken = {id for id, owner in owners.items() if owner.source != entries[id].source}
        for id in sorted(taken):
            root, _ = self.target.ledger.sources()[owners[id].source]
            skipped = Skipped(id, entries[id].path, f"the id belongs to an image of {root} already")
            if len(self.report.problems) < PROBLEMS:
                self.report.problems.append(skipped)
        self.left_out.update(taken)
        self.report.left_out += len(taken)
        return [id for id in ids if id not in taken]

    def _upload(self, entry: ImageEntry) -> None:
        data = self.read(joined(self.source.media_base, entry.path))
        content, _, format = entry.path.rpartition("/")[2].partition(".")
        self.target.media.put(data, content, format)
        self.report.upload_bytes += len(data)

    def _embeddings(self, space: str, ids: Sequence[str]) -> list[str]:
        """Write what the space has of these images; which it has as they are now."""
        store = self.source.store(space)
        records, rows = store.get(ids), store.embeddings(ids)
        here = [id for id in ids if id in records and id in rows]
        if here:
            self.target.store(space).upsert(
                [self.record(records[id]) for id in here], np.stack([rows[id] for id in here])
            )
        late = self.source.ledger.spaces.lacking(space, here)
        return [id for id in here if id not in late]


@dataclass(slots=True)
class Pages:
    """The ids of a collection, AT_ONCE at once, in order."""

    collection: Collection
    after: str = ""

    def __iter__(self) -> "Pages":
        return self

    def __next__(self) -> list[str]:
        ids = self.collection.ledger.ids(after=self.after, limit=AT_ONCE)
        if not ids:
            raise StopIteration
        self.after = ids[-1]
        return ids
