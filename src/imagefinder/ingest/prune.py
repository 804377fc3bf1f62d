"""Removes what a source no longer holds, and refuses where that looks like a mistake."""

from collections.abc import Iterable

from imagefinder.ahead import chunks
from imagefinder.collection import Collection
from imagefinder.errors import PruneRefusedError, UsageError
from imagefinder.protocols import Source
from imagefinder.types import IndexReport

AT_ONCE = 500  # ids deleted in one step


def prune(
    source: Source, number: int, collection: Collection, report: IndexReport, *, force: bool
) -> None:
    """Remove the images of this source that the run did not meet and that are gone, or go by
    another id now.

    Raises PruneRefusedError when more than half would go and `force` is not set.
    """
    unseen = collection.ledger.unseen(number)
    gone = [image.id for image in unseen if image.doubled or not source.exists(image.path)]
    total = collection.ledger.count(number)
    if not force and len(gone) * 2 > total:
        raise PruneRefusedError(
            f"{source.root}: --prune would remove {len(gone)} of {total} images, more than half;"
            " if that is meant, use --prune=force"
        )
    for ids in chunks(gone, AT_ONCE):
        collection.delete(ids)
        report.removed += len(ids)


def check_whole(sources: Iterable[Source], prune: bool | str) -> None:
    """Raises UsageError where a run could not tell what is gone."""
    if prune and not all(source.complete for source in sources):
        raise UsageError(
            "prune needs whole sources: no single file, no part of a folder that is indexed as a"
            " whole, no include, exclude or sample"
        )
