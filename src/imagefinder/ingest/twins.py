"""Embeddings lent, in the other spaces, to images of the same bytes."""

from collections.abc import Mapping, Sequence

import numpy as np

from imagefinder.collection import Collection
from imagefinder.types import ImageRecord


def lend(
    collection: Collection,
    twins: Mapping[str, str],
    records: Sequence[ImageRecord],
    *,
    besides: str,
) -> dict[str, list[str]]:
    """Write the records of new images with the embeddings that each other space has of their twins.
    `twins`: new id -> the id of an image with the same bytes. Returns which ids each space got."""
    if not twins:
        return {}
    by_id = {record.id: record for record in records}
    got: dict[str, list[str]] = {}
    for space in collection.spaces():
        if space == besides:
            continue
        store, lenders = collection.store(space), list(set(twins.values()))
        lacking = collection.ledger.spaces.lacking(space, lenders)
        rows, known = store.embeddings(lenders), store.get(lenders)
        ids = [
            id
            for id, twin in twins.items()
            if twin in rows
            and twin not in lacking
            and twin in known
            and known[twin].sha256 == by_id[id].sha256
        ]
        if ids:
            store.upsert([by_id[id] for id in ids], np.stack([rows[twins[id]] for id in ids]))
            got[space] = ids
    return got
