"""Embeddings at the door of a store: checked, and brought to unit length."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["similarities", "unit_rows"]

BLOCK = 4096  # rows; 256 wide they take 8 MB as float64
NEARLY_UNIT = 1e-6  # float32 rounding; such rows are kept to the bit


def unit_rows(vectors: ArrayLike, dim: int, rows: int | None = None, *, what: str) -> "Embeddings":
    """(n, dim) float32 rows of unit length. `what` names the rows in the message: "query".

    Raises UsageError for another shape, another number of rows than `rows`, and rows that have
    no direction: all zero, or not finite.
    """
    array = np.asarray(vectors, dtype=np.float32)
    if array.size == 0 and rows in (None, 0):
        return np.empty((0, dim), np.float32)
    if array.ndim != 2 or array.shape[1] != dim or rows not in (None, len(array)):
        wanted = f"({'n' if rows is None else rows}, {dim})"
        raise UsageError(
            f"{what}: embeddings of shape {array.shape}, this space holds {wanted};"
            " use the model that the collection was made with"
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if bad.size:
        raise UsageError(f"{what} {bad[0]}: the embedding is all zero or not finite")
    off = np.abs(lengths - 1) > NEARLY_UNIT
    if off.any():
        array = array.copy()
        array[off] = (array[off] / lengths[off, None]).astype(np.float32)
    return np.ascontiguousarray(array)


def similarities(rows: "Embeddings", query: "Embedding") -> list[float]:
    """The cosine similarity of every unit row to one unit query, -1 to 1.

    Row by row, not as a matrix product: its blocking gives equal rows unequal last bits, and ties
    would then be ordered by where a row stands.
    """
    scores: list[float] = []
    wide = query.astype(np.float64)  # products of float32 are exact in it
    for start in range(0, len(rows), BLOCK):
        sums = (rows[start : start + BLOCK] * wide).sum(axis=1)
        scores += np.clip(sums, -1.0, 1.0).tolist()
    return scores
