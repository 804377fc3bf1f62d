"""Searching for other images than those that are searched with."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from imagefinder.arrays import Embeddings
from imagefinder.filters import Filter
from imagefinder.query import Part, Query, TextPart
from imagefinder.search import MAX_K, Searcher, check_k, weighted_mean
from imagefinder.types import Hit

# Cosine similarity. No two of the demo images, which are all different, have more than 0.88. Of
# copies of them all reach this that lose no pixel, as JPEG of quality 95 nine in ten, at half the
# size every second one (they are small drawings).
SAME = 0.99
ROUNDING = 1e-3
SPARE = 8  # hits that may be left out before a second search is needed


def search_others(
    searcher: Searcher, query: Query, k: int, *, filter: Filter | None, exact: bool
) -> list[Hit]:
    """The k images that look most like the query, without those that look the same as one of its
    pictures, be it the whole or what is in the box; so also without those that it names by id.

    To look the same is to have a cosine similarity of SAME or more: a copy, or the picture in
    another format or size of good quality. Each picture of the query is compared by itself,
    whatever its weight: the mean of several is the same as none of them. Nothing is the same as
    words.
    """
    rows = [searcher.embed_part(part) for part in query.parts]
    weights = [part.weight for part in query.parts]
    mean = weighted_mean(zip(weights, rows, strict=True), unit=searcher.unit)
    own = [row for part, row in zip(query.parts, rows, strict=True) if is_picture(part)]
    own += [searcher.embed_part(whole) for whole in wholes(query)]
    if not own:
        return searcher.search([mean], k, filter=filter, exact=exact)[0]
    pictures = unit(np.stack(own))
    # what looks like a picture is at most sqrt(2 - 2 * SAME) away from it, so its score is at most
    # that much below the picture's: the others need no look
    least = -math.inf
    if searcher.unit:
        least = float((pictures @ mean).min()) - math.sqrt(2 - 2 * SAME) - ROUNDING

    def search(count: int) -> list[Hit]:
        return searcher.search([mean], count, filter=filter, exact=exact)[0]

    def same(hits: Sequence[Hit]) -> set[str]:
        found = searcher.store.embeddings([hit.id for hit in hits if hit.score >= least])
        return {id for id, row in found.items() if (pictures @ unit(row)).max() >= SAME}

    return first_without(same, search, k)


def first_without(
    unwanted: Callable[[Sequence[Hit]], Collection[str]],
    search: Callable[[int], list[Hit]],
    k: int,
) -> list[Hit]:
    """The k first hits without those whose ids `unwanted` tells; `search` is asked for more until
    there are so many, or no more images."""
    check_k(k)
    wanted = min(k + SPARE, MAX_K)
    while True:
        hits = search(wanted)
        left_out = unwanted(hits)
        found = [hit for hit in hits if hit.id not in left_out]
        if len(found) >= k or len(hits) < wanted or wanted == MAX_K:
            return found[:k]
        wanted = min(4 * wanted, MAX_K)


def unit(rows: Embeddings) -> Embeddings:
    """(..., dim): each row of unit length; one without a direction stays."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: Embeddings = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return found


def is_picture(part: Part) -> bool:
    return not isinstance(part, TextPart)


def wholes(query: Query) -> list[Part]:
    """The pictures that the boxes are cut from."""
    return [
        replace(part, box=None)
        for part in query.parts
        if not isinstance(part, TextPart) and part.box is not None
    ]
