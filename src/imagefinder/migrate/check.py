"""Whether a collection has what another one has: read back, and compared."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imagefinder.errors import TransferError
from imagefinder.migrate.carry import Carrier

SEARCHES = 10
K = 10
RECALL = 0.9  # of the searches; below it something is wrong with the target's index


@dataclass(frozen=True, slots=True)
class Check:
    """After `carrier` is done."""

    carrier: Carrier
    on_progress: Callable[[int, int | None], None]

    def run(self) -> None:
        """Raises TransferError, which names the first difference."""
        self._counts()
        done = 0
        for ids in self.carrier.pages():
            wanted = [id for id in ids if id not in self.carrier.left_out]
            self._entries(wanted)
            for space in self.carrier.source.spaces():
                self._rows(space, wanted)
            done += len(ids)
            self.on_progress(self.carrier.total + done, 2 * self.carrier.total)
        for space in self.carrier.source.spaces():
            self._searches(space)

    def _counts(self) -> None:
        """The target may have had images before, never fewer than were carried."""
        source, target = self.carrier.source, self.carrier.target
        left_out = len(self.carrier.left_out)
        have, wanted = target.ledger.count(), source.ledger.count() - left_out
        if have < wanted:
            raise differs(target.name, f"has {have} images, {wanted} were carried")
        for space in source.spaces():
            have = target.store(space).count()
            wanted = source.store(space).count() - left_out
            if have < wanted:
                raise differs(target.name, f"its space {space} has {have} images, not {wanted}")

    def _entries(self, ids: list[str]) -> None:
        source, target = self.carrier.source.ledger, self.carrier.target.ledger
        there = target.images(ids)
        for id, entry in source.images(ids).items():
            if there.get(id) != self.carrier.entry(entry):
                raise differs(self.carrier.target.name, f"{id}: the ledgers differ")

    def _rows(self, space: str, ids: list[str]) -> None:
        """Records field by field, embeddings bit by bit."""
        store, other = self.carrier.source.store(space), self.carrier.target.store(space)
        records, there = store.get(ids), other.get(ids)
        for id, record in records.items():
            if there.get(id) != self.carrier.record(record):
                raise differs(self.carrier.target.name, f"{id}: the records differ in {space}")
        rows, carried = store.embeddings(ids), other.embeddings(ids)
        for id, row in rows.items():
            if id not in carried or not np.array_equal(row, carried[id]):
                raise differs(self.carrier.target.name, f"{id}: the embeddings differ in {space}")
        self.carrier.report.checked += len(rows)

    def _searches(self, space: str) -> None:
        """The target's answers to a sample of searches, against all that is in it."""
        source, target = self.carrier.source, self.carrier.target.store(space)
        drawn = source.ledger.random_ids(SEARCHES)
        rows = list(source.store(space).embeddings(drawn).values())
        if not rows:
            return
        queries = np.stack(rows)
        found = target.search(queries, K)
        wanted = target.search(queries, K, exact=True)
        recall = np.mean(
            [
                len({hit.record.id for hit in some} & {hit.record.id for hit in all}) / len(all)
                for some, all in zip(found, wanted, strict=True)
            ]
        )
        report = self.carrier.report
        report.searches += len(rows)
        report.recall = min(report.recall, float(recall))
        if recall < RECALL:
            raise differs(
                self.carrier.target.name,
                f"searches in {space} find {recall:.2f} of the closest images",
            )


def differs(name: str, what: str) -> TransferError:
    """What a person can do about it."""
    return TransferError(f"{name}: {what}; was it changed meanwhile? run the same command again")
