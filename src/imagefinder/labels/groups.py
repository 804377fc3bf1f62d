"""Which images are copies of each other: the same bytes, or the same picture."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.arrays import Embeddings
from imagefinder.errors import MissingExtraError
from imagefinder.labels.judgements import gathered
from imagefinder.same import SAME, unit

Pairs: TypeAlias = NDArray[np.int64]  # (m, 2): the numbers of two rows

NONE: Pairs = np.empty((0, 2), dtype=np.int64)
BLOCK = 2048  # rows compared at once with as many others: 16 MB of similarities


def copies(
    ids: Sequence[str], contents: Mapping[str, str], rows: Embeddings | None = None
) -> list[int]:
    """The number of the group that each image is in, from 0 in the order of the ids.

    Copies are what has the same SHA-256 in `contents`, and, with `rows` (n, dim), embeddings with a
    cosine similarity of 0.99 or more, as the same picture in another format or size has; copies of
    copies are in one group. Raises MissingExtraError.
    """
    place = {id: number for number, id in enumerate(ids)}
    twins = gathered({id: contents.get(id, "") for id in ids}).values()
    pairs = [np.array([(place[one[0]], place[id]) for id in one]) for one in twins]
    if rows is not None:
        pairs += similar(rows)
    return [int(number) for number in components(np.concatenate([NONE, *pairs]), len(ids))]


def similar(rows: Embeddings) -> Iterator[Pairs]:
    """The rows that show the same picture, block by block: of many equal ones not every pair, only
    so many that they hang together."""
    rows = unit(rows)
    for first in range(0, len(rows), BLOCK):
        for second in range(first, len(rows), BLOCK):
            cosines = rows[first : first + BLOCK] @ rows[second : second + BLOCK].T
            found = np.argwhere(cosines >= SAME)
            found[:, 0] += first
            found[:, 1] += second
            yield forest(found[found[:, 0] != found[:, 1]])


def forest(pairs: Pairs) -> Pairs:
    """As few pairs with the same groups."""
    known, numbers = np.unique(pairs, return_inverse=True)
    groups = components(numbers.reshape(pairs.shape), len(known))
    _, heads = np.unique(groups, return_index=True)
    return np.column_stack((known[heads[groups]], known)).astype(np.int64)


def components(pairs: Pairs, count: int) -> NDArray[np.int32]:
    """(count,): the number of the group of each of so many things. Raises MissingExtraError."""
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError as error:
        raise MissingExtraError("looking for copies", "evaluate") from error
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), tuple(pairs.T)), (count, count))
    numbers: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return numbers
